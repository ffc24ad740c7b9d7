"""The steps of a repair, each a process of its own: what the jobs of ``workflow/Snakefile`` call.

Together they write the files that ``corfield repair`` writes, by the same functions. What is up to date is left alone
by each, whichever of the two has made it, and one that was killed goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from ..metrics.repair_rows import format_repairs
from ..output_record import allow_overwriting, overwriting, remove_tree, writing_as
from .final_label_maps import kept_files, map_of, publish
from .fusion_stage import drop_outdated, fuse, fusion_settings, stage2_settings
from .input_cases import read_input_cases
from .json_records import read_record, write_record
from .output_lock import only_run_in
from .process_pool import ProcessPool
from .repair_labels import check_places, dropped, find_references, losses, measure_and_report
from .repair_plan import check_room
from .repair_request import check
from .stage1_structures import escape_monai, finish, infer, missing_cases, train_field
from .stage_table import format_stages
from .task import faults_of
from .torchrun_training import TOGETHER, train_by
from .unified_stage import begin, is_packed, leave_out, pack, settle
from .workflow_plan import WorkflowPlan, batches_of, read_workflow_plan, request_of, write_workflow_plan

LOGGER = logging.getLogger(__name__)

NOTING = ("fuse", "draw")
"""The kinds of jobs that note the faults of cases in their marks."""


def plan(path: Path, asked: dict[str, Any], cases_per_job: int, workers: int) -> None:
    """Read every label map, and write down what is to be done.

    Args:
        path: of the blueprint. Beside its folder lie those of other runs, which are cleared away.
        asked: settings, see :func:`custom.run.workflow_plan.request_of`.
        cases_per_job: that inference and fusion take together.
        workers: processes.

    Raises:
        InputError: a setting that cannot be used, no good case at all, no room, or another run at work.
    """
    request = request_of(asked)
    check(request)
    check_places(request)
    with overwriting(request.overwrite), only_run_in(request.output), ProcessPool(workers) as crew:
        intake = read_input_cases(request.labels, request.output, request.table, crew)
        names = tuple(case.name for case in intake.cases)
        find_references(request, names)  # one that cannot be used is refused before anything costs time
        made = WorkflowPlan(request, intake.cases, intake.faults, batches_of(names, cases_per_job))
        check_room(made.plan, request.output)
        for line in dropped(drop_outdated(request.output, names)):
            LOGGER.warning("%s", line)
        _clear(request.output / "stage1" / "masks", made.structures)
        _clear(path.parents[1], (path.parent.name,))
        write_workflow_plan(path, asked, made)


def _clear(folder: Path, keep: Sequence[str]) -> None:
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.name not in keep:
            remove_tree(entry)


def train(blueprint: WorkflowPlan, structure: str, device: str, processes: int) -> None:
    """Train one structure's field, and clear its masks away if they are out of date.

    Args:
        blueprint: of the repair.
        structure: which.
        device: where, ``cpu`` or ``cuda``.
        processes: how many, each with a GPU of its own on ``cuda``.

    Raises:
        InputError: no such device here, or too few of them; or what the bundle refuses.
    """
    blueprint = checked(blueprint, device, processes)
    job, begun = blueprint.job(structure), time.monotonic()
    train_field(job, partial(train_by, processes=processes, device=device))
    # Whether the masks are there is looked at besides: with them this is the record of what is done.
    finish(job, read_record(job.record).get("seconds") or time.monotonic() - begun)
    remove_tree(job.run_dir / TOGETHER)


def checked(blueprint: WorkflowPlan, device: str, processes: int) -> WorkflowPlan:
    """The blueprint of a training job: its request's device is that of the job.

    Raises:
        InputError: no such device here, or too few of them.
    """
    request = replace(blueprint.request, device=device)
    if processes == 1:
        check(request)
    elif device != "cpu" and torch.cuda.device_count() < processes:
        found = f"{torch.cuda.device_count()} GPUs"
        raise InputError("processes", found, f"{processes}, one for each", "Ask for fewer, or for device=cpu.")
    return replace(blueprint, request=request)


def infer_batch(blueprint: WorkflowPlan, structure: str, batch: str) -> None:
    """Write one structure's masks of a batch of cases. A fault of a case is printed here, and noted by
    :func:`fuse_batch`, which misses its mask."""
    infer(blueprint.job(structure), blueprint.batches[batch])


def fuse_batch(blueprint: WorkflowPlan, batch: str, mark: Path) -> None:
    """Make one heart of each case of a batch; faults of a case are printed and noted, the others are done."""
    request = blueprint.request
    settings = {**fusion_settings(request.output, bool(blueprint.structures)), **stage2_settings(request)}

    def fused(cases: Sequence[str]) -> None:
        fuse({**settings, "only_cases": escape_monai(cases)})

    write_record(mark, {"faults": faults_of(blueprint.batches[batch], fused)})


def unify(blueprint: WorkflowPlan, device: str, processes: int, threads: int) -> None:
    """Train the whole heart's field on the fused label maps, as :func:`train` does a structure's.

    Args:
        blueprint: of the repair.
        device: where, ``cpu`` or ``cuda``.
        processes: how many, each with a GPU of its own on ``cuda``.
        threads: of each.

    Raises:
        InputError: as :func:`train`; or no case is fused.
    """
    blueprint = checked(blueprint, device, processes)
    blueprint = replace(blueprint, request=replace(blueprint.request, workers=threads))
    job, begun = blueprint.heart(blueprint.fused), time.monotonic()
    if job is None:
        raise InputError("stage 3", "no fused label map that holds anything", "at least one", "See what stage 2 says.")
    begin(job)
    train_field(job, partial(train_by, processes=processes, device=device))
    finish(job, read_record(job.record).get("seconds") or time.monotonic() - begun)
    remove_tree(job.run_dir / TOGETHER)


def draw_batch(blueprint: WorkflowPlan, batch: str, mark: Path) -> None:
    """Draw a batch of cases from the whole heart's field, and apply the rules; faults are noted."""
    job = blueprint.heart(blueprint.fused)
    faults = list[str]()
    if job is not None:
        cases = [case for case in blueprint.batches[batch] if case in job.cases]
        faults = faults_of(cases, partial(infer, job)) if cases else []
        drawn = [case for case in cases if case not in missing_cases(job)]
        rules = stage2_settings(blueprint.request)
        faults += faults_of(drawn, partial(settle, job, rules=rules)) if drawn else []
    write_record(mark, {"faults": faults})


