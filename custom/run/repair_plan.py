"""The plan of a repair, printed before it begins: cases, structures, steps, time and disk space."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..anatomy import StructureTable
from ..errors import InputError
from .check_label_map import CheckedCase
from .input_cases import InputCases
from .presets import Preset, preset_named
from .repair_request import RepairRequest
from .stage1_structures import State, StructureJob, make_job, state_of
from .time_estimate import expected_seconds, heart_seconds, wall_seconds
from .unified_stage import HeartJob, make_heart_job

MB = 1_000_000

COARSE_MM = 2.5
COARSE = "what is repaired may be further from the truth than what came in; compare them in the report"
STATES: dict[State, str] = {
    "done": "up to date",
    "trained": "trained; its masks are to be written",
    "begun": "begun; goes on where it stopped",
    "new": "to be trained",
}
HEART_STATES: dict[State, str] = {
    "done": "whole heart: up to date",
    "trained": "whole heart: trained; its label maps are to be drawn",
    "begun": "whole heart: begun; goes on where it stopped",
    "new": "whole heart: to be trained on the fused label maps",
}
MASK_BYTES, MAP_BYTES = 0.05, 0.3
"""A voxel, compressed: of a mask or a probability; of a label map with its ledger, pictures and report."""
BOX_BYTES = 6.0
TAUGHT_BYTES = 40
"""What stage 3 keeps of a case while it is trained: of each voxel, and of each point at which the teachers are
evaluated."""


@dataclass(frozen=True)
class RepairPlan:
    """What a repair is going to do.

    Attributes:
        intake: the cases, and the faults of those left out.
        preset: how thoroughly fields are trained.
        jobs: of stage 1, by structure, in the order of their work.
        states: how far each is already.
        left_alone: present structures that stage 1 does not touch.
        absent: structures of the table in none of the cases.
        seconds: expected of each job.
        heart: of stage 3; ``None`` if it is left out or nothing is there to learn.
        heart_state: how far it is; "done" if there is none.
        heart_seconds: expected of it, once the others are done.
        workers: processes.
        device: where fields are trained.
        need_bytes, free_bytes: room on the disk of the output.
    """

    intake: InputCases
    preset: Preset
    jobs: Mapping[str, StructureJob]
    states: Mapping[str, State]
    left_alone: tuple[str, ...]
    absent: tuple[str, ...]
    seconds: Mapping[str, float]
    heart: HeartJob | None
    heart_state: State
    heart_seconds: float
    workers: int
    device: str
    need_bytes: int
    free_bytes: int

    @property
    def wall_seconds(self) -> float:
        return wall_seconds(self.seconds, self.workers)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(case.name for case in self.intake.cases)


def chosen_structures(structures: Sequence[str], intake: InputCases, labels_of: StructureTable) -> tuple[str, ...]:
    """The structures that stage 1 repairs: those requested, or all, as far as a case holds them; in the table's order.

    Raises:
        InputError: one asked for is not in the table.
    """
    asked = {labels_of[name].name for name in structures} or set(labels_of.names)
    return tuple(name for name in intake.present(labels_of) if name in asked)


def need_bytes(
    jobs: Mapping[str, StructureJob], states: Mapping[str, State], cases: Sequence[CheckedCase], workers: int
) -> int:
    """Room that what is still to be written takes at most: cubes, and codes with what Adam keeps of them, twice, while
    a structure is trained; then codes, masks and repaired label maps."""
    voxels = sum(case.voxels for case in cases)
    passing, staying = [0], MAP_BYTES * voxels + MB
    for name, job in jobs.items():
        if states[name] == "done":
            continue
        settings = job.merged
        code = settings["latent_size"] * max(1, settings["code_side"]) ** 3
        staying += 4 * code * len(cases) + MASK_BYTES * voxels + MB
        passing.append(len(cases) * (2 * settings["resolution"] ** 3 + 24 * code))
    return int(staying + sum(sorted(passing, reverse=True)[:workers]))


def heart_bytes(job: HeartJob | None, state: State, cases: Sequence[CheckedCase]) -> int:
    """Room that stage 3 takes at most: boxes and the teachers' outputs while it is trained, checkpoints and label
    maps."""
    if job is None or state == "done":
        return 0
    settings, voxels = job.merged, sum(case.voxels for case in cases)
    code = settings["latent_size"] * max(1, settings["code_side"]) ** 3
    code += settings["fine_latent_size"] * settings["fine_code_side"] ** 3
    each = 40 * code + TAUGHT_BYTES * settings["teacher_pool"]
    return int(each * len(cases) + (BOX_BYTES + 2 * MASK_BYTES) * voxels + 2 * MB)


def check_room(plan: RepairPlan, output: Path) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        InputError: with the room there is and the room it takes.
    """
    if plan.need_bytes > plan.free_bytes:
        found, wanted = map(megabytes, (plan.free_bytes, plan.need_bytes))
        remedy = "Free some space there, or choose another --output."
        raise InputError(output, f"{found} free", f"about {wanted} for this repair", remedy)


