"""The steps of a repair as processes of their own: what each leaves behind, and what it says when it fails."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.files import write_file
from custom.near.field_checkpoint import load_checkpoint
from custom.rules.ledger import write_ledger
from custom.run import workflow_steps
from custom.run.final_label_maps import map_of
from custom.run.json_records import read_record, write_record
from custom.run.stage1_structures import state_of
from custom.run.workflow_plan import WorkflowPlan, read_workflow_plan, request_of
from tests.folder_entries import entries

from .conftest import TINY_HEART


@pytest.fixture
def planned(hearts: Path, tiny: dict[str, Any], tmp_path: Path) -> WorkflowPlan:
    """Two phantoms, and the left atrium to be trained."""
    path = tmp_path / "out" / "workflow" / "run" / "plan.json"
    asked = {"labels": str(hearts / "labels"), "output": str(tmp_path / "out"), "structures": "LA", "overrides": tiny}
    asked |= {"unified_overrides": TINY_HEART, "allow_lost": True}
    workflow_steps.plan(path, asked, 1, 1)
    return read_workflow_plan(path)


def test_planning_clears_away_what_other_runs_have_left(hearts: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    for folder in ("workflow/old", "stage1/masks/PV", "stage1/masks/LA"):
        write_file(output / folder / "file", "")
    asked = {"labels": str(hearts / "labels"), "output": str(output), "structures": "LA"}
    workflow_steps.plan(output / "workflow" / "new" / "plan.json", asked, 2, 1)
    assert [path.name for path in entries((output / "workflow").iterdir())] == ["new"]
    assert [path.name for path in entries((output / "stage1" / "masks").iterdir())] == ["LA"]
    made = read_record(output / "workflow" / "new" / "plan.json")
    assert (made["structures"], made["faults"]) == (["LA"], [])
    assert made["batches"] == {"0000": ["phantom_000", "phantom_001"]}


def test_a_faulty_label_map_is_noted_and_the_others_are_planned(hearts: Path, tmp_path: Path) -> None:
    shutil.copytree(hearts / "labels", tmp_path / "labels")
    (tmp_path / "labels" / "text.nii").write_text("no image")
    path = tmp_path / "out" / "workflow" / "run" / "plan.json"
    workflow_steps.plan(path, {"labels": str(tmp_path / "labels"), "output": str(tmp_path / "out")}, 1, 1)
    made = read_workflow_plan(path)
    assert [case.name for case in made.cases] == ["phantom_000", "phantom_001"]
    assert len(made.faults) == 1 and "text.nii" in made.faults[0]


def test_training_and_batches_of_masks_together_are_a_finished_job_of_stage_1(planned: WorkflowPlan) -> None:
    states = [state_of(planned.job("LA"))]
    workflow_steps.train(planned, "LA", "cpu", 1)
    for batch in ("0000", "0001"):
        states.append(state_of(planned.job("LA")))
        workflow_steps.infer_batch(planned, "LA", batch)
    assert [*states, state_of(planned.job("LA"))] == ["new", "trained", "trained", "done"]
    run_dir = planned.job("LA").run_dir
    assert sorted(path.name for path in entries(run_dir.iterdir())) == ["best.pt", "run.json", "tensorboard"]
    assert load_checkpoint(run_dir / "best.pt")["cases"] == ["phantom_000", "phantom_001"]
    before = {path: path.stat().st_mtime_ns for path in run_dir.rglob("*.pt")}
    workflow_steps.train(planned, "LA", "cpu", 1)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert state_of(planned.job("LA")) == "done"


def test_masks_of_other_settings_are_cleared_away_and_the_field_is_kept(planned: WorkflowPlan) -> None:
    job = planned.job("LA")
    (job.run_dir).mkdir(parents=True)
    (job.run_dir / "best.pt").touch()
    write_file(job.masks_dir / "phantom_000.nii.gz", "")
    write_record(job.record, {"train_key": job.train_key, "trained": True, "mask_key": "other", "seconds": 7.0})
    workflow_steps.train(planned, "LA", "cpu", 1)
    assert not job.masks_dir.exists()
    assert (job.run_dir / "best.pt").is_file()
    assert read_record(job.record)["mask_key"] == job.mask_key


def test_a_gpu_for_each_process_or_none_at_all(planned: WorkflowPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(InputError, match="found 2 GPUs; wanted 3"):
        workflow_steps.train(planned, "LA", "cuda", 3)
    assert state_of(planned.job("LA")) == "new"


def test_a_fault_in_fusion_is_noted_and_fails_the_verdict_once(
    planned: WorkflowPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(settings: Mapping[str, Any]) -> None:
        raise InputError(settings["only_cases"][0], "a hole in the disk", "a mask", "Mend it.")

    marks = tmp_path / "fuse"
    monkeypatch.setattr(workflow_steps, "fuse", broken)
    workflow_steps.fuse_batch(planned, "0001", marks / "0001")
    fault = "phantom_001: found a hole in the disk; wanted a mask. Mend it."
    assert read_record(marks / "0001") == {"faults": [fault]}
    write_record(marks / "0000", {"faults": []})
    write_record(tmp_path / "report", {"faults": [fault]})
    with pytest.raises(InputError, match="a hole in the disk"):
        workflow_steps.judge(tmp_path / "report", tmp_path)
    assert [path.name for path in entries(marks.iterdir())] == ["0000"]
    assert not (tmp_path / "report").exists()


def test_the_verdict_on_a_run_without_faults_is_silence(tmp_path: Path) -> None:
    write_record(tmp_path / "report", {"faults": []})
    (tmp_path / "fuse").mkdir()
    workflow_steps.judge(tmp_path / "report", tmp_path)
    assert (tmp_path / "report").is_file()


def test_a_report_without_a_single_repaired_case_is_refused(planned: WorkflowPlan, tmp_path: Path) -> None:
    write_record(tmp_path / "fuse" / "0000", {"faults": ["phantom_000: lost"]})
    with pytest.raises(InputError, match="phantom_000: lost"):
        workflow_steps.report(planned, tmp_path, tmp_path / "report", 1)


def test_the_jobs_of_stage_3_together_are_a_finished_stage_and_its_package(
    planned: WorkflowPlan, tmp_path: Path
) -> None:
    output, marks = planned.request.output, tmp_path / "marks"
    for case in planned.cases:  # as if stage 2 had done its work
        write_file(map_of(output, "fused", case.name), Path(case.path).read_bytes())
        write_ledger(output / "ledger" / f"{case.name}.csv", {})
    overrides = {**planned.request.unified_overrides, "teacher_dir": ""}
    planned = replace(planned, request=replace(planned.request, final="unified", unified_overrides=overrides))
    workflow_steps.unify(planned, "cpu", 1, 1)
    job = planned.heart(planned.fused)
    assert job is not None
    states = [state_of(job)]
    for batch in ("0000", "0001"):
        workflow_steps.draw_batch(planned, batch, marks / "draw" / batch)
        states.append(state_of(job))
    assert states == ["trained", "trained", "done"]
    workflow_steps.pack_heart(planned)
    workflow_steps.report(planned, marks, tmp_path / "report", 1)
    assert read_record(tmp_path / "report") == {"faults": []}
    for case in planned.cases:
        published = map_of(output, "repaired", case.name)
        assert published.read_bytes() == map_of(output, "unified", case.name).read_bytes()
    written = {path: path.stat().st_mtime_ns for path in entries((output / "model").iterdir())}
    workflow_steps.unify(planned, "cpu", 1, 1)
    workflow_steps.pack_heart(planned)
    assert {path: path.stat().st_mtime_ns for path in written} == written and len(written) == 4


def test_a_fault_in_drawing_is_noted(planned: WorkflowPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(job: Any, cases: Any) -> None:
        raise InputError(cases[0], "a hole in the disk", "a field", "Mend it.")

    for case in planned.cases:
        write_label_map(map_of(planned.request.output, "fused", case.name), np.ones((3, 5, 7), np.uint8), np.eye(4))
    monkeypatch.setattr(workflow_steps, "infer", broken)
    workflow_steps.draw_batch(planned, "0001", tmp_path / "draw" / "0001")
    fault = "phantom_001: found a hole in the disk; wanted a field. Mend it."
    assert read_record(tmp_path / "draw" / "0001") == {"faults": [fault]}
    write_record(tmp_path / "report", {"faults": [fault]})
    with pytest.raises(InputError, match="a hole in the disk"):
        workflow_steps.judge(tmp_path / "report", tmp_path)
    assert list(entries((tmp_path / "draw").iterdir())) == []


def test_a_whole_heart_of_nothing_is_refused(planned: WorkflowPlan) -> None:
    with pytest.raises(InputError, match="stage 3: found no fused label map that holds anything"):
        workflow_steps.unify(planned, "cpu", 1, 1)


@pytest.mark.parametrize("number", ["1.5", "-1", "two", ""])
def test_a_number_that_is_none_is_named(number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        workflow_steps.main(["plan", str(tmp_path / "plan.json"), "{}", "--", number, "1"])
    assert capsys.readouterr().err == (
        f"error: settings: found {number!r}; wanted a whole number. Correct processes, cases_per_job or threads.\n"
    )


def test_a_fault_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = json.dumps({"labels": str(tmp_path / "none"), "output": str(tmp_path / "out")})
    with pytest.raises(SystemExit) as ended:
        workflow_steps.main(["plan", str(tmp_path / "out" / "workflow" / "run" / "plan.json"), asked, "1", "1"])
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    assert str(tmp_path / "none") in lines[-1]


@pytest.mark.parametrize("name", ["labels", "output", "reference"])
@pytest.mark.parametrize("value", [1.1, 7, True, ["a"]])
def test_a_path_that_the_workflow_has_read_as_something_else_is_refused(name: str, value: Any) -> None:
    asked = {"labels": "a", "output": "b", name: value}
    with pytest.raises(
        InputError, match=rf"{name}: found .* which is no text; wanted a path. Write --config {name}=./"
    ):
        request_of(asked)
    assert request_of({"labels": "1.10", "output": "run#2", "reference": ""}).labels == Path("1.10")


def test_a_step_with_too_few_arguments_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        workflow_steps.main(["judge", "one"])
    assert ended.value.code == 2
    assert "judge: 1 arguments given, 2 wanted" in capsys.readouterr().err
