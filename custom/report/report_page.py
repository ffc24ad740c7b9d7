"""The report: one HTML file that holds all it shows and opens without a network."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from ..anatomy import StructureTable
from ..errors import InputError
from ..files import write_file
from ..rules.ledger import Addition, Removal
from .case_section import section
from .measure_columns import KNOWN, all_pieces_right, columns_of, counted, mean_value, verdict, written
from .page_template import render
from .report_case import ReportCase, difference, mean_of, worst_first
from .report_texts import REPAIR, ReportTexts
from .table_rows import cases_table, count_of, rgb, structures_table

_TILES = ("dice", "hd95_mm", "assd_mm", "components", "contact_share")
"""The measures at the head of the page."""


def write_report(
    path: Path,
    cases: Sequence[ReportCase],
    table: StructureTable,
    title: str,
    summary: Mapping[str, str] | None = None,
    details: int = 12,
    texts: ReportTexts = REPAIR,
) -> None:
    """Write the page, whole or not at all; equal cases give equal bytes.

    Every case is in the tables; the worst ones have a section with slices, surfaces and ledger as well. Label maps are
    read one case at a time. A case whose result is empty, a structure alone, a case without changes or without
    measures are shown as what they are.

    Args:
        path: of the HTML file; its folder is made.
        cases: in any order.
        table: structures, their colours and how many pieces are expected of each.
        title: of the page.
        summary: what was run, as names and values.
        details: how many cases have a section.
        texts: of a repair or of a completion.

    Raises:
        InputError: no case, two of one name, a label map that cannot be read, or a place that cannot be written.
    """
    _check(path, cases)
    ordered, found = worst_first(cases, [difference(*case.read(table)) for case in cases])
    sections = [section(row, ordered[row], found[row], table, texts) for row in range(min(details, len(ordered)))]
    page = render(
        "report.html",
        title=title,
        library=_library() if sections else "",
        summary=_facts(ordered, table, summary or {}, texts),
        tiles=_tiles(ordered, table) + _lone_tiles(ordered, table, texts),
        legend=[{"name": structure.name, "color": rgb(structure)} for structure in table],
        structures=structures_table(ordered, table) if columns_of(ordered) else None,
        order=texts.order_scored if any(case.lowest_dice for case in ordered) else texts.order_unscored,
        cases=cases_table(ordered, found, table, len(sections), texts),
        shown=_shown(len(sections), len(ordered)),
        texts=texts,
        sections=sections,
    )
    write_file(path, page)


def _check(path: Path, cases: Sequence[ReportCase]) -> None:
    if not cases:
        raise InputError(path, "no case", "at least one", "Repair a case first.")
    names = [case.name for case in cases]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(path, f"two cases named {twice!r}", "one name for each case", "Rename one of them.")


def _library() -> str:
    """Plotly's script, a third of its size."""
    return base64.b64encode(gzip.compress(get_plotlyjs().encode("utf-8"), 9, mtime=0)).decode("ascii")


def _facts(
    cases: Sequence[ReportCase], table: StructureTable, summary: Mapping[str, str], texts: ReportTexts
) -> dict[str, str]:
    changes = [change for case in cases for change in case.changes]
    counts = counted(count_of(changes, Removal), "removal"), counted(count_of(changes, Addition), "addition")
    return {
        "cases": written(len(cases), 0),
        "structures": str(len(table)),
        **({"ledger": ", ".join(counts)} if texts.ledger else {}),
        **summary,
    }


def _tiles(cases: Sequence[ReportCase], table: StructureTable) -> list[dict[str, Any]]:
    """Means over structures and cases, before and after, of the measures that come in pairs."""
    tiles = []
    for column in columns_of(cases):
        if column.stem not in _TILES or column.sides != ("before", "after"):
            continue
        measure = KNOWN[column.stem]
        if column.stem == "components":
            counts = [all_pieces_right(cases, table, side) for side in column.sides]
            shown = [f"{right}/{present}" for right, present in counts]
            mark, name = "better" if counts[1][0] > counts[0][0] else "", "expected pieces"
        else:
            keys = [column.key(side) for side in column.sides]
            means = [mean_of(mean_value(cases, structure, key) for structure in table.names) for key in keys]
            shown = [written(mean, measure.digits, measure.factor) for mean in means]
            mark, name = verdict(measure, *means), f"mean {measure.title}"
        tiles.append({"name": name, "about": measure.about, "before": shown[0], "after": shown[1], "mark": mark})
    return tiles


def _lone_tiles(cases: Sequence[ReportCase], table: StructureTable, texts: ReportTexts) -> list[dict[str, Any]]:
    """Means over structures and cases of the measures that stand alone."""
    tiles = []
    for key in texts.tiles:
        measure, mean = KNOWN[key], mean_of(mean_value(cases, name, key) for name in table.names)
        if mean is not None:
            shown = written(mean, measure.digits, measure.factor)
            tiles.append({"name": f"mean {measure.title}", "about": measure.about, "before": None, "after": shown})
    return tiles


def _shown(detailed: int, count: int) -> str:
    if detailed == count:
        return "Every case, worst first."
    return f"The worst {detailed} of {count} cases; the table above lists all."
