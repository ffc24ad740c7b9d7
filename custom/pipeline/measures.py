"""The measures of every repaired case, kept per case so that a second run measures what is new alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import __version__
from ..anatomy import StructureTable
from ..cohort.label_maps import read_label_map
from ..engines.output import same_grid
from ..errors import InputError
from ..scoring.changes import RepairRow, repair_rows
from .checking import CheckedCase
from .crew import Crew
from .records import digest, read_record, write_record
from .task import Task, stop_if_full


def measure_case(
    case: str, before: str, after: str, reference: str | None, label_table: StructureTable, record: Path, key: str
) -> list[dict[str, Any]]:
    """Measure one case, write its record and give its rows as plain values.

    Raises:
        InputError: a label map is faulty, or the reference lies on another grid.
    """
    old, new = read_label_map(before, label_table), read_label_map(after, label_table)
    truth = None
    if reference is not None:
        true = read_label_map(reference, label_table)
        shape = true.labels.shape
        if shape != old.labels.shape or not same_grid(true.affine, old.affine, shape):
            remedy = "Give references on the grid of the label maps."
            raise InputError(reference, f"a grid of {shape} or another place", f"the grid of {before}", remedy)
        truth = true.labels
    rows = [asdict(row) for row in repair_rows(case, old.labels, new.labels, old.spacing_mm, label_table, truth)]
    write_record(record, {"key": key, "rows": rows})
    return rows


def measure_all(
    cases: Sequence[CheckedCase],
    output: Path,
    references: Mapping[str, Path],
    label_table: StructureTable,
    crew: Crew,
) -> tuple[list[RepairRow], list[str]]:
    """Rows of all cases in their order, and the faults of those that could not be measured, a line each.

    One whose reference is faulty is measured against its input alone, and its reference named among the faults.

    Args:
        cases: whose repaired label maps are measured.
        output: of the repair.
        references: label maps of the truth by case, of as many as there are.
        label_table: of all of them.
        crew: measures.

    Raises:
        InputError: a full disk.
    """
    done: dict[str, list[dict[str, Any]]] = {}
    faulty = _measure(cases, output, references, label_table, crew, done)
    again = [case for case, _ in faulty if case.name in references]
    faulty += _measure(again, output, {}, label_table, crew, done)
    rows = [RepairRow(**row) for case in cases if case.name in done for row in done[case.name]]
    return rows, [fault for _, fault in faulty]


def _measure(
    cases: Sequence[CheckedCase],
    output: Path,
    references: Mapping[str, Path],
    label_table: StructureTable,
    crew: Crew,
    done: dict[str, list[dict[str, Any]]],
) -> list[tuple[CheckedCase, str]]:
    """Put the rows of the cases among those that are done; the cases that could not be measured, and why."""
    tasks = {}
    for case in cases:
        after = output / "repaired" / f"{case.name}.nii.gz"
        reference = references.get(case.name)
        record = output / "measures" / f"{case.name}.json"
        key = digest(__version__, label_table.name, case.path, case.fingerprint, _stamp(after), _stamp(reference))
        known = read_record(record)
        if known.get("key") == key:
            done[case.name] = known["rows"]
            continue
        arguments = {
            "case": case.name,
            "before": case.path,
            "after": str(after),
            "reference": None if reference is None else str(reference),
            "label_table": label_table,
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


def _stamp(path: Path | None) -> list[Any]:
    """What tells a file from the one that was there before."""
    if path is None or not path.is_file():
        return []
    stat = path.stat()
    return [str(path), stat.st_size, stat.st_mtime_ns]
