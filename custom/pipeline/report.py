"""``corfield report``: the page of what has been run, written from the files of its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..cohort.cases import label_maps
from ..errors import InputError
from ..report.case import ReportCase
from ..report.drawn_page import METRICS, write_drawn_report
from ..report.page import write_report
from ..report.story import COMPLETION, REPAIR
from ..scoring.changes import RepairRow
from ..scoring.completions import CompletionRow
from ..scoring.tables import read_rows
from . import closing, completion_page
from .lock import only_run_in
from .records import read_record
from .request import check_count
from .told import Told


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
    if (output / METRICS).is_file():
        with only_run_in(output):
            return write_drawn_report(output, "" if reference is None else reference, shown, place)
    told = Told.of(read_record(output / "shown.json"), output)
    truth = told.truth if reference is None else find_truth(reference, told.before)
    with only_run_in(output):
        cases, title = cases_of(output, told, truth), f"CorField {told.work}"
        story = COMPLETION if told.work == "completion" else REPAIR
        write_report(place, cases, told.table, title, told.facts, shown, story)
    return place


def find_truth(reference: Path, before: Mapping[str, Path]) -> dict[str, Path]:
    """The label maps of the truth by case, of as many as there are. Raises ``InputError``: of none."""
    found = {name: path for name, path in label_maps(reference).items() if name in before}
    if not found:
        names = ", ".join(sorted(before)[:3])
        raise InputError(reference, "no label map of any case", f"some of {names}", "Check --reference.")
    return found


def cases_of(output: Path, told: Told, truth: Mapping[str, Path]) -> list[ReportCase]:
    """The cases as the page wants them, with the measures of the run. Raises ``InputError`` as :func:`run_report`."""
    table = output / "metrics.csv"
    if told.work == "completion":
        return completion_page.report_cases(told.before, read_rows(table, CompletionRow), output, truth)
    return closing.report_cases(told.before, read_rows(table, RepairRow), output, told.final, truth)
