"""What is shown of a completion: the report, with given, completed and true hearts side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import __version__
from ..anatomy import StructureTable
from ..fingerprints import digest_if_there
from ..metrics.completion_rows import CompletionRow
from ..report.report_case import ReportCase
from ..report.report_page import write_report
from ..report.report_texts import COMPLETION
from .check_label_map import CheckedCase
from .completion_request import CompletionRequest
from .final_label_maps import map_of
from .json_records import digest, read_record, write_record
from .process_pool import ProcessPool
from .report_record import ReportRecord
from .task import Task, stop_if_full

SHOWN = 12
"""Cases that the report shows, the worst ones; the tables have all."""

MEASURES = {"dice": "dice_{}", "hd95_mm": "hd95_{}_mm", "surface_dice": "surface_dice_{}"}
"""A row's measures, and the names that the report has for them, of given and of completed structures."""

SURENESS = ("confidence", "right_if_sure", "right_if_unsure")
"""Measures of completed structures alone, which the report calls the same."""


def measures_of(row: CompletionRow) -> dict[str, Any]:
    """A row's values under the names that the report has for them; without a truth there are volume and pieces."""
    scores = {name.format(row.source): getattr(row, own) for own, name in MEASURES.items()}
    sure = {name: getattr(row, name) for name in SURENESS}
    return {**scores, **sure, "volume_mm3_after": row.volume_mm3, "components_after": row.components}


def report_cases(
    before: Mapping[str, Path], rows: Sequence[CompletionRow], output: Path, references: Mapping[str, Path]
) -> list[ReportCase]:
    """The cases as the report wants them: label maps as they were given and those of the truth, by case."""
    measures: dict[str, dict[str, Any]] = {name: {} for name in before}
    for row in rows:
        measures[row.case][row.structure] = measures_of(row)
    return [
        ReportCase(
            name,
            path,
            map_of(output, "completed", name),
            measures=measures[name],
            truth=references.get(name),
        )
        for name, path in before.items()
    ]


def close(
    cases: Sequence[CheckedCase],
    rows: Sequence[CompletionRow],
    request: CompletionRequest,
    references: Mapping[str, Path],
    facts: Mapping[str, str],
    crew: ProcessPool,
) -> list[str]:
    """Write ``report/index.html``, unless it is there and up to date; the faults, a line each.

    A reference that was of no use for a case's measures is not shown either.

    Raises:
        InputError: a full disk.
    """
    output = request.output
    scored = {row.case for row in rows if row.dice is not None}
    usable = {name: path for name, path in references.items() if name in scored}
    before = {case.name: Path(case.path) for case in cases}
    shown = report_cases(before, rows, output, usable)
    told = ReportRecord("completion", request.label_table, dict(facts), before, usable).plain()
    page = output / "report" / "index.html"
    stamps = [digest_if_there(path) for case in shown for path in case.files]
    key = digest(__version__, dict(facts), request.label_table, [asdict(row) for row in rows], stamps)
    if read_record(output / "shown.json") == {"key": key, "told": told} and page.is_file():
        return []
    arguments = {"page": page, "cases": shown, "table": request.table, "facts": dict(facts)}
    task = Task("report", show, arguments, 10.0, output / "logs" / "report.log")
    faults = [answer.fault for answer in list(crew.run([task], "report")) if stop_if_full(answer, output).fault]
    if not faults:
        write_record(output / "shown.json", {"key": key, "told": told})
    return faults


def show(page: Path, cases: Sequence[ReportCase], table: StructureTable, facts: Mapping[str, str]) -> None:
    """Write the report."""
    write_report(page, cases, table, "CorField completion", facts, SHOWN, COMPLETION)
