"""The measures of every repaired case, kept per case so that a second run measures what is new alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import __version__
from ..anatomy import StructureTable
from ..data.label_maps import read_label_map
from ..data.partner_grids import on_grid_of
from ..fingerprints import digest_if_there
from ..metrics.case_scores import score_labels
from ..metrics.repair_rows import RepairRow, repair_rows
from ..output_record import is_own
from .check_label_map import CheckedCase
from .final_label_maps import map_of
from .json_records import digest, read_record, write_record
from .process_pool import ProcessPool
from .repair_request import FINALS, RepairRequest
from .task import Task, stop_if_full


def measure_case(
    case: str,
    before: str,
    after: str,
    reference: str | None,
    stages: Mapping[str, str],
    label_table: StructureTable,
    record: Path,
    key: str,
) -> list[dict[str, Any]]:
    """Measure one case, write its record and give its rows as plain values.

    Args:
        case: its name.
        before, after, reference: its label maps; ``None``: there is no reference.
        stages: its label maps of stage 2 and of stage 3, by the name of a row's columns; empty without a
            reference.
        label_table: of all of them.
        record: where the rows are kept.
        key: that tells them from those of other files.

    Raises:
        InputError: a label map is faulty, or the reference lies on another grid.
    """
    old, new = read_label_map(before, label_table), read_label_map(after, label_table)
    truth = None
    if reference is not None:
        remedy = "Give references on the grid of the label maps."
        truth = on_grid_of(read_label_map(reference, label_table), old, remedy).labels
    rows = [asdict(row) for row in repair_rows(case, old.labels, new.labels, old.spacing_mm, label_table, truth)]
    for stage, path in stages.items():
        assert truth is not None
        found = new.labels if path == after else read_label_map(path, label_table).labels
        for row, score in zip(rows, score_labels(case, found, truth, old.spacing_mm, label_table), strict=True):
            row |= {f"dice_{stage}": score.dice, f"hd95_{stage}_mm": score.hd95_mm}
    write_record(record, {"key": key, "rows": rows})
    return rows


def measure_all(
    cases: Sequence[CheckedCase], request: RepairRequest, references: Mapping[str, Path], crew: ProcessPool
) -> tuple[list[RepairRow], list[str]]:
    """Rows of all cases in their order, and the faults of those that could not be measured, a line each.

    One whose reference is faulty is measured against its input alone, and its reference named among the faults.

    Args:
        cases: whose repaired label maps are measured.
        request: of the repair.
        references: label maps of the truth by case, of as many as there are.
        crew: measures.

    Raises:
        InputError: a full disk.
    """
    done: dict[str, list[dict[str, Any]]] = {}
    faulty = _measure(cases, request, references, crew, done)
    again = [case for case, _ in faulty if case.name in references]
    faulty += _measure(again, request, {}, crew, done)
    rows = [RepairRow(**row) for case in cases if case.name in done for row in done[case.name]]
    return rows, [fault for _, fault in faulty]


def _measure(
    cases: Sequence[CheckedCase],
    request: RepairRequest,
    references: Mapping[str, Path],
    crew: ProcessPool,
    done: dict[str, list[dict[str, Any]]],
) -> list[tuple[CheckedCase, str]]:
    """Put the rows of the cases among those that are done; the cases that could not be measured, and why."""
    tasks = {}
    output, table = request.output, request.table
    for case in cases:
        reference = references.get(case.name)
        stages = stages_of(request, case.name) if reference else {}
        record = output / "measures" / f"{case.name}.json"
        files = [*map(digest_if_there, (map_of(output, "repaired", case.name), reference, *stages.values()))]
        key = digest(__version__, table.name, case.fingerprint, files)
        known = read_record(record)
        if known.get("key") == key:
            done[case.name] = known["rows"]
            continue
        arguments = {
            "case": case.name,
            "before": case.path,
            "after": str(_repaired(request, case.name, stages)),
            "reference": None if reference is None else str(reference),
            "stages": {stage: str(path) for stage, path in stages.items()},
            "label_table": table,
            "record": record,
            "key": key,
        }
        log = output / "logs" / "measures.log"
        tasks[case.name] = Task(case.name, measure_case, arguments, float(case.voxels), log)
    answers = {answer.name: answer for answer in crew.run([*tasks.values()], f"measuring {len(tasks)} cases")}
    for answer in answers.values():
        if not stop_if_full(answer, output).fault:
            done[answer.name] = answer.result
    return [(case, answers[case.name].fault) for case in cases if case.name in answers and answers[case.name].fault]


def _repaired(request: RepairRequest, case: str, stages: Mapping[str, Path]) -> Path:
    """The label map a case ended with: that of its last stage, unless the published copy was corrected by hand."""
    published = map_of(request.output, "repaired", case)
    return stages[request.final] if request.final in stages and is_own(published) else published


def stages_of(request: RepairRequest, case: str) -> dict[str, Path]:
    """The label maps of stage 2 and of stage 3 of a case, by stage; empty unless there are both."""
    paths = {stage: map_of(request.output, stage, case) for stage in FINALS}
    both = not request.skip_unified and all(path.is_file() for path in paths.values())
    return paths if both else {}
