"""What is shown of a repair: the report, TensorBoard's pictures, files for 3D Slicer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from .. import __version__
from ..anatomy import StructureTable
from ..data.label_maps import read_label_map
from ..data.seg_nrrd import SUFFIX, write_seg_nrrd
from ..fingerprints import digest_if_there
from ..metrics.repair_rows import RepairRow
from ..output_record import is_own, may_overwrite, record_event_files, remove_tree
from ..report.measure_columns import WANTED
from ..report.report_case import Difference, ReportCase, worst_first
from ..report.report_page import write_report
from ..report.slice_pictures import slice_picture
from .check_label_map import CheckedCase
from .final_label_maps import final_changes, map_of
from .json_records import digest, read_record, write_record
from .process_pool import ProcessPool
from .repair_request import RepairRequest
from .report_record import ReportRecord
from .task import Task, stop_if_full

SHOWN = 12
"""Cases that the report and TensorBoard show, the worst ones; the tables have all."""

UNPAIRED = ("kept_share", "removed_mm3", "added_mm3", "dice_fused", "dice_unified")
PAIRED = {
    "dice": "dice_{}", "hd95_mm": "hd95_{}_mm", "assd_mm": "assd_{}_mm", "surface_dice": "surface_dice_{}",
    "components": "components_{}", "contact_share": "contact_share_{}", "volume_mm3": "volume_{}_mm3",
    "holes": "holes_{}", "isoperimetric": "isoperimetric_{}",
}  # fmt: skip
"""The report's name of a measure, and the metrics' own, before and after."""


def measures_of(row: RepairRow) -> dict[str, Any]:
    """A row's values under the names that the report has for them."""
    values = asdict(row)
    sides = {f"{stem}_{side}": values[own.format(side)] for stem, own in PAIRED.items() for side in ("before", "after")}
    wanted = row.components_expected if row.components_reference is None else row.components_reference
    return sides | {name: values[name] for name in UNPAIRED} | {WANTED: wanted}


def report_cases(
    before: Mapping[str, Path],
    rows: Sequence[RepairRow],
    output: Path,
    final: str,
    truth: Mapping[str, Path] | None = None,
) -> list[ReportCase]:
    """The cases as the report wants them; what neither label map nor reference has is left out of the measures.

    Args:
        before: label map of each case as it came, by its name.
        rows: their measures.
        output: of the repair.
        final: whose label maps it ended with.
        truth: label maps of the truth to be shown beside them, of as many as there are.
    """
    measures: dict[str, dict[str, Any]] = {name: {} for name in before}
    for row in rows:
        if not row.absent:
            measures[row.case][row.structure] = measures_of(row)
    return [
        ReportCase(
            name,
            path,
            map_of(output, "repaired", name),
            final_changes(output, name, final),
            measures[name],
            (truth or {}).get(name),
        )
        for name, path in before.items()
    ]


def close(
    cases: Sequence[CheckedCase],
    rows: Sequence[RepairRow],
    request: RepairRequest,
    facts: Mapping[str, str],
    crew: ProcessPool,
) -> list[str]:
    """Write what shows the repair, unless it is there and up to date; the faults, a line each.

    Args:
        cases: that were repaired.
        rows: their measures.
        request: of the repair. In its output ``report/index.html``, ``tensorboard`` and ``slicer`` are written.
        facts: what was run, for the head of the report.
        crew: does it.

    Raises:
        InputError: a full disk.
    """
    output, table = request.output, request.table
    before = {case.name: Path(case.path) for case in cases}
    shown = report_cases(before, rows, output, request.final)
    page, pictures, log = output / "report" / "index.html", output / "tensorboard", output / "logs" / "report.log"
    key = digest(__version__, dict(facts), table.name, [asdict(row) for row in rows], [_stamp(case) for case in shown])
    known = read_record(output / "shown.json")
    tasks = []
    if known.get("key") != key or not _is_there(page) or not pictures.is_dir():
        arguments = {"page": page, "pictures": pictures, "cases": shown, "table": table, "facts": dict(facts)}
        tasks.append(Task("report", show, arguments, 10.0, log))
    stamps = {case.name: _stamp(case) for case in shown} if request.seg_nrrd else {}
    for case in shown if request.seg_nrrd else ():
        path = output / "slicer" / f"{case.name}{SUFFIX}"
        if not _is_there(path) or known.get("slicer", {}).get(case.name) != stamps[case.name]:
            tasks.append(Task(case.name, show_in_slicer, {"after": case.after, "path": path, "table": table}, log=log))
    answers = [stop_if_full(answer, output) for answer in list(crew.run(tasks, "report"))]
    faults = [answer.fault for answer in answers if answer.fault]
    if not faults:
        changes = {name: dict(fields) for name, fields in request.table_changes.items()}
        told = ReportRecord(
            "repair", request.label_table, dict(facts), before, table_changes=changes, final=request.final
        )
        write_record(output / "shown.json", {"key": key, "slicer": stamps, "told": told.plain()})
    return faults


def _is_there(path: Path) -> bool:
    """Whether a file is there and need not be written anew; an edited one is, where it may be overwritten."""
    return path.is_file() and (not may_overwrite() or is_own(path))


def show(
    page: Path, pictures: Path, cases: Sequence[ReportCase], table: StructureTable, facts: Mapping[str, str]
) -> None:
    """Write the report, and slices of the worst cases, before, after and change, as pictures for TensorBoard."""
    write_report(page, cases, table, "CorField repair", facts, SHOWN)
    worst, _ = worst_first(cases, [changed(case) for case in cases])
    remove_tree(pictures)
    with SummaryWriter(str(pictures)) as writer:
        for case in worst[:SHOWN]:
            picture = slice_picture(*case.read(table), table)
            writer.add_image(f"{case.name}: before | after | change", picture, dataformats="HWC")
    record_event_files(pictures)


def changed(case: ReportCase) -> Difference:
    """The change of a case, by its measures; what passed from one structure to another counts on both sides."""
    lost, won, had = (
        sum((case.value(name, column) or 0.0 for name in case.measures), 0.0)
        for column in ("removed_mm3", "added_mm3", "volume_mm3_before")
    )
    return Difference(lost, won, 0.0, had)


def show_in_slicer(after: Path, path: Path, table: StructureTable) -> None:
    """Write one repaired case as a segmentation for 3D Slicer."""
    found = read_label_map(after, table)
    write_seg_nrrd(path, found.labels, found.affine, table)


def _stamp(case: ReportCase) -> list[Any]:
    """What a case's part of the page is made of: the label maps, and where the page's command finds the first again."""
    files = [digest_if_there(path) for path in (case.before, case.after)]
    return [case.name, str(case.before), files, len(case.changes)]
