"""What a rule is given and what it hands back: a heart's label map with all that is known of it, and drafts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cc3d
import numpy as np
from jaxtyping import Integer, Shaped, UInt8
from nibabel.affines import apply_affine

from ..anatomy import StructureTable
from ..errors import InputError
from ..volumes.morphology import Box
from .ledger import Change

Spacing = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class RuleChange:
    """A :class:`Change` whose place is still a voxel; ``kind`` is ``Removal`` or ``Addition``, the rest as there.

    Where before and after are equal it is a note: something the table does not expect was spared, and why.
    """

    kind: type[Change]
    rule: str
    structure: str
    component: int
    before_mm3: float
    after_mm3: float
    distance_mm: float
    why: str
    place_ijk: tuple[float, float, float]

    @property
    def gain_mm3(self) -> float:
        """What the structure gained; negative where it lost."""
        return self.after_mm3 - self.before_mm3

    def settled(self, affine: Shaped[np.ndarray, "4 4"]) -> Change:
        """The change, its place in world millimetres by the affine of the voxels' grid."""
        x, y, z = (float(value) for value in apply_affine(affine, np.asarray(self.place_ijk)))
        return self.kind(
            rule=self.rule,
            structure=self.structure,
            component=self.component,
            before_mm3=self.before_mm3,
            after_mm3=self.after_mm3,
            distance_mm=self.distance_mm,
            why=self.why,
            place_mm=(x, y, z),
        )


@dataclass(frozen=True, eq=False)
class Piece:
    """One connected component (26 neighbours) of one structure.

    Attributes:
        number: its voxels' value in :attr:`Pieces.numbers`.
        index: its structure's.
        rank: its place in its structure by size, the largest being 1; of equals the first in raster order.
        voxels: how many.
        box: the smallest that holds it.
        middle_ijk: its centre of mass.
    """

    number: int
    index: int
    rank: int
    voxels: int
    box: Box
    middle_ijk: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Pieces:
    """All connected components of a label map, found in one pass."""

    numbers: Integer[np.ndarray, "i j k"]
    of: Mapping[int, tuple[Piece, ...]]
    """By label, the largest first; a label that is absent has no entry."""

    def mask(self, piece: Piece, box: Box) -> Shaped[np.ndarray, "a b c"]:
        """Where the piece lies within a box."""
        return np.asarray(self.numbers[box] == piece.number)


def find_pieces(labels: UInt8[np.ndarray, "i j k"]) -> Pieces:
    """The components of every label but 0; an empty map has none."""
    # The frame of background is what cc3d needs for a line of voxels one voxel thick.
    framed = np.pad(labels, 1)
    numbers, found = cc3d.connected_components(framed, connectivity=26, return_N=True)
    numbers = numbers[1:-1, 1:-1, 1:-1]
    if not found:
        return Pieces(numbers, {})
    statistics: Any = cc3d.statistics(np.ascontiguousarray(numbers))
    by_label: dict[int, list[tuple[int, int]]] = {}
    for number in range(1, found + 1):
        box = statistics["bounding_boxes"][number]
        first = np.argwhere(numbers[box][:1] == number)[0]
        sizes = by_label.setdefault(int(labels[box][tuple(first)]), [])
        sizes.append((-int(statistics["voxel_counts"][number]), number))
    of = {
        index: tuple(_piece(statistics, number, index, rank) for rank, (_, number) in enumerate(sorted(sizes), start=1))
        for index, sizes in by_label.items()
    }
    return Pieces(numbers, of)


def _piece(statistics: Any, number: int, index: int, rank: int) -> Piece:
    i, j, k = (float(value) for value in statistics["centroids"][number])
    voxels = int(statistics["voxel_counts"][number])
    return Piece(number, index, rank, voxels, statistics["bounding_boxes"][number], (i, j, k))


@dataclass(frozen=True, eq=False)
class HeartUnderRepair:
    """A label map, never changed in place, and what else is known of the same voxels.

    Attributes:
        labels: the map. No structure lies on an outer face of it, unless the whole volume ends there.
        spacing_mm: voxel size along i, j, k.
        masks: each structure's own mask before fusion, by name, where known.
        probability: each thin structure's probability, 0 to 1, by name, where known.
    """

    labels: UInt8[np.ndarray, "i j k"]
    spacing_mm: Spacing
    masks: Mapping[str, Shaped[np.ndarray, "i j k"]] | None = None
    probability: Mapping[str, Shaped[np.ndarray, "i j k"]] | None = None

    @cached_property
    def pieces(self) -> Pieces:
        """The map's connected components, counted once."""
        return find_pieces(self.labels)

    @property
    def voxel_mm3(self) -> float:
        return float(np.prod(self.spacing_mm))


RULES = (
    "give_back_severed",
    "bridge_gaps",
    "drop_crumbs",
    "fill_holes",
    "drop_detached",
    "keep_expected",
)
"""Every rule, in the order in which they run: what is cut is joined before anything is taken away."""


@dataclass(frozen=True)
class RuleSettings:
    """What a config may decide; all limits stand in the structure table.

    Attributes:
        strict_components: keep exactly the number of components the table expects (A1.7), however large the next.
        spare_fraction: otherwise the share of its structure's largest from which one more component may stay.
        rules: the names of the rules that run; their order is always that of :data:`RULES`.
    """

    strict_components: bool = False
    spare_fraction: float = 0.1
    rules: tuple[str, ...] = RULES

    def __post_init__(self) -> None:
        unknown = sorted(set(self.rules) - set(RULES))
        if unknown:
            raise InputError("rules", ", ".join(unknown), f"names among {', '.join(RULES)}", "Correct the names.")
        if not 0 <= self.spare_fraction <= 1:
            raise InputError("spare_fraction", repr(self.spare_fraction), "a share from 0 to 1", "0.1 is usual.")


Rule = Callable[[HeartUnderRepair, StructureTable, RuleSettings], tuple[Any, list[RuleChange]]]
"""A rule: from a heart, the table and the settings to the new label map [i, j, k] and what was done."""
