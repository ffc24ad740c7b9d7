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
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..consistency.ledger import merge_ledgers
from ..engines.workflows import bundle_configs, run_bundle
from ..errors import InputError
from ..scoring.changes import format_repairs, write_metrics
from .blueprint import Blueprint, batches_of, read_blueprint, request_of, write_blueprint
from .closing import close
from .crew import Crew
from .fusion_stage import drop_outdated, fuse
from .intake import refuse_own_outputs, take_in
from .lock import only_run_in
from .measures import measure_all
from .plan import check_room
from .presets import BUNDLE
from .records import read_record, write_record
from .repair import facts_of, find_references, stage2_settings
from .request import Request, check
from .stage1 import Job, discard, forget, lacking, state_of, verbatim

LOGGER = logging.getLogger(__name__)

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone")
"""``torchrun`` of this very environment, whatever the PATH says."""

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
    request = replace(blueprint.request, device=device)
    blueprint = replace(blueprint, request=request)
    if processes == 1:
        check(request)
    elif device != "cpu" and torch.cuda.device_count() < processes:
        found = f"{torch.cuda.device_count()} GPUs"
        raise InputError("processes", found, f"{processes}, one for each", "Ask for fewer, or for device=cpu.")
    job, begun = blueprint.job(structure), time.monotonic()
    state = state_of(job)
    if state == "new":
        forget(job.run_dir)
        shutil.rmtree(job.masks_dir, ignore_errors=True)
        write_record(job.record, {"train_key": job.train_key})
    if state in ("new", "begun"):
        if processes > 1:
            train_together(job, processes, device)
        else:
            run_bundle(job.train_configs, "training", **job.train_settings)
    record = read_record(job.record)
    if record.get("mask_key") != job.mask_key:
        shutil.rmtree(job.masks_dir, ignore_errors=True)
    seconds = record.get("seconds") or round(time.monotonic() - begun, 1)
    # Whether the masks are there is looked at besides: with them this is the record of what is done.
    done = {"train_key": job.train_key, "trained": True, "mask_key": job.mask_key, "seconds": seconds}
    write_record(job.record, done)
    for rest in ("last.pt", "cubes", TOGETHER):
        discard(job.run_dir / rest)


def train_together(job: Job, processes: int, device: str) -> None:
    """Train by torchrun, the batch shared out: the processes learn from it what one would.

    Raises:
        InputError: the training failed; it has said why.
    """
    settings = job.run_dir / TOGETHER
    batch = math.ceil(job.merged["batch_size"] / processes)
    root = Path(bundle_configs(BUNDLE, ["train"])[0]).parents[1]
    write_record(settings, {**job.train_settings, "batch_size": batch, "bundle_root": str(root)})
    configs = [*job.train_configs, str(settings), *bundle_configs(BUNDLE, ["multi_gpu_train"])]
    command = [*TORCHRUN, f"--nproc_per_node={processes}", "-m", "monai.bundle", "run", "training"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    ended = subprocess.run([*command, "--config_file", str(configs)], env=environment, check=False)
    if ended.returncode:
        found = f"exit code {ended.returncode} of its {processes} processes"
        raise InputError(job.structure, found, "a trained field", "See what they have said before.")


def infer(blueprint: Blueprint, structure: str, batch: str) -> None:
    """Write one structure's masks of a batch of cases."""
    job = blueprint.job(structure)
    missing = [case for case in lacking(job) if case in blueprint.batches[batch]]
    if missing:
        run_bundle(job.infer_configs, "infer", **job.infer_settings, only_cases=verbatim(missing))


def fuse_batch(blueprint: Blueprint, batch: str, mark: Path) -> None:
    """Make one heart of each case of a batch; what is wrong with a case is said and noted, the others are done."""
    request, masks = blueprint.request, blueprint.request.output / "stage1" / "masks"
    settings = {
        "dataset_dir": verbatim(str(request.output / "cases.json")),
        "masks_dir": verbatim(str(masks)) if blueprint.structures else "",
        "output_dir": verbatim(str(request.output)),
        "cpu_threads": 1,
        "only_cases": verbatim(blueprint.batches[batch]),
        **stage2_settings(request),
    }
    faults = []
    try:
        fuse(settings)
    except InputError as error:
        LOGGER.error("%s", error)
        faults = [str(error)]
    write_record(mark, {"faults": faults})


def report(blueprint: Blueprint, marks: Path, path: Path, workers: int) -> None:
    """Measure every repaired case, gather measures and ledgers, and write what shows the repair.

    Args:
        blueprint: of the repair.
        marks: what :func:`fuse_batch` has noted of each batch.
        path: where the faults of stage 2 and of this step are noted.
        workers: processes.

    Raises:
        InputError: no case was repaired.
    """
    request: Request = blueprint.request
    output, whole = request.output, blueprint.plan
    faults = [fault for batch in blueprint.batches for fault in read_record(marks / batch).get("faults", ())]
    repaired = [case for case in blueprint.cases if (output / "repaired" / f"{case.name}.nii.gz").is_file()]
    if not repaired:
        raise InputError("stage 2", f"no case repaired [{' | '.join(faults)}]", "at least one", "Mend the cause.")
    references, missing = find_references(request, whole.names)
    with Crew(workers) as crew:
        rows, unmeasured = measure_all(repaired, output, references, request.table, crew)
        write_metrics(output / "metrics.csv", rows)
        merge_ledgers(output / "ledger", output / "ledger.csv", [case.name for case in repaired])
        faults += [*missing, *unmeasured]
        faults += close(repaired, rows, output, request.table, facts_of(request, whole), request.seg_nrrd, crew)
    LOGGER.info("measures\n%s", format_repairs(rows))
    write_record(path, {"faults": faults})


def judge(path: Path, marks: Path) -> None:
    """Name all faults that :func:`report` has noted, and forget the marks that hold them: the next run tries again.

    Raises:
        InputError: with all of them, if there are.
    """
    faults = read_record(path).get("faults", [])
    if not faults:
        return
    for mark in [path, *marks.iterdir()]:
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
    "infer": (infer, (_blueprint, str, str)),
    "fuse": (fuse_batch, (_blueprint, str, Path)),
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
