"""Stage 3: the fused hearts of all cases in one field, by the bundle ``unified_implicit``, and drawn from it again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from .. import __version__
from ..errors import InputError
from ..package.pack import run_pack
from .checking import CheckedCase
from .crew import Crew
from .finals import map_of, publish
from .fusion_stage import fuse, stage2_settings
from .presets import heart_configs, heart_inference_settings, heart_training_settings, preset_named
from .records import digest, read_record, write_record
from .request import Request
from .stage1 import Job, discard, finish, infer, state_of, telling, train_field, verbatim
from .task import Task, stop_if_full

HEART = "heart"
"""What stands in the place of a structure's name."""

MOST_THREADS, CASES_PER_THREAD = 8, 8
"""Of a training on the CPU. Threads wait for each other, and long where others work on the same cores: few cases are
trained on one, with the same result to the bit however many workers there are."""


@dataclass(frozen=True)
class HeartJob(Job):
    """Training of the whole heart's field on the fused label maps, calibration, and the drawing of all cases.

    Its folder is ``OUTPUT/unified_run``: ``heart/best.pt``, and ``maps/CASE.nii.gz`` as the field answers. The rules of
    stage 2 then make ``OUTPUT/unified/CASE.nii.gz`` of them, with a ledger in ``OUTPUT/unified_run/ledger``.
    """

    passing: ClassVar[tuple[str, ...]] = ("boxes",)

    @property
    def output(self) -> Path:
        """Of the whole repair."""
        return self.folder.parent

    @property
    def label_table(self) -> str:
        """Name of the table."""
        return str(self.train_settings["label_table"])

    @property
    def masks_dir(self) -> Path:
        return self.folder / "maps"


