"""``corfield repair``: label maps in, a repaired data set with proof of what changed out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from ..cohort.cases import label_maps
from ..errors import InputError
from ..scoring.changes import RepairRow, format_repairs, write_metrics
from .checking import CheckedCase
from .closing import close
from .comparison import format_stages
from .crew import Crew
from .finals import map_of, publish, write_changes
from .fusion_stage import drop_outdated, fuse_all, stage2_settings
from .intake import refuse_own_outputs, take_in
from .lock import only_run_in
from .measures import measure_all
from .plan import Plan, check_room, format_plan, in_words, make_plan
from .request import FINALS, Request, check
from .stage1 import do_job
from .task import Task, full_disk, is_full_disk, stop_if_full
from .unified_stage import unify_all

LOGGER = logging.getLogger(__name__)

FINISHED = ("repaired", "fused", "unified")
"""Folders of whole label maps that a repair writes."""


@dataclass(frozen=True)
class Outcome:
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


def run_repair(request: Request, say: Callable[[str], None] = LOGGER.info) -> Outcome:
    """Repair a data set. Killed at any moment and called again it goes on, and ends with the same files.

    Args:
        request: what is asked.
        say: takes the plan, before anything costs time.

    Raises:
        InputError: a setting that cannot be used, no good case at all, no room, a full disk, or another run at work.
    """
    begun = time.monotonic()
    check(request)
    try:
        with only_run_in(request.output):
            return _repair(request, say, begun)
    except (OSError, InputError) as error:
        if is_full_disk(error):
            raise full_disk(request.output) from error
        raise


def _repair(request: Request, say: Callable[[str], None], begun: float) -> Outcome:
    output = request.output
    with Crew(request.hands) as crew:
        intake = take_in(request.labels, output, request.table, crew)
        refuse_own_outputs(intake, output)
        references, missing = find_references(request, [case.name for case in intake.cases])
        plan = make_plan(request, intake)
        say(format_plan(plan, output))
        check_room(plan, output)
        drop_outdated(output, plan.names)
        faults = [*intake.faults, *run_stages(request, plan, crew)]
        repaired = [case for case in intake.cases if map_of(output, "repaired", case.name).is_file()]
        faults += unnamed(intake.cases, repaired, faults)
        if not repaired:
            raise InputError("repair", f"no case repaired [{' | '.join(faults)}]", "at least one", "Mend the cause.")
        rows, told = conclude(request, plan, repaired, references, crew)
    seconds = time.monotonic() - begun
    tables = "\n".join(table for table in (format_repairs(rows), format_stages(rows)) if table)
    text = f"{tables}\n{losses(rows)}\n{places(request)}\n{len(repaired)} cases in {in_words(seconds)}"
    return Outcome(text, tuple(rows), tuple(faults + missing + told), seconds)


def run_stages(request: Request, plan: Plan, crew: Crew) -> list[str]:
    """Train, fuse and unify what is not up to date, and let ``OUTPUT/repaired`` hold the result; the faults of cases.

    Raises:
        InputError: a structure that could not be trained, or a full disk.
    """
    output, settings, names = request.output, stage2_settings(request), plan.names
    with ExitStack() as stack:
        apart = request.trainers != request.hands
        trainers = stack.enter_context(Crew(request.trainers)) if apart else crew
        train_all(plan, trainers)
        faults = fuse_all(output, tuple(plan.jobs), len(names), settings, crew)
        if request.final == "fused":  # before stage 3: whoever stops there has this
            publish(output, names, request.final)
        faults += unify_all(request, plan.intake.cases, plan.jobs, crew, trainers)
    publish(output, names, request.final)
    return faults


def conclude(
    request: Request, plan: Plan, repaired: Sequence[CheckedCase], references: Mapping[str, Path], crew: Crew
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


def find_references(request: Request, names: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """The truth of each case that has one, by case, and what to say of the others.

    Raises:
        InputError: a folder that holds none, two of one name, or what the repair itself writes: it would score 1.
    """
    if request.reference is None:
        return {}, []
    if request.reference.resolve() in [(request.output / folder).resolve() for folder in FINISHED]:
        found_here, wanted = "the folder that is to be scored", "true label maps"
        raise InputError(request.reference, found_here, wanted, "Choose another --reference.")
    found = label_maps(request.reference)
    remedy = "It is measured against its input alone."
    missing = [
        str(InputError(request.reference, f"no label map of case {name}", "one for every case", remedy))
        for name in names
        if name not in found
    ]
    return {name: path for name, path in found.items() if name in names}, missing


def unnamed(cases: Sequence[CheckedCase], repaired: Sequence[CheckedCase], faults: Sequence[str]) -> list[str]:
    """What to say of the cases that no repaired map came of and no fault speaks of: their worker process has ended."""
    return [
        str(InputError(case.path, "no repaired label map", "one for every case", "See what else is left out."))
        for case in cases
        if case not in repaired
        and not any(f"{start}{case.name}: " in fault for fault in faults for start in ("[", "| "))
    ]


def losses(rows: Sequence[RepairRow]) -> str:
    """A line for each structure that the repair has taken away altogether: nobody should have to find that out."""
    lost: dict[str, list[str]] = {}
    for row in rows:
        if row.lost:
            lost.setdefault(row.structure, []).append(row.case)
    return "".join(
        f"LOST: {name} is gone from {len(cases)} cases, among them {', '.join(cases[:3])}; look at the report\n"
        for name, cases in lost.items()
    )


FINAL_WORDS = {"fused": "the fused label maps of stage 2", "unified": "the unified label maps of stage 3"}


def facts_of(request: Request, plan: Plan) -> dict[str, str]:
    """What was run, for the head of the report."""
    facts = {"preset": request.preset, "repaired by a field": ", ".join(sorted(plan.jobs)) or "nothing"}
    facts["after"] = FINAL_WORDS[request.final]
    if plan.left_alone:
        facts["taken as they were"] = ", ".join(plan.left_alone)
    if request.reference:
        facts["reference"] = str(request.reference)
    return facts | {"version": __version__}


def places(request: Request) -> str:
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


def train_all(plan: Plan, crew: Crew) -> None:
    """Stage 1 of every structure that is not up to date.

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
