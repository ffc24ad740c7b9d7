"""``corfield complete`` and what it cannot use: each fault is one line that names the file, the others are done."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch

from custom.cli.main import main
from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.run.complete_hearts import run_complete
from custom.run.completion_request import CompletionRequest
from tests.custom.run.completion_run_helpers import AFFINE, LA, LV, SHAPE, complete, constant, given, opened, two_cases
from tests.folder_entries import entries


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return two_cases(tmp_path / "labels")


def test_faulty_and_empty_label_maps_are_named_and_the_others_are_done(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (labels / "text.nii").write_text("no image")
    write_label_map(labels / "empty.nii.gz", np.zeros(SHAPE, np.uint8), AFFINE)
    network, output = constant(tmp_path / "best.pt", ["Aorta"]), tmp_path / "out"
    arguments = [str(labels), str(output), str(network), "--workers=1", "--device=cpu", "--structures=Aorta"]
    with pytest.raises(SystemExit) as ended:
        main(["complete", *arguments])
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert "text.nii: found a file that cannot be opened" in said.err
    assert "empty.nii.gz: found no structure to complete it from" in said.err and "2 faults; the rest" in said.err
    assert "cases       2 good, 2 faulty and left out; 0 up to date" in said.out
    assert "to complete Aorta in 2" in said.out and "warning" not in said.out
    assert sorted(path.name for path in entries((output / "completed").iterdir())) == ["a.nii.gz", "b.nii.gz"]


def test_a_network_that_draws_nothing_is_a_fault_of_every_case(labels: Path, tmp_path: Path) -> None:
    outcome = complete(labels, tmp_path / "out", constant(tmp_path / "best.pt", []))
    assert len(outcome.faults) == 2
    assert all("found that the network draws no voxel of Myocardium, " in fault for fault in outcome.faults)
    assert (opened(tmp_path / "out" / "completed" / "a.nii.gz") == given(LA, LV)).all()


def test_what_no_completion_can_use_is_refused_before_anything_is_written(labels: Path, tmp_path: Path) -> None:
    output, network = tmp_path / "out", constant(tmp_path / "best.pt", ["Aorta"])
    untrained = constant(tmp_path / "last.pt", ["Aorta"], epoch=0)
    torch.save({"format": "corfield.near_stage1/1"}, tmp_path / "field.pt")
    (tmp_path / "text.pt").write_text("no checkpoint")
    for fields, words in (
        ({"checkpoint": tmp_path / "nothing.pt"}, "nothing.pt: found no such file; wanted a checkpoint"),
        ({"checkpoint": tmp_path}, "found a folder; wanted a checkpoint"),
        ({"checkpoint": tmp_path / "field.pt"}, "field.pt: found a file of format 'corfield.near_stage1/1'"),
        ({"checkpoint": tmp_path / "text.pt"}, "text.pt: found a file that cannot be read"),
        ({"checkpoint": untrained}, "last.pt: found a network that was never trained"),
        ({"label_table": "totalsegmentator_heart"}, "Give --label_table public_cardiac_ct"),
        ({"structures": ("LAB",)}, "found 'LAB'"),
        ({"workers": -1}, "--workers: found -1"),
        ({"draws": 0}, "--draws: found 0"),
        ({"device": "abacus"}, "--device: found 'abacus'"),
        ({"reference": tmp_path / "nowhere"}, "nowhere: found no such folder"),
        ({"reference": output / "completed"}, "completed: found no such folder"),
    ):
        with pytest.raises(InputError) as raised:
            complete(labels, output, **{"checkpoint": network, **fields})
        assert words in str(raised.value)
        assert not output.exists()


def test_label_maps_of_background_alone_and_own_outputs_are_refused(labels: Path, tmp_path: Path) -> None:
    network, output = constant(tmp_path / "best.pt", ["Aorta"]), tmp_path / "out"
    write_label_map(tmp_path / "empty.nii.gz", np.zeros(SHAPE, np.uint8), AFFINE)
    with pytest.raises(InputError, match="no label map with a structure in it"):
        complete(tmp_path / "empty.nii.gz", tmp_path / "other", network)
    complete(labels, output, network)
    with pytest.raises(InputError, match="completed: found an input which this run would write"):
        complete(output / "completed", output, network)


def test_a_network_that_was_only_taught_to_give_back_is_said_to_be_one(labels: Path, tmp_path: Path) -> None:
    said: list[str] = []
    network = constant(tmp_path / "best.pt", ["Aorta"], phase="phase1")
    asked = CompletionRequest(labels=labels, output=tmp_path / "out", checkpoint=network, workers=1, device="cpu")
    run_complete(asked, said.append)
    assert "warning     this network was trained to give back what it sees" in said[0]


def test_unknown_labels_and_two_files_of_one_name_are_named(labels: Path, tmp_path: Path) -> None:
    strange = given(LA, LV)
    strange[0, 0, 0] = 77
    write_label_map(labels / "strange.nii.gz", strange, AFFINE)
    write_label_map(labels / "a.nii", given(LA), AFFINE)
    outcome = complete(labels, tmp_path / "out", constant(tmp_path / "best.pt", ["Aorta", "PA"]))
    shared, unknown = sorted(outcome.faults, key=lambda fault: "strange" in fault)
    assert "found one case name, 'a'" in shared and "strange.nii.gz: found the label values 77" in unknown
    assert all("\n" not in fault for fault in outcome.faults)
    assert [path.name for path in entries((tmp_path / "out" / "completed").iterdir())] == ["b.nii.gz"]


def test_a_folder_without_label_maps_and_a_missing_one_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "nobody").mkdir()
    network = constant(tmp_path / "best.pt", ["Aorta"])
    for place in (tmp_path / "nobody", tmp_path / "nowhere", tmp_path / "nowhere.nii.gz"):
        with pytest.raises(InputError, match=place.name) as raised:
            complete(place, tmp_path / "out", network)
        assert "\n" not in str(raised.value)


def far_off(folder: Path, voxels: int, edge_mm: float) -> Path:
    """A heart of 9 x 6 x 8 voxels at the lower end of a grid that is longer by so many."""
    labels = np.pad(given(LA, LV), ((0, voxels), (0, 0), (0, 0)))
    write_label_map(folder / "far.nii.gz", labels, np.diag([edge_mm] * 3 + [1.0]))
    return folder


def test_the_plan_and_the_report_name_hearts_that_reach_beyond_the_frame_and_what_helps(tmp_path: Path) -> None:
    labels, said = far_off(two_cases(tmp_path / "labels"), 64, 3.0), list[str]()
    network = constant(tmp_path / "best.pt", ["Aorta"])
    asked = CompletionRequest(labels=labels, output=tmp_path / "out", checkpoint=network, workers=1, device="cpu")
    outcome = run_complete(asked, said.append)
    found = "1 of 3 cases reach beyond the network's cube of 200 mm: far (106 mm) from its middle"
    helping = "Crop the label map so that the heart lies in its middle, or take a network trained on such hearts"
    assert f"frame       {found}; nothing is drawn there. {helping}, with --scale_mm 110" in said[0]
    assert found in unescape((tmp_path / "out" / "report" / "index.html").read_text(encoding="utf-8"))
    (fault,) = outcome.faults
    assert "far.nii.gz: found " in fault and "% of its surfaces beyond the cube of 200 mm" in fault
    assert re.search(r"\(they reach 10\d mm from its middle and are \d\d mm long\)", fault) and helping in fault


def test_hearts_of_a_size_that_none_has_are_named_in_the_plan(labels: Path, tmp_path: Path) -> None:
    said: list[str] = []
    network = constant(tmp_path / "best.pt", ["Aorta"])
    asked = CompletionRequest(labels=labels, output=tmp_path / "out", checkpoint=network, workers=1, device="cpu")
    run_complete(asked, said.append)
    assert "sizes       1 case, a: hearts of down to 40 mm, of at least 50 in a newborn; limits in mm" in said[0]
    assert "frame  " not in said[0]
