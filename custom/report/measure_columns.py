"""The measures of a report: what each column is called, how it is written, and which way is better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..anatomy import Structure, StructureTable
from .report_case import ReportCase, mean_of

THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"
MISSING = "\N{EN DASH}"


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        title: with its unit.
        digits: behind the point.
        better: 1 if more is better, -1 if less is, 0 if neither.
        factor: what a value is multiplied by before it is written.
        about: one sentence.
    """

    title: str
    digits: int = 2
    better: int = 0
    factor: float = 1.0
    about: str = ""


KNOWN: dict[str, Measure] = {
    "dice": Measure("Dice", 3, 1, about="Overlap with the reference, 0 to 1."),
    "dice_fused": Measure("fused Dice", 3, 1, about="Of stage 2: one heart from the fields of single structures."),
    "dice_unified": Measure("unified Dice", 3, 1, about="Of stage 3: drawn from the field of whole hearts."),
    "dice_given": Measure("Dice, given", 3, 1, about="Of the structures that were given, against the reference."),
    "dice_completed": Measure("Dice, completed", 3, 1, about="Of the structures that were completed."),
    "surface_dice_completed": Measure("surface Dice, completed", 3, 1, about="Share of surface within the tolerance."),
    "hd95_completed_mm": Measure("HD95, completed, mm", 2, -1, about="Of the structures that were completed."),
    "confidence": Measure("confidence", 2, about="Mean depth in the completed structure, 0 to 1; no probability."),
    "right_if_sure": Measure("right if sure", 3, 1, about="Of completed voxels with a confidence from 0.5."),
    "right_if_unsure": Measure("right if unsure", 3, 1, about="Of completed voxels with a confidence below 0.5."),
    "surface_dice_given": Measure("surface Dice, given", 3, 1, about="Share of the surface within the tolerance."),
    "hd95_given_mm": Measure("HD95, given, mm", 2, -1, about="Of the structures that were given."),
    "hd95_mm": Measure("HD95, mm", 2, -1, about="The distance to the reference that 95 % of the surface keeps."),
    "assd_mm": Measure("ASSD, mm", 2, -1, about="Mean distance between the surface and the reference's."),
    "surface_dice": Measure("surface Dice", 3, 1, about="Share of the surface within the tolerance."),
    "components": Measure("pieces", 0, about="Connected pieces, against those expected of a whole heart."),
    "contact_share": Measure("contact, %", 0, 1, 100.0, "How often it touches what it must touch."),
    "kept_share": Measure("kept, %", 1, 1, 100.0, "Share of the original volume that is still there."),
    "removed_mm3": Measure("removed, mm³", 0, about="Volume taken away."),
    "added_mm3": Measure("added, mm³", 0, about="Volume given."),
    "volume_mm3": Measure("volume, mm³", 0),
    "holes": Measure("holes", 0, -1),
    "isoperimetric": Measure("isoperimetric", 3, about="Compactness; read it beside what was removed."),
}
"""By column name without ``_before`` and ``_after``, in the order they are shown; others follow."""

SIDES = ("before", "after")


@dataclass(frozen=True)
class Column:
    """A measure that the cases have, before and after or alone.

    Attributes:
        stem: its name without the side.
        sides: ``before`` and ``after`` as far as they are there, or an empty name for a measure that stands alone.
    """

    stem: str
    sides: tuple[str, ...]

    @property
    def measure(self) -> Measure:
        return KNOWN.get(self.stem, Measure(self.stem.replace("_", " ")))

    def key(self, side: str) -> str:
        return f"{self.stem}_{side}" if side else self.stem


def columns_of(cases: Sequence[ReportCase]) -> list[Column]:
    """The columns with a value in some structure of some case."""
    names = dict.fromkeys(
        column
        for case in cases
        for structure, values in case.measures.items()
        for column in values
        if column != WANTED and case.value(structure, column) is not None
    )
    sides: dict[str, list[str]] = {}
    for name in names:
        stem, _, side = name.rpartition("_")
        stem, side = (stem, side) if stem and side in SIDES else (name, "")
        sides.setdefault(stem, []).append(side)
    ranks = {stem: rank for rank, stem in enumerate(KNOWN)}
    ordered = sorted(sides, key=lambda stem: ranks.get(stem, len(ranks)))
    return [Column(stem, tuple(sorted(sides[stem], key=["before", "after", ""].index))) for stem in ordered]


def mean_value(cases: Sequence[ReportCase], structure: str, key: str) -> float | None:
    return mean_of(case.value(structure, key) for case in cases)


WANTED = "components_wanted"
"""The measure with the number of pieces of a case's truth, which counts instead of the table's."""


def wanted_pieces(case: ReportCase, structure: Structure) -> int:
    """How many pieces the structure should have in a case: as many as in its truth if that is known, else the table's
    number."""
    wanted = case.value(structure.name, WANTED)
    return structure.components if wanted is None else int(wanted)


def pieces_right(cases: Sequence[ReportCase], structure: Structure, side: str) -> tuple[int, int]:
    """In how many cases it has as many pieces as expected, and in how many it is there at all, before or after."""
    counted = [(case, [case.value(structure.name, f"components_{name}") for name in SIDES]) for case in cases]
    present = [(case, counts[SIDES.index(side)]) for case, counts in counted if any(counts)]
    return sum(count == wanted_pieces(case, structure) for case, count in present), len(present)


def all_pieces_right(cases: Sequence[ReportCase], table: StructureTable, side: str) -> tuple[int, int]:
    """The sum of :func:`pieces_right` over the structures."""
    counts = [pieces_right(cases, structure, side) for structure in table]
    return sum(right for right, _ in counts), sum(present for _, present in counts)


def written(value: float | int | None, digits: int = 2, factor: float = 1.0) -> str:
    """A number for reading, thousands apart; a dash where there is none."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    text = f"{value * factor:,.{digits}f}".replace(",", THIN_SPACE)
    return text.lstrip("-") if not text.strip("-0.") else text


def counted(count: int, name: str) -> str:
    """Such as ``1 removal`` or ``2 removals``."""
    return f"{written(count, 0)} {name}{'' if count == 1 else 's'}"


def verdict(measure: Measure, before: float | None, after: float | None) -> str:
    """``better``, ``worse`` or nothing, by what is written: what reads the same is the same."""
    if not measure.better or before is None or after is None:
        return ""
    shown = [written(value, measure.digits, measure.factor) for value in (before, after)]
    if shown[0] == shown[1]:
        return ""
    return "better" if (after > before) == (measure.better > 0) else "worse"
