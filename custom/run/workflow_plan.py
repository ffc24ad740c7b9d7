"""A repair cut up into the jobs of a cluster, written down once so that each job finds what it is to do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from .check_label_map import CheckedCase
from .cli_values import flag, listed, tables
from .final_label_maps import map_of
from .input_cases import InputCases
from .json_records import read_record, write_record
from .presets import preset_named
from .repair_plan import RepairPlan, chosen_structures, free_bytes, heart_bytes, need_bytes
from .repair_request import RepairRequest
from .stage1_structures import State, StructureJob, make_job, state_of
from .unified_stage import HeartJob, make_heart_job

PATHS = ("labels", "output", "reference")


@dataclass(frozen=True)
class WorkflowPlan:
    """A repair cut up into jobs.

    Attributes:
        request: the settings of the run; its device is that of the job at hand.
        cases: the good ones.
        faults: what is wrong with the others, a line each.
        batches: names of the cases that one job takes together, by the batch's number in four digits or more.
    """

    request: RepairRequest
    cases: tuple[CheckedCase, ...]
    faults: tuple[str, ...]
    batches: Mapping[str, tuple[str, ...]]

    @property
    def structures(self) -> tuple[str, ...]:
        """Names of those that stage 1 repairs."""
        return chosen_structures(self.request.structures, InputCases(self.cases, self.faults), self.request.table)

    @property
    def plan(self) -> RepairPlan:
        """The plan of the same repair, its time unknown: the machine that makes it is none of those that train."""
        request, intake, table = self.request, InputCases(self.cases, self.faults), self.request.table
        jobs = {name: self.job(name) for name in self.structures}
        states = {name: state_of(job) for name, job in jobs.items()}
        present = intake.present(table)
        heart = self.heart()
        state: State = state_of(heart) if heart else "done"
        return RepairPlan(
            intake=intake,
            preset=preset_named(request.preset),
            jobs=jobs,
            states=states,
            left_alone=tuple(name for name in present if name not in jobs),
            absent=tuple(name for name in table.names if name not in present),
            seconds=dict.fromkeys(jobs, 0.0),
            heart=heart,
            heart_state=state,
            heart_seconds=0.0,
            workers=max(1, len(jobs)),
            device=request.device,
            need_bytes=need_bytes(jobs, states, self.cases, len(jobs)) + heart_bytes(heart, state, self.cases),
            free_bytes=free_bytes(request.output),
        )

    def job(self, structure: str) -> StructureJob:
        """Stage 1 of one structure."""
        request = self.request
        common = {"label_table": request.label_table, "seed": request.seed, "device": request.device}
        which, preset = request.table[structure], preset_named(request.preset)
        return make_job(which, preset, self.cases, request.output, common, request.overrides)

    @property
    def fused(self) -> tuple[CheckedCase, ...]:
        """The cases that stage 2 has made a label map of."""
        return tuple(case for case in self.cases if map_of(self.request.output, "fused", case.name).is_file())

    def heart(self, cases: Sequence[CheckedCase] | None = None) -> HeartJob | None:
        """Stage 3 of some cases, or of all; ``None``: it is left out."""
        jobs = {name: self.job(name) for name in self.structures}
        return make_heart_job(self.request, self.cases if cases is None else cases, jobs)


def request_of(asked: Mapping[str, Any]) -> RepairRequest:
    """A workflow's settings as a request: fields of :class:`RepairRequest`, some of them as one would type them.

    Raises:
        InputError: a setting that is none, labels or output missing, or a value of another kind.
    """
    unknown = sorted(set(asked) - set(RepairRequest.__dataclass_fields__))
    if unknown:
        raise InputError("settings", f"no such setting, {', '.join(unknown)}", "those of config.yaml", "Correct it.")
    for name in ("labels", "output"):
        if not asked.get(name):
            raise InputError(name, "nothing", "a path", f"Give it by --config {name}=PATH.")
    for name in PATHS:
        check_path(name, asked.get(name))
    given: dict[str, Any] = dict(asked)
    given |= {name: Path(given[name]) if given.get(name) else None for name in PATHS}
    given["structures"] = listed(given.get("structures") or "")
    given["table_changes"] = tables(_typed(given.get("table_changes") or ""))
    for name in ("overrides", "unified_overrides"):
        given[name] = _typed(given.get(name) or {})
        if not isinstance(given[name], dict):
            raise InputError(name, repr(given[name]), 'settings such as {"max_epochs": 50}', "Correct it.")
    given.setdefault("device", "cpu")
    for name in ("strict_components", "seg_nrrd", "skip_unified", "allow_lost", "overwrite"):
        given[name] = flag(name, given.get(name, False))
    return RepairRequest(**given)


def check_path(name: str, value: Any) -> None:
    """Refuse a path that is no text: a workflow's command line reads 1.10 as a number, and [a] as a list.

    Raises:
        InputError: naming the setting and how to write it.
    """
    if value is not None and not isinstance(value, (str, Path)):
        found, remedy = f"{value!r}, which is no text", f"Write --config {name}=./NAME, or quote it in config.yaml."
        raise InputError(name, found, "a path", remedy)


def _typed(value: Any) -> Any:
    """Numbers and truth values inside an object; Snakemake's command line hands them on as text."""
    if isinstance(value, dict):
        return {str(name): _typed(inside) for name, inside in value.items()}
    if isinstance(value, list):
        return [_typed(inside) for inside in value]
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def batches_of(names: tuple[str, ...], size: int) -> dict[str, tuple[str, ...]]:
    """The cases in batches of that size, the last one smaller, by number.

    Raises:
        InputError: a size below 1.
    """
    if size < 1:
        raise InputError("cases_per_job", repr(size), "a whole number from 1", "Correct it.")
    return {f"{number:04d}": names[first : first + size] for number, first in enumerate(range(0, len(names), size))}


def write_workflow_plan(path: Path, asked: Mapping[str, Any], blueprint: WorkflowPlan) -> None:
    """Write it as JSON, with what the workflow has to know beside it: which structures stage 1 repairs, and
    whether there is a stage 3."""
    content = {
        "asked": dict(asked),
        "structures": list(blueprint.structures),
        "unified": blueprint.heart() is not None,
        "batches": dict(blueprint.batches),
        "faults": blueprint.faults,
        "cases": [asdict(case) for case in blueprint.cases],
    }
    write_record(path, content)


def read_workflow_plan(path: Path) -> WorkflowPlan:
    """What :func:`write_workflow_plan` wrote.

    Raises:
        InputError: there is none.
    """
    content = read_record(path)
    if not content:
        raise InputError(path, "no plan", "one that the job `plan` has written", "Let the workflow write it again.")
    cases = tuple(CheckedCase.of(item) for item in content["cases"])
    batches = {number: tuple(names) for number, names in content["batches"].items()}
    return WorkflowPlan(request_of(content["asked"]), cases, tuple(content["faults"]), batches)
