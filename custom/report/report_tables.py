"""The page's tables: by structure, by case, one case's measures, one case's ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

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


def number(value: float | int | None, digits: int = 2, factor: float = 1.0, mark: str = "") -> str:
    """A cell that is sorted by its value."""
    name = f"num {mark}".strip()
    sort_by = "" if value is None or value != value else f"{value:.9g}"
    return f'<td class="{name}" data-v="{sort_by}">{written(value, digits, factor)}</td>'


def text(value: str, name: str = "") -> str:
    """A cell of words."""
    return f"<td{_class(name)}>{escape(value)}</td>"


def heading(title: str, about: str = "", name: str = "") -> str:
    """A column's heading, which sorts the table by it."""
    tip = f' title="{escape(about)}"' if about else ""
    return f'<th scope="col"{_class(name)}><button type="button"{tip}>{escape(title)}</button></th>'


def swatch(structure: Structure) -> str:
    """The structure's colour and name."""
    return f'<i class="swatch" style="background:{rgb(structure)}"></i>{escape(structure.name)}'


def rgb(structure: Structure) -> str:
    return f"rgb({','.join(map(str, structure.color))})"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _framed(name: str, head: str, rows: Iterable[str], foot: str = "") -> str:
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    tail = f"<tfoot><tr>{foot}</tr></tfoot>" if foot else ""
    return f'<div class="scroll"><table class="{name}"><thead>{head}</thead>\n<tbody>{body}</tbody>{tail}</table></div>'


def _measured_head(columns: Sequence[Column]) -> str:
    groups = "".join(
        f'<th scope="colgroup" class="group" colspan="{len(column.sides)}" title="{escape(column.measure.about)}">'
        f"{escape(column.measure.title)}</th>"
        for column in columns
    )
    # A measure that stands alone is the value itself, so its button says no more than that.
    singles = "".join(
        heading(side or "value", f"Sort by {column.measure.title} {side}".strip(), "num")
        for column in columns
        for side in column.sides
    )
    expected = "Connected pieces of a whole heart."
    return (
        f'<tr><th colspan="2"></th>{groups}</tr>'
        f"<tr>{heading('structure')}{heading('expected', expected, 'num')}{singles}</tr>"
    )


def structures_table(cases: Sequence[ReportCase], table: StructureTable) -> str:
    """A row per structure with the means over the cases, and the mean of these means; pieces are counted instead."""
    columns = columns_of(cases)
    rows = []
    for structure in table:
        cells = [f"<th scope='row'>{swatch(structure)}</th>", number(structure.components, 0)]
        for column in columns:
            if column.stem == "components":
                cells += [_share(pieces_right(cases, structure, side)) for side in column.sides if side]
                continue
            cells += _pair(column, [mean_value(cases, structure.name, column.key(side)) for side in column.sides])
        rows.append("".join(cells))
    foot = ["<th scope='row'>mean</th><td></td>"]
    for column in columns:
        if column.stem == "components":
            foot += [_share(all_pieces_right(cases, table, side)) for side in column.sides if side]
            continue
        keys = [column.key(side) for side in column.sides]
        foot += _pair(column, [mean_of(mean_value(cases, name, key) for name in table.names) for key in keys])
    return _framed("structures", _measured_head(columns), rows, "".join(foot))


def _pair(column: Column, values: Sequence[float | None]) -> list[str]:
    measure = column.measure
    marks = [""] * len(values)
    if column.sides == SIDES:
        marks[1] = verdict(measure, *values)
    return [number(value, measure.digits, measure.factor, mark) for value, mark in zip(values, marks, strict=True)]


def _share(counts: tuple[int, int]) -> str:
    right, present = counts
    if not present:
        return f'<td class="num" data-v="">{MISSING}</td>'
    mark = "" if right == present else " worse"
    return (
        f'<td class="num{mark}" data-v="{right / present:.9g}" title="cases with the expected pieces">'
        f"{right} of {present}</td>"
    )


def case_table(case: ReportCase, table: StructureTable) -> str:
    """A row per structure of one case; empty if the case has no measure."""
    columns = columns_of([case])
    if not columns:
        return ""
    rows = []
    for structure in table:
        wanted = wanted_pieces(case, structure)
        cells = [f"<th scope='row'>{swatch(structure)}</th>", number(wanted, 0)]
        for column in columns:
            values = [case.value(structure.name, column.key(side)) for side in column.sides]
            cells += (
                _counted(wanted_pieces(case, structure), values)
                if column.stem == "components"
                else _pair(column, values)
            )
        rows.append("".join(cells))
    return _framed("structures", _measured_head(columns), rows)