def megabytes(count: int) -> str:
    """A size in MB, to a tenth where there are few: 2.5 MB free must not read like the 3 that are wanted."""
    return f"{count / MB:,.{1 if count < 100 * MB else 0}f} MB"


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder that exists."""
    return shutil.disk_usage(folder).free


def in_words(seconds: float) -> str:
    """A length of time for reading: ``40 s``, ``7 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def grids(cases: Sequence[CheckedCase]) -> str:
    """The grids of some cases in words: the commonest, and how many others."""
    counts = Counter((case.shape, tuple(round(edge, 2) for edge in case.spacing_mm)) for case in cases)
    (shape, spacing), _ = counts.most_common(1)[0]
    one = " x ".join(map(str, shape)) + " voxels of " + " x ".join(f"{edge:g}" for edge in spacing) + " mm"
    return one if len(counts) == 1 else f"{one}, and {len(counts) - 1} other grids"


def format_plan(plan: RepairPlan, output: Path) -> str:
    """The plan as a few lines of text."""
    cases, faults = plan.intake.cases, plan.intake.faults
    counts = {name: sum(name in case.structures for case in cases) for name in plan.jobs}
    lines = [f"cases       {len(cases)}" + (f" good, {len(faults)} faulty and left out" if faults else "")]
    lines.append(f"grid        {grids(cases)}")
    lines += [f"sizes       {doubt}" for doubt in plan.intake.doubts]
    coarse = [case for case in cases if max(case.spacing_mm) > COARSE_MM]
    if coarse:
        lines.append(f"caution     {len(coarse)} of {len(cases)} grids have voxels above {COARSE_MM:g} mm: {COARSE}")
    lines.append(f"preset      {plan.preset.name}: {plan.preset.about}")
    for number, name in enumerate(plan.jobs):
        some = "" if counts[name] == len(cases) else f", in {counts[name]} of {len(cases)} cases"
        lines.append(f"{'' if number else 'stage 1':<12}{name}: {STATES[plan.states[name]]}{some}")
    if plan.left_alone:
        lines.append(f"{'' if plan.jobs else 'stage 1':<12}taken from the label maps: {', '.join(plan.left_alone)}")
    if plan.absent:
        lines.append(f"{'':<12}in no case: {', '.join(plan.absent)}")
    lines.append("stage 2     fusion and rules")
    lines.append(f"stage 3     {HEART_STATES[plan.heart_state] if plan.heart else 'left out'}")
    lines.append("then        scores, report")
    lines.append(f"time        {_time(plan)}")
    lines.append(f"room        about {megabytes(plan.need_bytes)} of {megabytes(plan.free_bytes)} free in {output}")
    return "\n".join(lines)


def _time(plan: RepairPlan) -> str:
    how = f"with {plan.workers} workers on {plan.device}"
    parts = [f"about {in_words(plan.wall_seconds)} for stage 1 {how}" if plan.wall_seconds else "stage 1 is done"]
    if plan.heart_seconds:
        parts.append(f"about {in_words(plan.heart_seconds)} for stage 3{'' if plan.wall_seconds else f' {how}'}")
    timed = plan.wall_seconds or plan.heart_seconds
    return f"{', '.join(parts)}, by steps timed just now" if timed else "nothing is left to train"


def make_plan(request: RepairRequest, intake: InputCases) -> RepairPlan:
    """What is to be done, the slowest structure first."""
    preset, table = preset_named(request.preset), request.table
    names = chosen_structures(request.structures, intake, table)
    common = {"label_table": request.label_table, "seed": request.seed, "device": request.trained_on}
    jobs: dict[str, StructureJob] = {
        name: make_job(table[name], preset, intake.cases, request.output, common, request.overrides) for name in names
    }
    present = {name: sum(name in case.structures for case in intake.cases) for name in names}
    seconds = expected_seconds(jobs, present, request.trained_on)
    ordered = {name: jobs[name] for name in sorted(names, key=lambda name: -seconds[name])}
    states = {name: state_of(job) for name, job in ordered.items()}
    heart = make_heart_job(request, intake.cases, jobs)
    heart_state: State = state_of(heart) if heart else "done"
    everywhere = intake.present(table)
    return RepairPlan(
        intake=intake,
        preset=preset,
        jobs=ordered,
        states=states,
        left_alone=tuple(name for name in everywhere if name not in jobs),
        absent=tuple(name for name in table.names if name not in everywhere),
        seconds=seconds,
        heart=heart,
        heart_state=heart_state,
        heart_seconds=heart_seconds(heart, len(intake.cases), request.trained_on) if heart else 0.0,
        workers=request.trainers,
        device=request.trained_on,
        need_bytes=need_bytes(ordered, states, intake.cases, request.trainers)
        + heart_bytes(heart, heart_state, intake.cases),
        free_bytes=free_bytes(request.output),
    )