def make_heart_job(request: Request, cases: Sequence[CheckedCase], jobs: Mapping[str, Job]) -> HeartJob | None:
    """What has to be run for the whole heart; ``None`` if it is left out or no case holds anything.

    The fused label maps are not looked at: all that they depend on is, so that it can be said before there are any.

    Args:
        request: what is asked.
        cases: those that are fused.
        jobs: of stage 1, by structure; their fields are the teachers.
    """
    if request.skip_unified or not any(case.structures for case in cases):
        return None
    output, preset = request.output, preset_named(request.preset)
    common = {"label_table": request.label_table, "seed": request.seed, "device": request.trained_on}
    changes = {**request.unified_overrides, **common}
    folder = output / "unified_run"
    where = {"output_dir": verbatim(str(folder)), "dataset_dir": verbatim(str(folder / "fused.json"))}
    teachers = {
        "teacher_dir": verbatim(str(output / "stage1")) if jobs else "",
        # Of an earlier run there may be fields of other structures, too.
        "teacher_weights": {name: 0.0 for name in request.table.names if name not in jobs},
    }
    threads = {"cpu_threads": max(1, min(request.hands, len(cases) // CASES_PER_THREAD, MOST_THREADS))}
    train = where | teachers | threads | heart_training_settings(preset, changes)
    draw = where | heart_inference_settings(changes)
    train_configs, infer_configs = heart_configs("train"), heart_configs("inference")
    voxels = [(case.name, case.shape, case.structures) for case in cases]
    masks = {name: job.mask_key for name, job in jobs.items()}
    made_of = [voxels, masks, stage2_settings(request), bool(train["teacher_dir"])]
    train_key = digest(__version__, HEART, request.label_table, made_of, telling(train_configs, train))
    return HeartJob(
        structure=HEART,
        folder=folder,
        cases=tuple(case.name for case in cases),
        train_configs=train_configs,
        train_settings=train,
        infer_configs=infer_configs,
        infer_settings=draw,
        train_key=train_key,
        mask_key=digest(train_key, telling(infer_configs, draw)),
        calibrate_configs=heart_configs("inference", "calibrate"),
    )


def unify_all(
    request: Request, cases: Sequence[CheckedCase], jobs: Mapping[str, Job], crew: Crew, trainers: Crew
) -> list[str]:
    """Train the whole heart's field unless it is up to date, and draw all fused cases; the faults, a line each.

    Args:
        request: what is asked; nothing is done if it leaves this stage out.
        cases: of stage 2.
        jobs: of stage 1, by structure.
        crew: does what runs on the CPU.
        trainers: does what runs where fields are trained.

    Raises:
        InputError: a full disk.
    """
    fused = [case for case in cases if map_of(request.output, "fused", case.name).is_file()]
    job = make_heart_job(request, fused, jobs)
    if job is None:
        leave_out(request, cases, jobs)
        return []
    begun, state = time.monotonic(), state_of(job)
    begin(job)
    if state != "done":
        faults = _faults(trainers, [_task("training", 0, train_field, job)], "stage 3: training")
        if faults:
            remedy = "Mend the cause, or leave it out by --skip_unified; the fused label maps are done."
            return [str(InputError("stage 3", f"no field [{' | '.join(faults)}]", "one of the whole heart", remedy))]
        ranks = min(trainers.workers, len(fused))
        tasks = [_task("drawing", rank, infer, job, cases=job.cases[rank::ranks]) for rank in range(ranks)]
        faults = _faults(trainers, tasks, "stage 3: drawing")
    ranks, rules = min(crew.workers, len(fused)), stage2_settings(request)
    tasks = [_task("rules", rank, settle, job, cases=job.cases[rank::ranks], rules=rules) for rank in range(ranks)]
    faults = _faults(crew, tasks, "stage 3: rules")
    faults += _faults(crew, [] if is_packed(job) else [_task("package", 0, pack, job)], "stage 3: package")
    if state != "done" and not faults:
        finish(job, time.monotonic() - begun)
    return faults


def leave_out(request: Request, cases: Sequence[CheckedCase], jobs: Mapping[str, Job]) -> None:
    """Without stage 3: what an earlier run has drawn or packed is deleted if it is not of these label maps any more.
    Label maps without anything are their own unified ones."""
    whole = make_heart_job(replace(request, skip_unified=False), cases, jobs)
    if whole is None or not is_packed(whole):
        discard(request.output / "model")
    if whole is None:
        publish(request.output, [case.name for case in cases], "fused", "unified")
    elif state_of(whole) != "done":
        discard(request.output / "unified")


def begin(job: HeartJob) -> None:
    """Delete the label maps of other fused ones, or of other settings, and write down which ones there are."""
    if state_of(job) == "new":
        discard(job.output / "unified")
        discard(job.output / "model")
    for name, folder in (("fused", job.output / "fused"), ("maps", job.masks_dir)):
        paths = [str((folder / f"{case}.nii.gz").absolute()) for case in job.cases]
        write_record(job.folder / f"{name}.json", {"training": [{"label": path} for path in paths]})


def settle(job: HeartJob, cases: Sequence[str], rules: Mapping[str, Any]) -> None:
    """Make ``OUTPUT/unified/CASE.nii.gz`` of what was drawn, by the rules of stage 2; cases up to date are kept."""
    where = {
        "dataset_dir": verbatim(str(job.folder / "maps.json")),
        "output_dir": verbatim(str(job.folder)),
        "maps_dir": verbatim(str(job.output / "unified")),
        "only_cases": verbatim(cases),
        "cpu_threads": 1,
    }
    fuse({**where, **rules})


def is_packed(job: HeartJob) -> bool:
    """Whether ``OUTPUT/model`` is the package of this very field."""
    return read_record(job.folder / "packed.json").get("key") == job.train_key and (job.output / "model").is_dir()


def pack(job: HeartJob) -> None:
    """Write ``OUTPUT/model``, a folder from which every heart can be drawn without anything else."""
    run_pack(job.folder, job.output / "model", job.output / "fused", overwrite=True, label_table=job.label_table)
    write_record(job.folder / "packed.json", {"key": job.train_key})


def _task(name: str, rank: int, call: Callable[..., Any], job: HeartJob, **arguments: Any) -> Task:
    """The share of one process. The shares are alike, and the first one's progress stands for all."""
    log = job.output / "logs" / f"{HEART}_{rank}.log"
    return Task(f"{name} {rank}", call, {"job": job, **arguments}, 1e-6 if rank else 1.0, log)


def _faults(crew: Crew, tasks: Sequence[Task], description: str) -> list[str]:
    """Do the tasks; their faults."""
    answers = list(crew.run(tasks, description))
    return [answer.fault for answer in answers if stop_if_full(answer, tasks[0].arguments["job"].output).fault]