def _counted(wanted: int, values: Sequence[float | None]) -> list[str]:
    return [number(value, 0, 1.0, "worse" if value not in (None, wanted) else "") for value in values]


def cases_table(
    cases: Sequence[ReportCase],
    differences: Sequence[Difference],
    table: StructureTable,
    detailed: int,
    story: ReportTexts = REPAIR,
) -> str:
    """A row per case in the order given; the first ``detailed`` link to their section."""
    scored = any(case.lowest_dice for case in cases)
    staged = [stage for stage in STAGES if any(case.mean(stage) is not None for case in cases)]
    counted = any(column.stem == "components" for column in columns_of(cases))
    head = [heading("case"), heading("changed, mm³", "Voxels whose label differs.", "num")]
    head += [heading("changed, %", "Of the volume labelled before.", "num")]
    head += [heading("removed, mm³", "", "num"), heading("added, mm³", "", "num")]
    head += [heading("renamed, mm³", "Passed from one structure to another.", "num")]
    kinds = {"removals": Removal, "additions": Addition} if story.ledger else {}
    head += [heading(name, "Entries of the ledger.", "num") for name in kinds]
    if scored:
        head += [heading(title, "", "num") for title in story.means]
        head += [heading(f"mean {KNOWN[stage].title}", KNOWN[stage].about, "num") for stage in staged]
        head += [heading("lowest Dice", "After, of all structures.", "num"), heading("of")]
    if counted:
        head += [heading("pieces right", "Structures with the expected number of pieces, after.", "num")]
    rows = []
    for row, (case, found) in enumerate(zip(cases, differences, strict=True)):
        name = escape(case.name)
        link = f'<a href="#case-{row}">{name}</a>' if row < detailed else name
        cells = [f"<th scope='row'>{link}</th>", number(found.changed_mm3, 0), number(found.changed_share, 1, 100.0)]
        cells += [number(value, 0) for value in (found.removed_mm3, found.added_mm3, found.renamed_mm3)]
        cells += [number(count_of(case.changes, kind), 0) for kind in kinds.values()]
        cells += _scored_cells(case, staged, story) if scored else []
        cells += [_share(all_pieces_right([case], table, "after"))] if counted else []
        rows.append("".join(cells))
    return _framed("cases", f"<tr>{''.join(head)}</tr>", rows)


def _scored_cells(case: ReportCase, staged: Sequence[str], story: ReportTexts) -> list[str]:
    (before, after), lowest = (case.mean(measure) for measure in story.means.values()), case.lowest_dice
    # Given and completed structures are others: one is not worse than the other.
    mark = verdict(Column("dice", SIDES).measure, before, after) if story.ledger else ""
    cells = [number(before, 3), number(after, 3, 1.0, mark)]
    cells += [number(case.mean(stage), 3) for stage in staged]
    return [*cells, number(lowest[0] if lowest else None, 3), text(lowest[1] if lowest else MISSING)]


def count_of(changes: Sequence[Change], kind: type[Change]) -> int:
    return sum(type(change) is kind for change in changes)


def ledger_table(changes: Sequence[Change], table: StructureTable) -> str:
    """A row per change, the largest first; a sentence if there is none."""
    if not changes:
        return '<p class="quiet">The ledger is empty: no component was removed, bridged or filled.</p>'
    head = [heading("kind"), heading("rule"), heading("structure"), heading("piece", "1 is the largest.", "num")]
    head += [heading("volume, mm³", "What changed hands.", "num"), heading("before, mm³", "", "num")]
    head += [heading("after, mm³", "", "num")]
    head += [heading("distance, mm", "To what it belongs, or the gap that was closed.", "num"), heading("why")]
    rows = [_ledger_row(change, table) for change in sorted(changes, key=lambda change: -change.volume_mm3)]
    body = "\n".join(rows)
    return (
        '<div class="scroll tall"><table class="ledger"><thead><tr>'
        f"{''.join(head)}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


def _ledger_row(change: Change, table: StructureTable) -> str:
    kind = kind_of(change)
    known = change.structure in table.names
    structure = swatch(table[change.structure]) if known else escape(change.structure)
    place = " ".join(f"{value:.1f}" for value in change.place_mm)
    cells = [
        f'<td><span class="kind {kind}">{kind}</span></td>',
        text(change.rule),
        f"<td>{structure}</td>",
        number(change.component or None, 0),
        number(change.volume_mm3, 1),
        number(change.before_mm3, 1),
        number(change.after_mm3, 1),
        number(change.distance_mm, 1),
        text(change.why, "why"),
    ]
    return f'<tr data-place="{place}">{"".join(cells)}</tr>'


def kind_of(change: Change) -> str:
    return "removal" if isinstance(change, Removal) else "addition"
