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
    tasks = []
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
        tasks.append(Task(case.name, measure_case, arguments, float(case.voxels), output / "logs" / "measures.log"))
    faults = []
    for answer in list(crew.run(tasks, f"measuring {len(tasks)} cases")):
        if stop_if_full(answer, output).fault:
            faults.append(answer.fault)
        else:
            done[answer.name] = answer.result
    rows = [RepairRow(**row) for case in cases if case.name in done for row in done[case.name]]
    return rows, faults


def _stamp(path: Path | None) -> list[Any]:
    """What tells a file from the one that was there before."""
    if path is None or not path.is_file():
        return []
    stat = path.stat()
    return [str(path), stat.st_size, stat.st_mtime_ns]
