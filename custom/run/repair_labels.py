"""``corfield repair``: label maps in, a repaired data set with proof of what changed out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from ..data.case_list import label_maps
from ..errors import InputError
from ..metrics.repair_rows import RepairRow, format_repairs, write_metrics
from ..output_record import overwriting, writing_as
from .check_label_map import CheckedCase
from .final_label_maps import kept_files, map_of, publish, write_changes
from .fusion_stage import drop_outdated, fuse_all, stage2_settings
from .input_cases import CHECKED, read_input_cases, refuse_covered_inputs
from .output_lock import only_run_in
from .process_pool import ProcessPool
from .repair_measures import measure_all
from .repair_plan import RepairPlan, check_room, format_plan, in_words, make_plan
from .repair_request import FINALS, RepairRequest, check
from .stage1_structures import do_job
from .stage_table import format_stages
from .task import Task, full_disk, is_full_disk, stop_if_full
from .unified_stage import unify_all
from .write_repair_report import close

LOGGER = logging.getLogger(__name__)

FINISHED = ("repaired", "fused", "unified")
"""Folders of whole label maps that a repair writes."""

FOLDERS = (
    *FINISHED, "stage1", "unified_run", "ledger", "stamps", "measures", "slicer", "report", "tensorboard", "model",
    "logs",
)  # fmt: skip
FILES = (*CHECKED, "written.json", "shown.json", "ledger.csv", "metrics.csv", "report/index.html")
"""All that a repair writes into its output folder."""


@dataclass(frozen=True)
class RepairOutcome:
    """What came of a repair.

    Attributes:
        text: for the user.
        rows: a measure of each structure of each case.
        faults: of the cases left out, a line each.
        seconds: it took.
    """

    text: str
    rows: tuple[RepairRow, ...]
    faults: tuple[str, ...]
    seconds: float


def run_repair(request: RepairRequest, say: Callable[[str], None] = LOGGER.info) -> RepairOutcome:
    """Repair a data set. Killed at any moment and called again it goes on, and ends with the same files.

    Args:
        request: the settings of the run.
        say: prints the plan, before anything costs time.

    Raises:
        InputError: a setting that cannot be used, no good case at all, no room, a full disk, or another run at work.
    """
    begun = time.monotonic()
    check(request)
    with writing_as("repair"):
        check_places(request)
    try:
        with writing_as("repair"), overwriting(request.overwrite), only_run_in(request.output):
            return _repair(request, say, begun)
    except (OSError, InputError) as error:
        if is_full_disk(error):
            raise full_disk(request.output) from error
        raise


def _repair(request: RepairRequest, say: Callable[[str], None], begun: float) -> RepairOutcome:
    output = request.output
    with ProcessPool(request.hands) as crew:
        intake = read_input_cases(request.labels, output, request.table, crew)
        references, missing = find_references(request, [case.name for case in intake.cases])
        plan = make_plan(request, intake)
        say(format_plan(plan, output))
        check_room(plan, output)
        gone = drop_outdated(output, plan.names)
        faults = [*intake.faults, *run_stages(request, plan, crew)]
        repaired = [case for case in intake.cases if map_of(output, "repaired", case.name).is_file()]
        faults += unnamed(intake.cases, repaired, faults)
        if not repaired:
            raise InputError("repair", f"no case repaired [{' | '.join(faults)}]", "at least one", "Mend the cause.")
        rows, told = measure_and_report(request, plan, repaired, references, crew)
    corrected, foreign = kept_files(output, plan.names)
    faults += foreign
    if not request.allow_lost:
        faults += losses(rows)
    seconds = time.monotonic() - begun
    tables = "\n".join(table for table in (format_repairs(rows), format_stages(rows)) if table)
    notes = "".join(f"{line}\n" for line in [*losses(rows), *dropped(gone), *corrected])
    text = f"{tables}\n{notes}\n{places(request)}\n{len(repaired)} cases in {in_words(seconds)}"
    return RepairOutcome(text, tuple(rows), tuple(faults + missing + told), seconds)


def check_places(request: RepairRequest) -> None:
    """Refuse an output folder that would cost the user files. Raises ``InputError``."""
    with overwriting(request.overwrite):
        refuse_covered_inputs(request.labels, request.output, FOLDERS, FILES, [request.reference])


def run_stages(request: RepairRequest, plan: RepairPlan, crew: ProcessPool) -> list[str]:
    """Train, fuse and unify what is not up to date, and let ``OUTPUT/repaired`` hold the result; the faults of cases.

    Raises:
        InputError: a structure that could not be trained, or a full disk.
    """
    output, settings, names = request.output, stage2_settings(request), plan.names
    with ExitStack() as stack:
        apart = request.trainers != request.hands
        trainers = stack.enter_context(ProcessPool(request.trainers)) if apart else crew
        faults = train_all(plan, trainers)
        faults += fuse_all(output, tuple(plan.jobs), names, settings, crew)
        if request.final == "fused":  # before stage 3: whoever stops there has this
            publish(output, names, request.final)
        faults += unify_all(request, plan.intake.cases, plan.jobs, crew, trainers)
    publish(output, names, request.final)
    return faults


def measure_and_report(
    request: RepairRequest,
    plan: RepairPlan,
    repaired: Sequence[CheckedCase],
    references: Mapping[str, Path],
    crew: ProcessPool,
) -> tuple[list[RepairRow], list[str]]:
    """Measure the repaired cases and write all that shows them; their rows, and the faults.

    Raises:
        InputError: a full disk.
    """
    output = request.output
    rows, faults = measure_all(repaired, request, references, crew)
    write_metrics(output / "metrics.csv", rows)
    write_changes(output, [case.name for case in repaired], request.final)
    return rows, faults + close(repaired, rows, request, facts_of(request, plan), crew)


def find_references(request: RepairRequest, names: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """The truth of each case that has one, by case, and remarks on the others.

    Raises:
        InputError: a folder that holds none, or two of one name.
    """
    if request.reference is None:
        return {}, []
    found = label_maps(request.reference)
    remedy = "It is measured against its input alone."
    missing = [
        str(InputError(request.reference, f"no label map of case {name}", "one for every case", remedy))
        for name in names
        if name not in found
    ]
    return {name: path for name, path in found.items() if name in names}, missing


def unnamed(cases: Sequence[CheckedCase], repaired: Sequence[CheckedCase], faults: Sequence[str]) -> list[str]:
    """Faults of the cases without a repaired map that no other fault names: their worker process has ended."""
    return [
        str(InputError(case.path, "no repaired label map", "one for every case", "See what else is left out."))
        for case in cases
        if case not in repaired
        and not any(f"{start}{case.name}: " in f"[{fault}" for fault in faults for start in ("[", "| "))
    ]


def losses(rows: Sequence[RepairRow]) -> list[str]:
    """A line for each structure that the repair has taken away altogether: nobody should have to find that out."""
    lost: dict[str, list[str]] = {}
    for row in rows:
        if row.lost:
            lost.setdefault(row.structure, []).append(row.case)
    return [
        f"LOST: {name} is gone from {len(cases)} cases, among them {', '.join(cases[:3])}; look at the report"
        for name, cases in lost.items()
    ]


def dropped(cases: Sequence[str]) -> list[str]:
    """A line for the cases whose results of an earlier run were deleted, if there are any."""
    if not cases:
        return []
    names = ", ".join(cases[:5]) + (f" and {len(cases) - 5} more" if len(cases) > 5 else "")
    return [f"DROPPED: the results of {names}, of which no sound label map is there any more"]


FINAL_WORDS = {"fused": "the fused label maps of stage 2", "unified": "the unified label maps of stage 3"}


def facts_of(request: RepairRequest, plan: RepairPlan) -> dict[str, str]:
    """What was run, for the head of the report."""
    facts = {"preset": request.preset, "repaired by a field": ", ".join(sorted(plan.jobs)) or "nothing"}
    facts["after"] = FINAL_WORDS[request.final]
    if plan.left_alone:
        facts["taken as they were"] = ", ".join(plan.left_alone)
    if request.reference:
        facts["reference"] = str(request.reference)
    return facts | {"version": __version__}


def places(request: RepairRequest) -> str:
    """Where things lie, for the user."""
    output = request.output
    lines: dict[str, object] = {"repaired": f"{output / 'repaired'}: {FINAL_WORDS[request.final]}"}
    if not request.skip_unified:
        other = next(stage for stage in FINALS if stage != request.final)
        lines |= {other: output / other, "model": output / "model"}
    lines |= {
        "what changed": output / "ledger.csv",
        "measures": output / "metrics.csv",
        "report": output / "report" / "index.html",
        "pictures": f"tensorboard --logdir {output}",
    }
    if request.seg_nrrd:
        lines["3D Slicer"] = output / "slicer"
    return "\n".join(f"{name:<14}{place}" for name, place in lines.items())


def train_all(plan: RepairPlan, crew: ProcessPool) -> list[str]:
    """Stage 1 of every structure that is not up to date; the faults of cases that lack a mask of it, a line each.

    Raises:
        InputError: with the faults of the structures that could not be trained, once the others are done; at once on
            a full disk.
    """
    to_do = [job for name, job in plan.jobs.items() if plan.states[name] != "done"]
    tasks = [
        Task(
            job.structure,
            do_job,
            {"job": job},
            max(plan.seconds[job.structure], 1e-3),
            job.folder.parent / "logs" / f"{job.structure}.log",
        )
        for job in to_do
    ]
    answers = [stop_if_full(answer, to_do[0].folder.parent) for answer in list(crew.run(tasks, "stage 1"))]
    failed = [answer for answer in answers if answer.fault]
    if failed:
        found = f"{len(failed)} structures that could not be trained [{' | '.join(answer.fault for answer in failed)}]"
        remedy = "Mend the cause, or leave them out by --structures; the others are done."
        raise InputError("stage 1", found, "a field of every structure", remedy)
    return [fault for answer in answers for fault in answer.result or ()]
