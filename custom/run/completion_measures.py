"""The measures of every completed case, kept per case so that a second run measures what is new alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..anatomy import StructureTable
from ..data.label_maps import read_label_map, read_values
from ..data.partner_grids import on_grid_of
from ..fingerprints import digest_if_there
from ..metrics.completion_rows import CompletionRow, completion_rows
from .check_label_map import CheckedCase
from .completion_request import CompletionRequest
from .final_label_maps import map_of
from .json_records import digest, read_record, write_record
from .process_pool import ProcessPool
from .task import Answer, Task, stop_if_full


def measure_case(
    case: str,
    completed: Path,
    confidence: Path,
    sources: dict[str, str],
    reference: Path | None,
    label_table: StructureTable,
    tolerance_mm: float,
    record: Path,
    key: str,
) -> list[dict[str, Any]]:
    """Measure one case, write its record and give its rows as plain values.

    Args:
        case: its name.
        completed, reference: its label maps; ``None``: there is no reference.
        confidence: its confidence map.
        sources: ``given`` or ``completed`` of each structure.
        label_table: of both.
        tolerance_mm: of the surface Dice.
        record: where the rows are kept.
        key: that tells them from those of other files.

    Raises:
        InputError: a label map is faulty, or the reference lies on another grid.
    """
    found, truth = read_label_map(completed, label_table), None
    if reference is not None:
        truth = on_grid_of(read_label_map(reference, label_table), found).labels
    sure = read_values(confidence)[0].astype(np.float32, copy=False)
    rows = completion_rows(case, found.labels, sources, found.spacing_mm, label_table, truth, tolerance_mm, sure)
    plain = [asdict(row) for row in rows]
    write_record(record, {"key": key, "rows": plain})
    return plain


def measure_all(
    cases: Sequence[CheckedCase], request: CompletionRequest, references: Mapping[str, Path], crew: ProcessPool
) -> tuple[list[CompletionRow], list[str]]:
    """Rows of all cases in their order, and the faults of those that could not be measured, a line each.

    One whose reference is faulty is measured without it, and its reference named among the faults.

    Args:
        cases: completed.
        request: of the completion.
        references: label maps of the truth by case, of as many as there are.
        crew: measures.

    Raises:
        InputError: a full disk.
    """
    rows, answers = _measured(cases, request, references, crew)
    failed = [case for case in cases if case.name in answers]
    again, worse = _measured(failed, request, {}, crew) if failed else ({}, {})
    rows |= again
    faults = [answer.fault for answer in (*answers.values(), *worse.values())]
    return [row for case in cases for row in rows.get(case.name, ())], list(dict.fromkeys(faults))


def _measured(
    cases: Sequence[CheckedCase], request: CompletionRequest, references: Mapping[str, Path], crew: ProcessPool
) -> tuple[dict[str, list[CompletionRow]], dict[str, Answer]]:
    """Rows by case, and the results of those that failed."""
    rows, tasks = dict[str, list[CompletionRow]](), []
    for case in cases:
        completed, reference = map_of(request.output, "completed", case.name), references.get(case.name)
        record, sources = request.output / "measures" / f"{case.name}.json", request.sources(case)
        confidence = map_of(request.output, "confidence", case.name)
        files = [digest_if_there(path) for path in (completed, confidence, reference)]
        key = digest(__version__, files, sources, request.label_table, request.tolerance_mm)
        known = read_record(record)
        if known.get("key") == key:
            rows[case.name] = [CompletionRow(**row) for row in known["rows"]]
            continue
        arguments: dict[str, Any] = {"case": case.name, "completed": completed, "sources": sources}
        arguments |= {"confidence": confidence}
        arguments |= {"reference": reference, "label_table": request.table, "tolerance_mm": request.tolerance_mm}
        tasks.append(Task(case.name, measure_case, {**arguments, "record": record, "key": key}, float(case.voxels)))
    failed = {}
    for answer in [stop_if_full(answer, request.output) for answer in list(crew.run(tasks, "measuring"))]:
        if answer.fault:
            failed[answer.name] = answer
        else:
            rows[answer.name] = [CompletionRow(**row) for row in answer.result]
    return rows, failed
