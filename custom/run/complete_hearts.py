"""``corfield complete``: partial label maps in, whole hearts on the same grids out (requirements B3-B5)."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from ..data.case_list import label_maps
from ..errors import InputError
from ..fingerprints import digest_of
from ..metrics.completion_rows import CompletionRow, format_completions, write_completions
from ..output_record import overwriting, remove, writing_as
from ..training.run_bundle import bundle_configs, run_bundle
from .check_label_map import CheckedCase
from .completion_measures import measure_all
from .completion_messages import facts_of, format_plan, idle, places, undrawn, undrawn_cases
from .completion_request import FOLDERS, CompletionRequest, Trained, check
from .final_label_maps import map_of
from .fusion_stage import refuse_other_cases
from .input_cases import CHECKED, read_input_cases, refuse_covered_inputs
from .json_records import digest, read_record, write_record
from .output_lock import only_run_in
from .process_pool import ProcessPool
from .repair_plan import in_words
from .task import Task, full_disk, is_full_disk, stop_if_full
from .write_completion_report import close

LOGGER = logging.getLogger(__name__)

DONE = "done.json"
"""What each completed map was made of: those that are up to date are not made again."""

WRITER = "complete"
"""Who writes, in the records of written files."""

PAGES = ("measures", "report", "logs")
FILES = (*CHECKED, DONE, "shown.json", "metrics.csv", "report/index.html")
"""What a completion writes beside its maps."""


@dataclass(frozen=True)
class CompletionOutcome:
    """What came of a completion.

    Attributes:
        text: for the user.
        rows: of each structure of each completed case.
        faults: of the cases left out, a line each, and of those nothing came of.
        seconds: it took.
    """

    text: str
    rows: tuple[CompletionRow, ...]
    faults: tuple[str, ...]
    seconds: float


def run_complete(request: CompletionRequest, say: Callable[[str], None] = LOGGER.info) -> CompletionOutcome:
    """Complete a data set. Killed at any moment and called again it goes on, and ends with the same files.

    A case that holds no structure at all has nothing to be completed from and is named; a whole heart comes back as it
    is. Of a structure that the network draws nothing of the text says so; a case that it draws nothing at all for is a
    fault.

    Args:
        request: the settings of the run.
        say: prints the plan, before anything costs time.

    Raises:
        InputError: a setting or a checkpoint that cannot be used, no good case at all, a full disk, or another run at
            work.
    """
    begun = time.monotonic()
    trained = check(request)
    others = [request.checkpoint, request.reference]
    with writing_as(WRITER), overwriting(request.overwrite):
        refuse_covered_inputs(request.labels, request.output, (*FOLDERS, *PAGES), FILES, others)
    try:
        with writing_as(WRITER), overwriting(request.overwrite), only_run_in(request.output):
            return _complete(request, trained, say, begun)
    except (OSError, InputError) as error:
        if is_full_disk(error):
            raise full_disk(request.output) from error
        raise


def _complete(
    request: CompletionRequest, trained: Trained, say: Callable[[str], None], begun: float
) -> CompletionOutcome:
    output = request.output
    with ProcessPool(request.hands) as crew:
        intake = read_input_cases(request.labels, output, request.label_table, crew)
        references, unreferenced = find_references(request, [case.name for case in intake.cases])
        cases, empty = with_something(intake.cases)
        signs = signatures(request, cases)
        due = [case for case in cases if not up_to_date(output, case.name, signs[case.name])]
        say(format_plan(request, trained, cases, due, len(intake.faults) + len(empty)))
        drop_outdated(output, [case.name for case in cases], [case.name for case in due])
        failed = complete_all(request, due, signs)
        faults = [*intake.faults, *empty, *failed.values()]
        completed = [case for case in cases if case.name not in failed]
        if not completed:
            raise InputError("complete", f"no case completed [{' | '.join(faults)}]", "at least one", "Mend the cause.")
        rows, unmeasured = measure_all(completed, request, references, crew)
        write_completions(output / "metrics.csv", rows)
        nothing = undrawn_cases(completed, rows)
        told = close(completed, rows, request, references, facts_of(request, trained, cases), crew)
    seconds = time.monotonic() - begun
    text = f"{format_completions(rows, request.table)}\n{undrawn(rows)}{idle(request, completed)}{places(request)}\n"
    text += f"{len(completed)} cases in {in_words(seconds)}"
    return CompletionOutcome(text, tuple(rows), (*faults, *nothing, *unreferenced, *unmeasured, *told), seconds)


def find_references(request: CompletionRequest, names: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """The truth of each case that has one, by case, and remarks on the others; ``InputError`` of a folder that
    holds none."""
    if request.reference is None:
        return {}, []
    found = label_maps(request.reference)
    remedy = "It is completed all the same, and not scored."
    missing = [
        str(InputError(request.reference, f"no label map of case {name}", "one for every case", remedy))
        for name in names
        if name not in found
    ]
    return {name: path for name, path in found.items() if name in names}, missing


def with_something(cases: Sequence[CheckedCase]) -> tuple[list[CheckedCase], list[str]]:
    """The cases that hold a structure, and faults of those that hold background alone.

    Raises:
        InputError: none holds any.
    """
    remedy = "Leave it out, or give one that holds at least one structure."
    faults = [
        str(InputError(case.path, "no structure to complete it from", "a part of a heart", remedy))
        for case in cases
        if not case.structures
    ]
    if len(faults) == len(cases):
        found = f"no label map with a structure in it [{' | '.join(faults)}]"
        raise InputError("complete", found, "at least one", "Give label maps of a part of a heart.")
    return [case for case in cases if case.structures], faults


def signatures(request: CompletionRequest, cases: Sequence[CheckedCase]) -> dict[str, str]:
    """What each completed map is made of, as a digest: label map, weights and settings."""
    settings = [__version__, digest_of(request.checkpoint), request.smooth_given, request.label_table, request.draws]
    return {
        case.name: digest(settings, case.fingerprint, request.missing(case), sorted(case.structures)) for case in cases
    }


def up_to_date(output: Path, case: str, sign: str) -> bool:
    there = all(map_of(output, folder, case).is_file() for folder in FOLDERS)
    return there and read_record(output / DONE).get(case) == sign


def drop_outdated(output: Path, cases: Sequence[str], due: Sequence[str]) -> None:
    """Delete what an earlier run wrote for cases that are not among those of this one, and for those that are due: it
    would pass for theirs, if this run is stopped between two files of one case."""
    record = read_record(output / DONE)
    refuse_other_cases(output, record, cases)
    for case in set(record) - (set(cases) - set(due)):
        for folder in FOLDERS:
            remove(map_of(output, folder, case))
        del record[case]
    write_record(output / DONE, record)


def complete_all(request: CompletionRequest, due: Sequence[CheckedCase], signs: Mapping[str, str]) -> dict[str, str]:
    """Complete the cases that are not up to date, in parallel; the faults of those that failed, by case.

    Raises:
        InputError: a full disk.
    """
    workers = request.workers or (request.hands if request.asked_on == "cpu" else 1)
    workers = max(min(workers, len(due)), 1)
    output, failed = request.output, dict[str, str]()
    tasks = [
        Task(case.name, complete_one, _arguments(request, case), float(case.voxels), output / "logs" / "complete.log")
        for case in due
    ]
    with ProcessPool(workers, max(len(os.sched_getaffinity(0)) // workers, 1)) as crew:
        for answer in crew.run(tasks, "completing"):
            stop_if_full(answer, output)
            if answer.fault:
                failed[answer.name] = answer.fault
                for folder in FOLDERS:
                    remove(map_of(output, folder, answer.name))
            else:
                write_record(output / DONE, read_record(output / DONE) | {answer.name: signs[answer.name]})
    return failed


def _arguments(request: CompletionRequest, case: CheckedCase) -> dict[str, object]:
    return {
        "label": case.path,
        "folders": [str((request.output / folder).absolute()) for folder in FOLDERS],
        "settings": {
            "checkpoint": str(request.checkpoint.absolute()),
            "keep_given": not request.smooth_given,
            "complete_only": list(request.wanted),
            "draws": request.draws,
            "label_table": request.label_table,
            "device": request.asked_on,
        },
    }


def complete_one(label: str, folders: Sequence[str], settings: Mapping[str, object]) -> None:
    """Complete one label map by the bundle, in this process, into a folder for each of :data:`FOLDERS`. Raises
    ``InputError`` as the bundle does."""
    configs = bundle_configs("heart_completion", ["inference"])
    places = dict(zip(("maps_dir", "source_dir", "confidence_dir"), folders, strict=True))
    run_bundle(configs, "infer", dataset_dir=label, save_confidence=True, **places, **settings)
