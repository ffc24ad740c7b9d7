"""The steps of a repair, each a process of its own: what the jobs of ``workflow/Snakefile`` call.

Together they write the files that ``corfield repair`` writes, by the same functions. What is up to date is left alone
by each, whichever of the two has made it, and one that was killed goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from ..scoring.changes import format_repairs
from .blueprint import Blueprint, batches_of, read_blueprint, request_of, write_blueprint
from .comparison import format_stages
from .crew import Crew
from .finals import map_of, publish
from .fusion_stage import drop_outdated, fuse, fusion_settings, stage2_settings
from .intake import refuse_own_outputs, take_in
from .lock import only_run_in
from .plan import check_room
from .records import read_record, write_record
from .repair import conclude, find_references
from .request import check
from .stage1 import Job, discard, finish, infer, run_training, train_field, verbatim
from .unified_stage import begin, is_packed, leave_out, pack, settle

LOGGER = logging.getLogger(__name__)

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone")
"""``torchrun`` of this very environment, whatever the PATH says."""

NOTING = ("fuse", "draw")
"""The kinds of jobs that note the faults of cases in their marks."""

TOGETHER = "torchrun.json"
"""Settings of a training by several processes, beside its checkpoints while it runs."""


def plan(path: Path, asked: dict[str, Any], cases_per_job: int, workers: int) -> None:
    """Read every label map, and write down what is to be done.

    Args:
        path: of the blueprint. Beside its folder lie those of other runs, which are cleared away.
        asked: settings, see :func:`custom.pipeline.blueprint.request_of`.
        cases_per_job: that inference and fusion take together.
        workers: processes.

    Raises:
        InputError: a setting that cannot be used, no good case at all, no room, or another run at work.
    """
    request = request_of(asked)
    check(request)
    with only_run_in(request.output), Crew(workers) as crew:
        intake = take_in(request.labels, request.output, request.table, crew)
        refuse_own_outputs(intake, request.output)
        names = tuple(case.name for case in intake.cases)
        find_references(request, names)  # one that cannot be used is refused before anything costs time
        made = Blueprint(request, intake.cases, intake.faults, batches_of(names, cases_per_job))
        check_room(made.plan, request.output)
        drop_outdated(request.output, names)
        _clear(request.output / "stage1" / "masks", made.structures)
        _clear(path.parents[1], (path.parent.name,))
        write_blueprint(path, asked, made)


def _clear(folder: Path, keep: Sequence[str]) -> None:
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.name not in keep:
            discard(entry)


def train(blueprint: Blueprint, structure: str, device: str, processes: int) -> None:
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
    discard(job.run_dir / TOGETHER)


def checked(blueprint: Blueprint, device: str, processes: int) -> Blueprint:
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


def train_by(job: Job, processes: int, device: str) -> None:
    """Train in this process, or in several by torchrun, the batch shared out: they learn from it what one would.

    Raises:
        InputError: the training failed; it has said why.
    """
    if processes == 1:
        run_training(job)
        return
    settings, config = job.run_dir / TOGETHER, Path(job.train_configs[0])
    batch = math.ceil(job.merged["batch_size"] / processes)
    write_record(settings, {**job.train_settings, "batch_size": batch, "bundle_root": str(config.parents[1])})
    configs = [*job.train_configs, str(settings), str(config.with_name("multi_gpu_train.json"))]
    command = [*TORCHRUN, f"--nproc_per_node={processes}", "-m", "monai.bundle", "run", "training"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    ended = subprocess.run([*command, "--config_file", str(configs)], env=environment, check=False)
    if ended.returncode:
        found = f"exit code {ended.returncode} of its {processes} processes"
        raise InputError(job.structure, found, "a trained field", "See what they have said before.")


def infer_batch(blueprint: Blueprint, structure: str, batch: str) -> None:
    """Write one structure's masks of a batch of cases."""
    infer(blueprint.job(structure), blueprint.batches[batch])


def fuse_batch(blueprint: Blueprint, batch: str, mark: Path) -> None:
    """Make one heart of each case of a batch; what is wrong with a case is said and noted, the others are done."""
    request = blueprint.request
    settings = {
        **fusion_settings(request.output, bool(blueprint.structures)),
        "only_cases": verbatim(blueprint.batches[batch]),
        **stage2_settings(request),
    }
    _note_faults(mark, partial(fuse, settings))


def unify(blueprint: Blueprint, device: str, processes: int, threads: int) -> None:
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
    discard(job.run_dir / TOGETHER)


def draw_batch(blueprint: Blueprint, batch: str, mark: Path) -> None:
    """Draw a batch of cases from the whole heart's field, and let the rules have their say; faults are noted."""
    job = blueprint.heart(blueprint.fused)
    cases = [case for case in blueprint.batches[batch] if job is not None and case in job.cases]

    def draw() -> None:
        if job is not None and cases:
            infer(job, cases)
            settle(job, cases, stage2_settings(blueprint.request))

    _note_faults(mark, draw)


def pack_heart(blueprint: Blueprint) -> None:
    """Write the package of the whole heart's field, unless it is there."""
    job = blueprint.heart(blueprint.fused)
    if job is not None and not is_packed(job):
        pack(job)


def _note_faults(mark: Path, call: Callable[[], None]) -> None:
    """Do it, and note in a mark what was wrong; the verdict fails of it, and not this job."""
    faults = []
    try:
        call()
    except InputError as error:
        LOGGER.error("%s", error)
        faults = [str(error)]
    write_record(mark, {"faults": faults})


def report(blueprint: Blueprint, marks: Path, path: Path, workers: int) -> None:
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
    with Crew(workers) as crew:
        rows, told = conclude(request, whole, repaired, references, crew)
    LOGGER.info("measures\n%s\n%s", format_repairs(rows), format_stages(rows))
    write_record(path, {"faults": [*faults, *missing, *told]})


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
            discard(mark)
    raise InputError("repair", f"{len(faults)} faults [{' | '.join(faults)}]", "none", "Mend them; the rest is done.")


def _blueprint(path: str) -> Blueprint:
    return read_blueprint(Path(path))


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
    """``python -m custom.pipeline.steps STEP ARGUMENT ...``: an ``InputError`` becomes one line and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m custom.pipeline.steps", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("arguments", nargs="*", help="the arguments of the function of that name, in order")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("custom").setLevel(logging.INFO)
    # It would recommend the overlay over which a preset lies.
    logging.getLogger("custom.engines.preflight").setLevel(logging.WARNING)
    step, kinds = STEPS[given.step]
    try:
        step(*(kind(text) for kind, text in zip(kinds, given.arguments, strict=True)))
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
