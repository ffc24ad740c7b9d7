"""``corfield report``: the page of what has been run, written from the files of its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..data.case_list import label_maps
from ..errors import InputError
from ..metrics.completion_rows import CompletionRow
from ..metrics.csv_tables import read_rows
from ..metrics.repair_rows import RepairRow
from ..output_checks import refuse_covering
from ..output_record import refuse_foreign, writer, writing_as
from ..report.report_case import ReportCase
from ..report.report_page import write_report
from ..report.report_texts import COMPLETION, REPAIR
from ..report.slice_evaluation_page import METRICS, write_drawn_report
from . import write_completion_report, write_repair_report
from .json_records import read_record
from .output_lock import only_run_in
from .repair_request import check_count
from .report_record import ReportRecord


def run_report(output: Path, page: Path | None = None, reference: Path | None = None, shown: int = 12) -> Path:
    """Write the page of a finished run anew, and give its place.

    The measures are those of the run's ``metrics.csv``: a reference given here is shown, and nothing is scored against
    it. With the run's own settings the page has the bytes that the run has written. The page of an evaluation of hearts
    drawn from one slice (it has a ``metrics.json``) is written by this command alone; its reference is the folder of
    slices that was asked about.

    Args:
        output: folder of a repair, a completion or an evaluation.
        page: the HTML file; ``report/index.html`` in the folder if left out.
        reference: folder of true label maps of the same names, to be shown beside the others; those that the run was
            given if left out.
        shown: how many cases have a section, the worst ones; the tables have all.

    Raises:
        InputError: no such folder, no finished run in it, or another one at work; a label map of it that is gone or
            lies on another grid; a reference folder that holds none of the cases; a place that cannot be written.
    """
    check_count("--cases", shown)
    if not output.is_dir():
        raise InputError(output, "no such folder", "the output of corfield repair or complete", "Check the path.")
    place = output / "report" / "index.html" if page is None else page
    if page is not None:
        refuse_foreign(place)
    if (output / METRICS).is_file():
        with only_run_in(output):
            return write_drawn_report(output, "" if reference is None else reference, shown, place)
    told = ReportRecord.of(read_record(output / "shown.json"), output)
    truth = told.truth if reference is None else find_truth(reference, told.before)
    by = writer() if page is not None else told.work.replace("completion", "complete")
    with only_run_in(output), writing_as(by):
        refuse_covering([place], [path for paths in (told.before, truth) for path in paths.values()])
        cases, title = cases_of(output, told, truth), f"CorField {told.work}"
        texts = COMPLETION if told.work == "completion" else REPAIR
        write_report(place, cases, told.table, title, told.facts, shown, texts)
    return place


def find_truth(reference: Path, before: Mapping[str, Path]) -> dict[str, Path]:
    """The label maps of the truth by case, of as many as there are. Raises ``InputError``: of none."""
    found = {name: path for name, path in label_maps(reference).items() if name in before}
    if not found:
        names = ", ".join(sorted(before)[:3])
        raise InputError(reference, "no label map of any case", f"some of {names}", "Check --reference.")
    return found


def cases_of(output: Path, told: ReportRecord, truth: Mapping[str, Path]) -> list[ReportCase]:
    """The cases as the page wants them, with the measures of the run. Raises ``InputError`` as :func:`run_report`."""
    table = output / "metrics.csv"
    completed = told.work == "completion"
    rows: list[Any] = read_rows(table, CompletionRow if completed else RepairRow)
    strange = sorted({row.case for row in rows} - set(told.before))
    if strange:
        found, wanted = f"measures of {', '.join(strange[:3])}", "those of the run that ended last"
        raise InputError(table, found, wanted, "Give the run's command again: it does what is missing, and no more.")
    if completed:
        return write_completion_report.report_cases(told.before, rows, output, truth)
    return write_repair_report.report_cases(told.before, rows, output, told.final, truth)
