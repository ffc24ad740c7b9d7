"""What a repair did to every structure of every case, so that nothing lost can look like something gained (A1.9, A2.2).

A smoother surface counts for nothing by itself: deleting what is thin gives that too. Beside it therefore stand the
share of the input that was kept, the change of volume, and, where a reference is known, the scores of both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ..anatomy import StructureTable
from ..errors import InputError
from ..volumes.contacts import Spacing
from .before_after import MapPair, compared_values
from .case_scores import check_same_grid
from .csv_tables import markdown, read_rows, write_rows


@dataclass(frozen=True, kw_only=True)
class RepairRow:
    """One structure of one case, before and after. ``None``: it was not asked, or means nothing here.

    Attributes:
        case, structure: names.
        components_expected: by the table.
        volume_before_mm3 ... isoperimetric_after: see :class:`~custom.metrics.shape_measures.ShapeScore`.
        kept_share: share of the input's volume that is still labelled so, in [0, 1]; None if the input had none.
        added_mm3, removed_mm3: volume labelled so after and not before, and the other way round.
        volume_change: volume after over before; None if the input had none.
        dice_to_input, hd95_to_input_mm: of after against before, with the penalties of ``score_mask``.
        volume_reference_mm3, components_reference: of the reference.
        reference_share_before, reference_share_after: share of the reference's volume that is labelled so.
        dice_before ... surface_dice_after: of before and of after against the reference, by ``score_mask``.
        dice_fused ... hd95_unified_mm: the same of the label maps of stage 2 and of stage 3; one of them is after.
    """

    case: str
    structure: str
    components_expected: int
    volume_before_mm3: float
    volume_after_mm3: float
    components_before: int
    components_after: int
    holes_before: int
    holes_after: int
    euler_before: int
    euler_after: int
    contact_before: bool | None
    contact_after: bool | None
    contact_share_before: float | None
    contact_share_after: float | None
    isoperimetric_before: float | None
    isoperimetric_after: float | None
    kept_share: float | None
    added_mm3: float
    removed_mm3: float
    volume_change: float | None
    dice_to_input: float
    hd95_to_input_mm: float
    volume_reference_mm3: float | None = None
    components_reference: int | None = None
    reference_share_before: float | None = None
    reference_share_after: float | None = None
    dice_before: float | None = None
    dice_after: float | None = None
    hd95_before_mm: float | None = None
    hd95_after_mm: float | None = None
    assd_before_mm: float | None = None
    assd_after_mm: float | None = None
    surface_dice_before: float | None = None
    surface_dice_after: float | None = None
    dice_fused: float | None = None
    dice_unified: float | None = None
    hd95_fused_mm: float | None = None
    hd95_unified_mm: float | None = None

    @property
    def absent(self) -> bool:
        """Whether neither input nor output has it, nor the reference where there is one: no success and no failure."""
        return not (self.volume_before_mm3 or self.volume_after_mm3 or self.volume_reference_mm3)

    @property
    def lost(self) -> bool:
        """Whether the repair took it away altogether."""
        return self.volume_before_mm3 > 0 and self.volume_after_mm3 == 0

    def right_count(self, components: int) -> bool:
        """Whether that is the right number of pieces: as many as the reference has. Without a reference it is at least
        one and no more than the table expects, because a whole heart may stay below that."""
        if self.components_reference is not None:
            return components == self.components_reference
        return 0 < components <= self.components_expected


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(RepairRow))
"""Of ``metrics.csv``."""


def repair_rows(
    case: str,
    before: UInt8[np.ndarray, "..."],
    after: UInt8[np.ndarray, "..."],
    spacing_mm: Spacing,
    table: StructureTable,
    reference: UInt8[np.ndarray, "..."] | None = None,
    tolerance_mm: float = 1.0,
) -> list[RepairRow]:
    """A row for every structure of the table, from label maps ``[i, j, k]`` of one case on one grid.

    Before and after are asked the same questions by the same functions. A structure that is absent on one side of a
    comparison costs what :func:`~custom.metrics.case_scores.score_mask` says; one that is absent everywhere gets a row
    too, whose ``absent`` is true. Full maps and structures at the border are no special case.

    Raises:
        InputError: the grids differ, or the spacing is not three positive lengths.
    """
    compared = MapPair(before, after, reference, spacing_mm, tolerance_mm)
    for labels in compared.maps:
        check_same_grid(labels.shape, before.shape, spacing_mm)
    return [
        RepairRow(case=case, structure=structure.name, components_expected=structure.components, **values)
        for structure, values in zip(table, compared_values(compared, table), strict=True)
    ]


def write_metrics(path: Path, rows: Sequence[RepairRow]) -> None:
    """Write ``metrics.csv``, a line per row, whole or not at all; ``None`` is an empty cell. Missing folders are made.

    Raises:
        InputError: the place cannot be written.
    """
    write_rows(path, RepairRow, rows)


def read_metrics(path: Path) -> list[RepairRow]:
    """The rows that :func:`write_metrics` wrote, bit for bit.

    Raises:
        InputError: no such file, or one of another make.
    """
    return read_rows(path, RepairRow)


Means = dict[str, float | int | None]

MEASURES: tuple[str, ...] = tuple(
    name
    for name in COLUMNS
    if name not in ("case", "structure", "components_expected", "contact_before", "contact_after")
)
"""The numbers of a :class:`RepairRow` that are averaged."""

_COUNTS = ("cases", "absent", "scored", "lost", "contact_cases") + tuple(
    f"{name}_{side}" for name in ("one_empty", "right_components") for side in ("before", "after")
)


def summarise_repairs(rows: Sequence[RepairRow]) -> dict[str, Means]:
    """Means per structure in order of appearance, then ``"mean"``: the mean of the structures' means, sums of counts.

    Rows that are ``absent`` are counted and left out of everything else; ``scored`` is how many are left. Where a
    measure means nothing on one side, as a shape does once the structure is lost, the row is left out of both sides of
    it. ``None`` is the mean of nothing. Beside the means of :data:`MEASURES` stand

    - ``contact_percent_before``, ``contact_percent_after``: of the ``contact_cases``, those where contact could be
      asked on either side; a structure that has lost all it should touch, or itself, has no contact;
    - ``right_components_before``, ``right_components_after``: cases whose count is :meth:`RepairRow.right_count`;
    - ``lost``: cases whose structure the repair took away altogether; ``one_empty_before``, ``one_empty_after``: cases
      where that side or the reference has the structure and the other has not.

    Raises:
        InputError: there are no rows.
    """
    if not rows:
        raise InputError("metrics", "no rows", "at least one case with one structure", "Check the list of cases.")
    names = dict.fromkeys(row.structure for row in rows)
    summary = {name: _summary([row for row in rows if row.structure == name]) for name in names}
    overall: Means = {}
    for name in next(iter(summary.values())):
        values = [means[name] for means in summary.values()]
        overall[name] = sum(value or 0 for value in values) if name in _COUNTS else _mean(values)
    overall["cases"] = len({row.case for row in rows})
    return summary | {"mean": overall}


def _summary(own: Sequence[RepairRow]) -> Means:
    """Of the rows of one structure."""
    rows = [row for row in own if not row.absent]
    asked = [row for row in rows if row.contact_before is not None or row.contact_after is not None]
    means: Means = {"cases": len(own), "absent": len(own) - len(rows), "scored": len(rows)}
    means |= {"lost": sum(row.lost for row in rows), "contact_cases": len(asked)}
    for side in ("before", "after"):
        held = [100.0 * (getattr(row, f"contact_{side}") is True) for row in asked]
        means[f"contact_percent_{side}"] = _mean(held)
        means[f"right_components_{side}"] = sum(row.right_count(getattr(row, f"components_{side}")) for row in rows)
        means[f"one_empty_{side}"] = sum(
            row.volume_reference_mm3 is not None
            and (getattr(row, f"volume_{side}_mm3") == 0) != (row.volume_reference_mm3 == 0)
            for row in rows
        )
    for name in MEASURES:
        twin = name.replace("before", "after") if "before" in name else name.replace("after", "before")
        means[name] = _mean([getattr(row, name) for row in rows if getattr(row, twin) is not None])
    return means


def _mean(values: Sequence[float | int | None]) -> float | None:
    """Of those that are not None; None if none is left."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def format_repairs(rows: Sequence[RepairRow]) -> str:
    """Markdown table of :func:`summarise_repairs`, for a terminal and a page: a line per structure and for their mean.

    ``a -> b`` is before and after. With a reference the scores are against it, without one against the input. What is
    absent everywhere says so; a dash is the mean of nothing. Roughness is the isoperimetric ratio, and stands beside
    the change of volume and the share kept.
    """
    summary = summarise_repairs(rows)
    columns = _AGAINST_REFERENCE if summary["mean"]["dice_after"] is not None else _AGAINST_INPUT
    columns = {**columns, **_BY_ITSELF}
    lines = []
    for structure, means in summary.items():
        cells = [cell(means) if means["scored"] else "absent" for cell in columns.values()]
        lines.append([structure, *cells, f"{means['lost']}", f"{means['absent']}"])
    return markdown(["structure", *columns, "lost", "absent"], lines)