def pack_heart(blueprint: WorkflowPlan) -> None:
    """Write the package of the whole heart's field, unless it is there."""
    job = blueprint.heart(blueprint.fused)
    if job is not None and not is_packed(job):
        pack(job)


def report(blueprint: WorkflowPlan, marks: Path, path: Path, workers: int) -> None:
    """Measure every repaired case, gather measures and ledgers, and write what shows the repair.

    Args:
        blueprint: of the repair.
        marks: folder of what :func:`fuse_batch` and :func:`draw_batch` have noted of each batch.
        path: where the faults of stages 2 and 3 and of this step are noted.
        workers: processes.

    Raises:
        InputError: no case was repaired.
    """
    request, whole = blueprint.request, blueprint.plan
    noted = [read_record(marks / kind / batch) for kind in NOTING for batch in blueprint.batches]
    faults = [fault for mark in noted for fault in mark.get("faults", ())]
    if blueprint.heart() is None:
        leave_out(request, blueprint.cases, whole.jobs)
    publish(request.output, whole.names, request.final)
    repaired = [case for case in blueprint.cases if map_of(request.output, "repaired", case.name).is_file()]
    if not repaired:
        raise InputError("repair", f"no case repaired [{' | '.join(faults)}]", "at least one", "Mend the cause.")
    references, missing = find_references(request, whole.names)
    with ProcessPool(workers) as crew:
        rows, told = measure_and_report(request, whole, repaired, references, crew)
    LOGGER.info("measures\n%s\n%s", format_repairs(rows), format_stages(rows))
    corrected, foreign = kept_files(request.output, whole.names)
    for line in [*losses(rows), *corrected]:
        LOGGER.warning("%s", line)
    lost = [] if request.allow_lost else losses(rows)
    write_record(path, {"faults": [*faults, *missing, *told, *foreign, *lost]})


def judge(path: Path, marks: Path) -> None:
    """Name all faults that :func:`report` has noted, and forget the marks that hold them: the next run tries again.

    Raises:
        InputError: with all of them, if there are.
    """
    faults = read_record(path).get("faults", [])
    if not faults:
        return
    for mark in [path, *(mark for kind in NOTING for mark in (marks / kind).glob("*"))]:
        if read_record(mark).get("faults"):
            remove_tree(mark)
    raise InputError("repair", f"{len(faults)} faults [{' | '.join(faults)}]", "none", "Mend them; the rest is done.")


def _blueprint(path: str) -> WorkflowPlan:
    blueprint = read_workflow_plan(Path(path))
    if blueprint.request.overwrite:
        allow_overwriting()
    return blueprint


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise InputError("settings", repr(text), "a whole number", "Correct processes, cases_per_job or threads.")
    return int(text)


STEPS: dict[str, tuple[Callable[..., None], tuple[Callable[[str], Any], ...]]] = {
    "plan": (plan, (Path, json.loads, _whole, _whole)),
    "train": (train, (_blueprint, str, str, _whole)),
    "infer": (infer_batch, (_blueprint, str, str)),
    "fuse": (fuse_batch, (_blueprint, str, Path)),
    "unify": (unify, (_blueprint, str, _whole, _whole)),
    "draw": (draw_batch, (_blueprint, str, Path)),
    "pack": (pack_heart, (_blueprint,)),
    "report": (report, (_blueprint, Path, Path, _whole)),
    "judge": (judge, (Path, Path)),
}
"""What each step calls, and how its arguments are read."""


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m custom.run.workflow_steps STEP ARGUMENT ...``: an ``InputError`` becomes one line and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m custom.run.workflow_steps", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("arguments", nargs="*", help="the arguments of the function of that name, in order")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("custom").setLevel(logging.INFO)
    # It would recommend the overlay over which a preset lies.
    logging.getLogger("custom.training.preflight").setLevel(logging.WARNING)
    step, kinds = STEPS[given.step]
    if len(given.arguments) != len(kinds):
        parser.error(f"{given.step}: {len(given.arguments)} arguments given, {len(kinds)} wanted")
    try:
        with writing_as("repair"):
            step(*(kind(text) for kind, text in zip(kinds, given.arguments, strict=True)))
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
