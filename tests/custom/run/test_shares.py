"""Several cases in one task or process: what one of them does to it is its own fault alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.label_maps import LabelMap, read_label_map
from custom.errors import InputError
from custom.run import check_label_map, fusion_stage, input_cases, stage1_structures, workflow_steps
from custom.run.fusion_stage import fuse_all
from custom.run.input_cases import read_input_cases
from custom.run.json_records import read_record
from custom.run.presets import PRESETS
from custom.run.process_pool import ProcessPool
from custom.run.stage1_structures import StructureJob, infer, make_job
from custom.run.task import Answer, Task, faults_of
from custom.run.unified_stage import HeartJob, _case_by_case, _faults, _task
from custom.run.workflow_plan import WorkflowPlan, read_workflow_plan
from tests.custom.run.killed_worker import GUILTY, check_or_die, draw_or_die, fuse_or_die

from . import killed_worker

KILLED = "its worker process ended by signal 9; perhaps memory was short"


def copied(hearts: Path, folder: Path, names: Sequence[str]) -> Path:
    folder.mkdir()
    for name in names:
        shutil.copy(hearts / "labels" / "phantom_000.nii.gz", folder / f"{name}.nii.gz")
    return folder


def test_eight_sound_files_are_taken_though_the_ninth_kills_its_process(
    hearts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = [f"case_{number}" for number in range(8)]
    labels = copied(hearts, tmp_path / "labels", ["case_3_" + GUILTY, *sound])
    monkeypatch.setattr(input_cases, "check_files", check_or_die)
    with ProcessPool(2) as crew:
        found = read_input_cases(labels, tmp_path / "out", PUBLIC_CARDIAC_CT, crew)
    assert [case.name for case in found.cases] == sound
    assert found.faults == (f"{labels}/case_3_{GUILTY}.nii.gz: {KILLED}",)


def test_a_file_that_brings_an_unforeseen_error_is_named_and_the_others_are_taken(
    hearts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = copied(hearts, tmp_path / "labels", ["a", GUILTY, "z"])

    def short(path: str, *given: Any) -> LabelMap:
        if GUILTY in path:
            raise MemoryError("Unable to allocate 27 TiB\nfor an array")
        return read_label_map(path, *given)

    monkeypatch.setattr(check_label_map, "read_label_map", short)
    found = read_input_cases(labels, tmp_path / "out", PUBLIC_CARDIAC_CT, ProcessPool(1))
    assert [case.name for case in found.cases] == ["a", "z"]
    assert found.faults == (f"{labels}/{GUILTY}.nii.gz: MemoryError: Unable to allocate 27 TiB",)


def test_a_share_of_fusion_whose_process_is_killed_is_done_case_by_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion_stage, "fuse", fuse_or_die)
    with ProcessPool(2) as crew:
        faults = fuse_all(tmp_path, (), ["a", "b", GUILTY, "z"], {}, crew)
    assert faults == [f"{GUILTY}: {KILLED}"]
    assert sorted(path.name for path in tmp_path.glob("*.done")) == ["a.done", "b.done", "z.done"]


def test_a_share_of_stage_3_whose_process_is_killed_is_done_case_by_case_and_faults_of_cases_are_told(
    tmp_path: Path,
) -> None:
    job = HeartJob("heart", tmp_path / "unified_run", ("a", GUILTY, "b"), (), {}, (), {}, "", "")
    tasks = [_task("drawing", 0, draw_or_die, job, cases=["a", GUILTY, "b"])]
    with ProcessPool(2) as crew:
        assert _faults(crew, tasks, "test", _case_by_case) == [f"{GUILTY}: {KILLED}", "b: no good"]
    assert sorted(path.name for path in tmp_path.glob("*.done")) == ["a.done", "b.done"]


def test_a_task_whose_process_is_killed_is_done_once_more_with_none_beside_it(tmp_path: Path) -> None:
    tasks = [
        Task("a", os.getpid),
        Task("unlucky", killed_worker.die_once, {"mark": tmp_path / "mark"}),
        Task(GUILTY, killed_worker.die),
        Task("z", os.getpid),
    ]
    with ProcessPool(2) as crew:
        answers: dict[str, Answer] = {answer.name: answer for answer in crew.run(tasks, "test")}
    assert {name for name, answer in answers.items() if answer.fault} == {GUILTY}
    assert isinstance(answers["unlucky"].result, int)
    assert answers[GUILTY].fault == f"{GUILTY}: {KILLED}"


def no_masks(hearts: Path, tmp_path: Path, names: Sequence[str]) -> StructureJob:
    cases = read_input_cases(
        copied(hearts, tmp_path / "labels", names), tmp_path / "out", PUBLIC_CARDIAC_CT, ProcessPool(1)
    ).cases
    common = {"label_table": "public_cardiac_ct", "seed": 0, "device": "cpu"}
    return make_job(PUBLIC_CARDIAC_CT["LA"], PRESETS["standard"], cases, tmp_path / "out", common, {})


def drawing(job: StructureJob, runs: list[list[str]], error: Exception) -> Any:
    """A bundle that writes the masks of the cases it is given, in order, up to a guilty one."""

    def run(config_file: Sequence[str], run_id: str, only_cases: list[str], **settings: Any) -> None:
        runs.append(only_cases)
        job.masks_dir.mkdir(parents=True, exist_ok=True)
        for case in only_cases:
            if GUILTY in case:
                raise RuntimeError("applying transform") from error
            (job.masks_dir / f"{case}.nii.gz").touch()

    return run


def test_a_case_whose_mask_cannot_be_drawn_is_left_out_and_those_behind_it_are_drawn(
    hearts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, runs = ["a", "b" + GUILTY, "c", "d" + GUILTY, "e"], list[list[str]]()
    job = no_masks(hearts, tmp_path, names)
    job.infer_settings["save_probability"] = False
    monkeypatch.setattr(stage1_structures, "run_bundle", drawing(job, runs, InputError("b.nii", "x", "y", "Do z.")))
    wanted = [f"{name}: b.nii: found x; wanted y. Do z." for name in (names[1], names[3])]
    assert infer(job, names) == wanted
    assert runs == [names, names[2:], names[4:]]
    assert infer(job, names) == wanted  # though none of the others is left to do


def test_a_field_that_draws_no_case_at_all_and_a_full_disk_are_no_cases_fault(
    hearts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, runs = [f"{GUILTY}{number}" for number in range(5)], list[list[str]]()
    job = no_masks(hearts, tmp_path, names)
    job.infer_settings["save_probability"] = False
    monkeypatch.setattr(stage1_structures, "run_bundle", drawing(job, runs, ValueError("no such field")))
    with pytest.raises(RuntimeError):
        infer(job, names)
    assert len(runs) == stage1_structures.IN_VAIN
    monkeypatch.setattr(stage1_structures, "run_bundle", drawing(job, runs, OSError(28, "No space left on device")))
    with pytest.raises(RuntimeError):
        infer(job, names)
    assert len(runs) == stage1_structures.IN_VAIN + 1


def test_several_cases_in_this_process_are_done_one_by_one_after_an_unforeseen_error() -> None:
    calls: list[list[str]] = []

    def call(cases: Sequence[str]) -> None:
        calls.append(list(cases))
        if GUILTY in cases:
            raise MemoryError("27 TiB")

    assert faults_of(["a", GUILTY, "z"], call) == [f"{GUILTY}: MemoryError: 27 TiB"]
    assert calls == [["a", GUILTY, "z"], ["a"], [GUILTY], ["z"]]

    def refuse(cases: Sequence[str]) -> None:
        raise InputError("a", "x", "y", "Do z.")

    assert faults_of(["a", "b"], refuse) == ["a: found x; wanted y. Do z."]

    def fill(cases: Sequence[str]) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError):
        faults_of(["a", "b"], fill)


def test_a_batch_of_a_cluster_loses_the_guilty_case_alone(
    hearts: Path, tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out" / "workflow" / "run" / "plan.json"
    given = {"labels": str(hearts / "labels"), "output": str(tmp_path / "out"), "structures": "LA", "overrides": tiny}
    workflow_steps.plan(path, given, 2, 1)
    planned: WorkflowPlan = read_workflow_plan(path)
    done: list[str] = []

    def fuse(settings: Mapping[str, Any]) -> None:
        if "phantom_000" in settings["only_cases"]:
            raise MemoryError("27 TiB")
        done.extend(settings["only_cases"])

    monkeypatch.setattr(workflow_steps, "fuse", fuse)
    workflow_steps.fuse_batch(planned, "0000", tmp_path / "mark")
    assert read_record(tmp_path / "mark") == {"faults": ["phantom_000: MemoryError: 27 TiB"]}
    assert done == ["phantom_001"]


def test_an_answer_says_whether_its_error_was_foreseen() -> None:
    def refuse() -> None:
        raise InputError("a", "x", "y", "Do z.")

    def fail() -> None:
        raise MemoryError

    answers = [list(ProcessPool(1).run([Task("a", call)], "test"))[0] for call in (refuse, fail)]
    assert [answer.unforeseen for answer in answers] == [False, True]