def _number(value: float | int | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _sides(name: str, digits: int = 0) -> Callable[[Means], str]:
    """A cell of before and after; ``name`` has a star where the side stands."""

    def cell(means: Means) -> str:
        before, after = (means[name.replace("*", side)] for side in ("before", "after"))
        both = _number(before, digits), _number(after, digits)
        return "-" if both == ("-", "-") else " -> ".join(both)

    return cell


_AGAINST_REFERENCE: dict[str, Callable[[Means], str]] = {
    "Dice": _sides("dice_*", 3),
    "HD95 mm": _sides("hd95_*_mm", 2),
    "ASSD mm": _sides("assd_*_mm", 2),
    "one empty": _sides("one_empty_*"),
}

_AGAINST_INPUT: dict[str, Callable[[Means], str]] = {
    "Dice to input": lambda means: _number(means["dice_to_input"], 3),
    "HD95 to input mm": lambda means: _number(means["hd95_to_input_mm"], 2),
}

_BY_ITSELF: dict[str, Callable[[Means], str]] = {
    "components": _sides("components_*", 1),
    "count right": lambda means: f"{_sides('right_components_*')(means)} of {means['scored']}",
    "contact %": _sides("contact_percent_*"),
    "holes": _sides("holes_*", 1),
    "kept %": lambda means: _number(None if means["kept_share"] is None else 100 * means["kept_share"], 1),
    "volume x": lambda means: _number(means["volume_change"], 3),
    "roughness": _sides("isoperimetric_*", 2),
}
