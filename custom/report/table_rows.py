"""The rows of the page's tables: by structure, by case, one case's measures, one case's ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..anatomy import Structure, StructureTable
from ..rules.ledger import Addition, Change, Removal
from .measure_columns import (
    KNOWN,
    MISSING,
    SIDES,
    Column,
    all_pieces_right,
    columns_of,
    mean_value,
    pieces_right,
    verdict,
    wanted_pieces,
    written,
)
from .report_case import Difference, ReportCase, mean_of
from .report_texts import REPAIR, ReportTexts

STAGES = ("dice_fused", "dice_unified")
"""The measures that set the stages of a repair beside each other; one of them is after."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what it shows.
        style: its classes.
        sort_by: the value that a table is sorted by; ``None`` for the text.
        tip: shown when the pointer rests on it.
        color: of a swatch before the text.
        link: where the text leads.
        badge: style of a frame around the text.
        row_heading: whether it names its row.
    """

    text: str
    style: str = ""
    sort_by: str | None = None
    tip: str = ""
    color: str = ""
    link: str = ""
    badge: str = ""
    row_heading: bool = False


@dataclass(frozen=True)
class Heading:
    """A column's heading, which sorts the table by it; ``about`` is shown when the pointer rests on it."""

    text: str
    about: str = ""
    style: str = ""


@dataclass(frozen=True)
class Group:
    """A heading over several columns."""

    text: str
    about: str
    columns: int


@dataclass(frozen=True)
class Row:
    """A row's cells, and where in the world it leads the 3-D view, ``x y z`` in mm."""

    cells: Sequence[Cell]
    place: str = ""


@dataclass(frozen=True)
class Table:
    """A table as the template ``grid`` writes it; ``tall`` scrolls."""

    style: str
    headings: Sequence[Heading]
    rows: Sequence[Row]
    groups: Sequence[Group] = ()
    foot: Sequence[Cell] = ()
    tall: bool = False


def number(value: float | int | None, digits: int = 2, factor: float = 1.0, mark: str = "") -> Cell:
    """A cell that is sorted by its value."""
    sort_by = "" if value is None or value != value else f"{value:.9g}"
    return Cell(written(value, digits, factor), f"num {mark}".strip(), sort_by)


def named(structure: Structure) -> Cell:
    """The structure's colour and name at the head of its row."""
    return Cell(structure.name, color=rgb(structure), row_heading=True)


def rgb(structure: Structure) -> str:
    return f"rgb({','.join(map(str, structure.color))})"


def _groups(columns: Sequence[Column]) -> list[Group]:
    return [Group(column.measure.title, column.measure.about, len(column.sides)) for column in columns]


def _headings(columns: Sequence[Column]) -> list[Heading]:
    # A measure that stands alone is the value itself, so its button says no more than that.
    singles = [
        Heading(side or "value", f"Sort by {column.measure.title} {side}".strip(), "num")
        for column in columns
        for side in column.sides
    ]
    return [Heading("structure"), Heading("expected", "Connected pieces of a whole heart.", "num"), *singles]


def structures_table(cases: Sequence[ReportCase], table: StructureTable) -> Table:
    """A row per structure with the means over the cases, and the mean of these means; pieces are counted instead."""
    columns = columns_of(cases)
    rows = []
    for structure in table:
        cells = [named(structure), number(structure.components, 0)]
        for column in columns:
            if column.stem == "components":
                cells += [_share(pieces_right(cases, structure, side)) for side in column.sides if side]
                continue
            cells += _pair(column, [mean_value(cases, structure.name, column.key(side)) for side in column.sides])
        rows.append(Row(cells))
    foot = [Cell("mean", row_heading=True), Cell("")]
    for column in columns:
        if column.stem == "components":
            foot += [_share(all_pieces_right(cases, table, side)) for side in column.sides if side]
            continue
        keys = [column.key(side) for side in column.sides]
        foot += _pair(column, [mean_of(mean_value(cases, name, key) for name in table.names) for key in keys])
    return Table("structures", _headings(columns), rows, _groups(columns), foot)


def _pair(column: Column, values: Sequence[float | None]) -> list[Cell]:
    measure = column.measure
    marks = [""] * len(values)
    if column.sides == SIDES:
        marks[1] = verdict(measure, *values)
    return [number(value, measure.digits, measure.factor, mark) for value, mark in zip(values, marks, strict=True)]


def _share(counts: tuple[int, int]) -> Cell:
    right, present = counts
    if not present:
        return number(None)
    style = "num" if right == present else "num worse"
    return Cell(f"{right} of {present}", style, f"{right / present:.9g}", "cases with the expected pieces")


