"""One case of the report: its two label maps, what was changed, and how it measures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from ..anatomy import StructureTable
from ..data.label_maps import read_label_map
from ..data.partner_grids import on_grid_of
from ..rules.ledger import Change

Measures = Mapping[str, Mapping[str, float | int | None]]
"""Structure -> column -> value; ``None`` or NaN where there is none."""

JUDGED = ("dice_after", "dice_completed")
"""The measures by which cases are ordered, the worst first; a structure has one of the two at most."""


_REMEDY = "Give both label maps on one grid."


@dataclass(frozen=True)
class ReportCase:
    """The data of one case of the page.

    Attributes:
        name: shown as it is, whatever characters it has.
        before, after: label maps on one grid.
        changes: its ledger.
        measures: structure -> column -> value. A column that ends in ``_before`` or ``_after`` is one of a pair, such
            as ``dice_before`` and ``dice_after``.
        truth: label map of the truth on the same grid, to be shown beside them; ``None``: there is none.
    """

    name: str
    before: Path
    after: Path
    changes: Sequence[Change] = ()
    measures: Measures = field(default_factory=dict)
    truth: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The label maps of the case."""
        return (self.before, self.after) if self.truth is None else (self.before, self.after, self.truth)

    def value(self, structure: str, column: str) -> float | None:
        """The measure, or ``None`` where it is missing or NaN."""
        value = self.measures.get(structure, {}).get(column)
        return None if value is None or math.isnan(value) else float(value)

    @property
    def lowest_dice(self) -> tuple[float, str] | None:
        """The lowest of :data:`JUDGED` and its structure; ``None`` without a reference."""
        dices = [(self.value(name, column), name) for name in self.measures for column in JUDGED]
        return min(((dice, name) for dice, name in dices if dice is not None), default=None)

    def mean(self, column: str) -> float | None:
        """Of the structures that have it."""
        return mean_of(self.value(name, column) for name in self.measures)

    def read(
        self, table: StructureTable
    ) -> tuple[UInt8[np.ndarray, "i j k"], UInt8[np.ndarray, "i j k"], Float[np.ndarray, "4 4"]]:
        """Before, after and the affine of before.

        Raises:
            InputError: a file that cannot be read, or two grids.
        """
        before, after = read_label_map(self.before, table), read_label_map(self.after, table)
        return before.labels, on_grid_of(after, before, _REMEDY).labels, before.affine

    def read_truth(self, table: StructureTable) -> UInt8[np.ndarray, "i j k"] | None:
        """The truth, if there is one. Raises ``InputError`` as :meth:`read`."""
        if self.truth is None:
            return None
        return on_grid_of(read_label_map(self.truth, table), read_label_map(self.before, table), _REMEDY).labels


@dataclass(frozen=True)
class Difference:
    """What two label maps of one case differ by, in mm3.

    Attributes:
        removed_mm3: labelled before, background after.
        added_mm3: background before, labelled after.
        renamed_mm3: labelled otherwise.
        before_mm3: all that was labelled.
    """

    removed_mm3: float
    added_mm3: float
    renamed_mm3: float
    before_mm3: float

    @property
    def changed_mm3(self) -> float:
        return self.removed_mm3 + self.added_mm3 + self.renamed_mm3

    @property
    def changed_share(self) -> float | None:
        """Of what was labelled before; ``None`` if nothing was."""
        return self.changed_mm3 / self.before_mm3 if self.before_mm3 else None


def difference(
    before: UInt8[np.ndarray, "i j k"], after: UInt8[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"]
) -> Difference:
    """Compare voxel by voxel; empty maps differ by nothing."""
    voxel_mm3 = float(abs(np.linalg.det(affine[:3, :3])))
    differs, was, now = before != after, before > 0, after > 0
    counts = (was & ~now, ~was & now, differs & was & now, was)
    removed, added, renamed, labelled = (int(np.count_nonzero(mask)) * voxel_mm3 for mask in counts)
    return Difference(removed, added, renamed, labelled)


def worst_first(
    cases: Sequence[ReportCase], differences: Sequence[Difference]
) -> tuple[list[ReportCase], list[Difference]]:
    """By the lowest Dice of any structure where there is a reference, cases without one last; else, and among equals,
    the case that changed most first; then by name."""

    def badness(pair: tuple[ReportCase, Difference]) -> tuple[float, float, str]:
        case, found = pair
        lowest = case.lowest_dice
        return (lowest[0] if lowest else math.inf), -found.changed_mm3, case.name

    pairs = sorted(zip(cases, differences, strict=True), key=badness)
    return [case for case, _ in pairs], [found for _, found in pairs]


def mean_of(values: Iterable[float | None]) -> float | None:
    """Of those that are there; ``None`` if none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
