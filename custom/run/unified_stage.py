"""Stage 3: the fused hearts of all cases in one field, by the bundle ``unified_implicit``, and drawn from it again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from .. import __version__
from ..errors import InputError
from ..output_checks import refuse_foreign_tree
from ..output_record import may_overwrite, remove_tree
from ..package.pack import run_pack
from .check_label_map import CheckedCase
from .final_label_maps import map_of, publish
from .fusion_stage import fuse, stage2_settings
from .json_records import digest, read_record, write_record
from .presets import heart_configs, heart_inference_settings, heart_training_settings, preset_named
from .process_pool import ProcessPool
from .repair_request import RepairRequest
from .stage1_structures import (
    StructureJob,
    escape_monai,
    finish,
    infer,
    missing_cases,
    result_settings,
    state_of,
    train_field,
)
from .task import Task, stop_if_full

HEART = "heart"
"""What stands in the place of a structure's name."""

MOST_THREADS, CASES_PER_THREAD = 8, 8
"""Of a training on the CPU. Threads wait for each other, and long where others work on the same cores: few cases are
trained on one, with the same result to the bit however many workers there are."""


@dataclass(frozen=True)
class HeartJob(StructureJob):
    """Training of the whole heart's field on the fused label maps, calibration, and the drawing of all cases.

    Its folder is ``OUTPUT/unified_run``: ``heart/best.pt``, and ``maps/CASE.nii.gz``, the field's own label maps. The
    rules of stage 2 then make ``OUTPUT/unified/CASE.nii.gz`` of them, with a ledger in ``OUTPUT/unified_run/ledger``.
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


def make_heart_job(
    request: RepairRequest, cases: Sequence[CheckedCase], jobs: Mapping[str, StructureJob]
) -> HeartJob | None:
    """What has to be run for the whole heart; ``None`` if it is left out or no case holds anything.

    The fused label maps are not looked at: all that they depend on is, so that it is known before there are any.

    Args:
        request: the settings of the run.
        cases: those that are fused.
        jobs: of stage 1, by structure; their fields are the teachers.
    """
    if request.skip_unified or not any(case.structures for case in cases):
        return None
    output, preset = request.output, preset_named(request.preset)
    common = {"label_table": request.label_table, "seed": request.seed, "device": request.trained_on}
    changes = {**request.unified_overrides, **common}
    folder = output / "unified_run"
    where = {"output_dir": escape_monai(str(folder)), "dataset_dir": escape_monai(str(folder / "fused.json"))}
    teachers = {
        "teacher_dir": escape_monai(str(output / "stage1")) if jobs else "",
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
    train_key = digest(__version__, HEART, request.label_table, made_of, result_settings(train_configs, train))
    return HeartJob(
        structure=HEART,
        folder=folder,
        cases=tuple(case.name for case in cases),
        train_configs=train_configs,
        train_settings=train,
        infer_configs=infer_configs,
        infer_settings=draw,
        train_key=train_key,
        mask_key=digest(train_key, result_settings(infer_configs, draw)),
        calibrate_configs=heart_configs("inference", "calibrate"),
    )


def unify_all(
    request: RepairRequest,
    cases: Sequence[CheckedCase],
    jobs: Mapping[str, StructureJob],
    crew: ProcessPool,
    trainers: ProcessPool,
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
    begun, state, faults = time.monotonic(), state_of(job), list[str]()
    begin(job)
    if state != "done":
        faults = _faults(trainers, [_task("training", 0, train_field, job)], "stage 3: training")
        if faults:
            remedy = "Mend the cause, or leave it out by --skip_unified; the fused label maps are done."
            return [str(InputError("stage 3", f"no field [{' | '.join(faults)}]", "one of the whole heart", remedy))]
        ranks = min(trainers.workers, len(fused))
        tasks = [_task("drawing", rank, infer, job, cases=job.cases[rank::ranks]) for rank in range(ranks)]
        faults = _faults(trainers, tasks, "stage 3: drawing", _case_by_case)
    undrawn = missing_cases(job)  # they have their faults, and nothing to settle
    drawn, rules = [case for case in job.cases if case not in undrawn], stage2_settings(request)
    ranks = min(crew.workers, len(drawn))
    tasks = [_task("rules", rank, settle, job, cases=drawn[rank::ranks], rules=rules) for rank in range(ranks)]
    faults += _faults(crew, tasks, "stage 3: rules", _case_by_case)
    faults += _faults(crew, [] if is_packed(job) else [_task("package", 0, pack, job)], "stage 3: package")
    if state != "done" and not faults:
        finish(job, time.monotonic() - begun)
    return faults


def leave_out(request: RepairRequest, cases: Sequence[CheckedCase], jobs: Mapping[str, StructureJob]) -> None:
    """Without stage 3: what an earlier run has drawn or packed is deleted if it is not of these label maps any more.
    Label maps without anything are their own unified ones."""
    whole = make_heart_job(replace(request, skip_unified=False), cases, jobs)
    if whole is None or not is_packed(whole):
        remove_package(request.output)
    if whole is None:
        publish(request.output, [case.name for case in cases], "fused", "unified")
    elif state_of(whole) != "done":
        remove_tree(request.output / "unified")


def begin(job: HeartJob) -> None:
    """Delete the label maps of other fused ones, or of other settings, and write down which ones there are."""
    if state_of(job) == "new":
        remove_tree(job.output / "unified")
        remove_package(job.output)
    for name, folder in (("fused", job.output / "fused"), ("maps", job.masks_dir)):
        paths = [str((folder / f"{case}.nii.gz").absolute()) for case in job.cases]
        write_record(job.folder / f"{name}.json", {"training": [{"label": path} for path in paths]})


def settle(job: HeartJob, cases: Sequence[str], rules: Mapping[str, Any]) -> None:
    """Make ``OUTPUT/unified/CASE.nii.gz`` of what was drawn, by the rules of stage 2; cases up to date are kept."""
    where = {
        "dataset_dir": escape_monai(str(job.folder / "maps.json")),
        "output_dir": escape_monai(str(job.folder)),
        "maps_dir": escape_monai(str(job.output / "unified")),
        "only_cases": escape_monai(cases),
        "cpu_threads": 1,
    }
    fuse({**where, **rules})


def is_packed(job: HeartJob) -> bool:
    """Whether ``OUTPUT/model`` is the package of this very field."""
    return read_record(job.folder / "packed.json").get("key") == job.train_key and (job.output / "model").is_dir()


def pack(job: HeartJob) -> None:
    """Write ``OUTPUT/model``, a folder from which every heart can be drawn without anything else.

    Raises:
        InputError: a package is there that no repair has written, or foreign files are.
    """
    package, record = job.output / "model", job.folder / "packed.json"
    if package.exists() and not record.is_file() and not may_overwrite():
        remedy = "Move it away, or add --overwrite."
        raise InputError(package, "a package that no repair has written", "a place to write", remedy)
    refuse_foreign_tree(package)
    write_record(record, {})  # before the package, that one left by a kill is known as this run's
    run_pack(job.folder, package, job.output / "fused", overwrite=True, label_table=job.label_table)
    write_record(record, {"key": job.train_key})


def remove_package(output: Path) -> None:
    """Delete ``OUTPUT/model`` if a repair has written it."""
    if (output / "unified_run" / "packed.json").is_file():
        remove_tree(output / "model")


def _task(name: str, rank: int, call: Callable[..., Any], job: HeartJob, **arguments: Any) -> Task:
    """The share of one process. The shares are alike, and the first one's progress stands for all."""
    log = job.output / "logs" / f"{HEART}_{rank}.log"
    return Task(f"{name} {rank}", call, {"job": job, **arguments}, 1e-6 if rank else 1.0, log)


def _case_by_case(task: Task) -> list[Task]:
    """The share of one process as tasks of one case each."""
    return [replace(task, name=case, arguments={**task.arguments, "cases": [case]}) for case in task.arguments["cases"]]


def _faults(
    crew: ProcessPool, tasks: Sequence[Task], description: str, split: Callable[[Task], Sequence[Task]] | None = None
) -> list[str]:
    """Do the tasks; their faults, and those that they have found of single cases."""
    several = len(tasks) > 1 or any(len(task.arguments.get("cases", ())) > 1 for task in tasks)
    answers = list(crew.run(tasks, description, split if several else None))
    output = tasks[0].arguments["job"].output if tasks else Path()
    failed = [answer.fault for answer in answers if stop_if_full(answer, output).fault]
    return failed + [fault for answer in answers for fault in answer.result or ()]