def case_table(case: ReportCase, table: StructureTable) -> Table | None:
    """A row per structure of one case; ``None`` if the case has no measure."""
    columns = columns_of([case])
    if not columns:
        return None
    rows = []
    for structure in table:
        wanted = wanted_pieces(case, structure)
        cells = [named(structure), number(wanted, 0)]
        for column in columns:
            values = [case.value(structure.name, column.key(side)) for side in column.sides]
            cells += (
                _counted(wanted_pieces(case, structure), values)
                if column.stem == "components"
                else _pair(column, values)
            )
        rows.append(Row(cells))
    return Table("structures", _headings(columns), rows, _groups(columns))


def _counted(wanted: int, values: Sequence[float | None]) -> list[Cell]:
    return [number(value, 0, 1.0, "worse" if value not in (None, wanted) else "") for value in values]


def cases_table(
    cases: Sequence[ReportCase],
    differences: Sequence[Difference],
    table: StructureTable,
    detailed: int,
    texts: ReportTexts = REPAIR,
) -> Table:
    """A row per case in the order given; the first ``detailed`` link to their section."""
    scored = any(case.lowest_dice for case in cases)
    staged = [stage for stage in STAGES if any(case.mean(stage) is not None for case in cases)]
    counted = any(column.stem == "components" for column in columns_of(cases))
    head = [Heading("case"), Heading("changed, mm³", "Voxels whose label differs.", "num")]
    head += [Heading("changed, %", "Of the volume labelled before.", "num")]
    head += [Heading("removed, mm³", "", "num"), Heading("added, mm³", "", "num")]
    head += [Heading("renamed, mm³", "Passed from one structure to another.", "num")]
    kinds = {"removals": Removal, "additions": Addition} if texts.ledger else {}
    head += [Heading(name, "Entries of the ledger.", "num") for name in kinds]
    if scored:
        head += [Heading(title, "", "num") for title in texts.means]
        head += [Heading(f"mean {KNOWN[stage].title}", KNOWN[stage].about, "num") for stage in staged]
        head += [Heading("lowest Dice", "After, of all structures.", "num"), Heading("of")]
    if counted:
        head += [Heading("pieces right", "Structures with the expected number of pieces, after.", "num")]
    rows = []
    for row, (case, found) in enumerate(zip(cases, differences, strict=True)):
        link = f"#case-{row}" if row < detailed else ""
        cells = [Cell(case.name, link=link, row_heading=True)]
        cells += [number(found.changed_mm3, 0), number(found.changed_share, 1, 100.0)]
        cells += [number(value, 0) for value in (found.removed_mm3, found.added_mm3, found.renamed_mm3)]
        cells += [number(count_of(case.changes, kind), 0) for kind in kinds.values()]
        cells += _scored_cells(case, staged, texts) if scored else []
        cells += [_share(all_pieces_right([case], table, "after"))] if counted else []
        rows.append(Row(cells))
    return Table("cases", head, rows)


def _scored_cells(case: ReportCase, staged: Sequence[str], texts: ReportTexts) -> list[Cell]:
    (before, after), lowest = (case.mean(measure) for measure in texts.means.values()), case.lowest_dice
    # Given and completed structures are others: one is not worse than the other.
    mark = verdict(Column("dice", SIDES).measure, before, after) if texts.ledger else ""
    cells = [number(before, 3), number(after, 3, 1.0, mark)]
    cells += [number(case.mean(stage), 3) for stage in staged]
    return [*cells, number(lowest[0] if lowest else None, 3), Cell(lowest[1] if lowest else MISSING)]


def count_of(changes: Sequence[Change], kind: type[Change]) -> int:
    return sum(type(change) is kind for change in changes)


def ledger_table(changes: Sequence[Change], table: StructureTable) -> Table | None:
    """A row per change, the largest first; ``None`` if there is none."""
    if not changes:
        return None
    head = [Heading("kind"), Heading("rule"), Heading("structure"), Heading("piece", "1 is the largest.", "num")]
    head += [Heading("volume, mm³", "What changed hands.", "num"), Heading("before, mm³", "", "num")]
    head += [Heading("after, mm³", "", "num")]
    head += [Heading("distance, mm", "To what it belongs, or the gap that was closed.", "num"), Heading("why")]
    rows = [_ledger_row(change, table) for change in sorted(changes, key=lambda change: -change.volume_mm3)]
    return Table("ledger", head, rows, tall=True)


def _ledger_row(change: Change, table: StructureTable) -> Row:
    kind = kind_of(change)
    known = change.structure in table.names
    cells = [
        Cell(kind, badge=kind),
        Cell(change.rule),
        Cell(change.structure, color=rgb(table[change.structure]) if known else ""),
        number(change.component or None, 0),
        number(change.volume_mm3, 1),
        number(change.before_mm3, 1),
        number(change.after_mm3, 1),
        number(change.distance_mm, 1),
        Cell(change.why, "why"),
    ]
    return Row(cells, " ".join(f"{value:.1f}" for value in change.place_mm))


def kind_of(change: Change) -> str:
    return "removal" if isinstance(change, Removal) else "addition"
