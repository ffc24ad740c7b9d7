"""A whole repair: label maps in, a repaired data set and the proof of it out."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from custom.data.label_maps import read_label_map, write_label_map
from custom.errors import InputError
from custom.metrics.repair_rows import read_metrics
from custom.rules.ledger import read_ledger
from custom.run import fusion_stage
from custom.run.repair_labels import RepairOutcome, losses, run_repair
from custom.run.repair_request import RepairRequest
from custom.run.rewrite_report import run_report
from tests.folder_entries import entries

from .conftest import asked

TWO = ("LA", "Coronary")
AFFINE = np.array([[0.0, -2.0, 0, 7], [1.5, 0, 0, -3], [0, 0, 2.5, 11], [0, 0, 0, 1]])


def written(output: Path) -> dict[str, int]:
    """When every file below a folder was written."""
    return {
        str(path.relative_to(output)): path.stat().st_mtime_ns for path in entries(output.rglob("*")) if path.is_file()
    }


@pytest.fixture(scope="module")
def done(hearts: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RepairRequest, RepairOutcome, list[str]]:
    """A repair of two phantoms with a reference and a third label map that is faulty; not to be written to."""
    folder = tmp_path_factory.mktemp("repair")
    shutil.copytree(hearts / "labels", folder / "labels")
    write_label_map(folder / "labels" / "strange.nii.gz", np.full((3, 5, 7), 99, np.uint8), np.eye(4))
    said: list[str] = []
    request = asked(folder / "labels", folder / "out", reference=hearts / "truth", seg_nrrd=True)
    return request, run_repair(request, said.append), said


def test_every_good_case_is_repaired_on_its_own_grid(done: tuple[RepairRequest, RepairOutcome, list[str]]) -> None:
    request, _, _ = done
    for name in ("phantom_000", "phantom_001"):
        before, after = (
            nib.load(folder / f"{name}.nii.gz") for folder in (request.labels, request.output / "repaired")
        )
        assert (after.shape, after.get_data_dtype()) == (before.shape, np.uint8)
        assert np.array_equal(after.affine, before.affine)
        assert {0, *range(1, 8), 9} <= set(np.unique(after.dataobj)) <= set(range(11))


def test_everything_promised_is_written(done: tuple[RepairRequest, RepairOutcome, list[str]]) -> None:
    request, outcome, _ = done
    output = request.output
    assert [row.case for row in read_metrics(output / "metrics.csv")] == ["phantom_000"] * 10 + ["phantom_001"] * 10
    assert tuple(read_metrics(output / "metrics.csv")) == outcome.rows
    assert all(row.dice_after is not None for row in outcome.rows)
    assert {change.structure for changes in read_ledger(output / "ledger.csv").values() for change in changes}
    assert "<html" in (output / "report" / "index.html").read_text(encoding="utf-8")[:500]
    assert {path.name for path in entries((output / "slicer").iterdir())} == {
        "phantom_000.seg.nrrd",
        "phantom_001.seg.nrrd",
    }
    assert len(list((output / "tensorboard").glob("events*"))) == 1
    masks = output / "stage1" / "masks"
    assert sorted(path.name for path in entries(masks.iterdir())) == sorted(TWO)
    assert (masks / "Coronary" / "probability" / "phantom_000.nii.gz").is_file()
    assert not (masks / "LA" / "probability").exists()


def test_the_plan_is_said_first_and_the_table_last(done: tuple[RepairRequest, RepairOutcome, list[str]]) -> None:
    _, outcome, said = done
    assert len(said) == 1
    assert "cases       2 good, 1 faulty and left out" in said[0]
    assert outcome.text.startswith("| structure")
    for place in ("repaired", "ledger.csv", "metrics.csv", "index.html", "slicer"):
        assert place in outcome.text


def test_a_faulty_case_is_named_and_does_not_keep_the_others_from_their_repair(
    done: tuple[RepairRequest, RepairOutcome, list[str]],
) -> None:
    _, outcome, _ = done
    assert len(outcome.faults) == 1
    assert "strange.nii.gz: found the label values 99" in outcome.faults[0]


def test_a_second_run_does_nothing_again(done: tuple[RepairRequest, RepairOutcome, list[str]]) -> None:
    request, outcome, _ = done
    before = written(request.output)
    said: list[str] = []
    again = run_repair(request, said.append)
    after = written(request.output)
    rewritten = {name for name in after if after[name] != before.get(name)}
    assert rewritten <= {
        ".corfield_lock",
        "cases.json",
        "checked.json",
        "ledger.csv",
        "metrics.csv",
        "shown.json",
        "written.json",
        "logs/fusion_0.log",
    }
    assert said[0].count("up to date") == 2
    assert (again.rows, again.faults) == (outcome.rows, outcome.faults)


def test_the_page_can_be_written_anew_and_with_a_truth_beside(
    done: tuple[RepairRequest, RepairOutcome, list[str]], tmp_path: Path
) -> None:
    output = done[0].output
    page = run_report(output, tmp_path / "same.html")
    assert page.read_bytes() == (output / "report" / "index.html").read_bytes()
    shown = run_report(output, tmp_path / "truth.html", reference=done[0].labels).read_text(encoding="utf-8")
    assert shown.count('data-version="truth"') == 2


def test_an_edited_case_takes_its_own_structure_and_nothing_else_through_stage_1_again(
    done: tuple[RepairRequest, RepairOutcome, list[str]], tmp_path: Path
) -> None:
    request, outcome, _ = done
    shutil.copytree(request.output, tmp_path / "out")
    shutil.copytree(request.labels, tmp_path / "labels")
    (tmp_path / "labels" / "strange.nii.gz").unlink()
    path = tmp_path / "labels" / "phantom_000.nii.gz"
    edited = read_label_map(path)
    labels = edited.labels.copy()
    i, j, k = np.argwhere(labels == 2)[0]
    labels[i, j, k] = 0
    write_label_map(path, labels, edited.affine)
    said: list[str] = []
    again = run_repair(replace(request, labels=tmp_path / "labels", output=tmp_path / "out"), said.append)
    assert "LA: to be trained" in said[0]
    assert "Coronary: up to date" in said[0]
    assert again.faults == ()
    changed = [one.case for one, other in zip(again.rows, outcome.rows, strict=True) if one != other]
    assert "phantom_000" in changed


def test_a_case_that_is_gone_leaves_no_output_behind(
    done: tuple[RepairRequest, RepairOutcome, list[str]], tmp_path: Path
) -> None:
    request, _, _ = done
    shutil.copytree(request.output, tmp_path / "out")
    one = replace(request, labels=request.labels / "phantom_001.nii.gz", output=tmp_path / "out")
    outcome = run_repair(one)
    assert [path.name for path in entries((tmp_path / "out" / "repaired").iterdir())] == ["phantom_001.nii.gz"]
    assert "DROPPED: the results of phantom_000, " in outcome.text
    assert [path.name for path in entries((tmp_path / "out" / "slicer").iterdir())] == ["phantom_001.seg.nrrd"]
    assert {row.case for row in outcome.rows} == {"phantom_001"}


def test_a_label_map_with_a_single_structure_goes_through(hearts: Path, tmp_path: Path) -> None:
    truth = read_label_map(hearts / "truth" / "phantom_000.nii.gz")
    path = tmp_path / "one.nii"
    write_label_map(path, np.where(truth.labels == 2, 2, 0).astype(np.uint8), AFFINE)
    outcome = run_repair(asked(path, tmp_path / "out", structures=()))
    found = read_label_map(tmp_path / "out" / "repaired" / "one.nii.gz")
    assert set(np.unique(found.labels)) == {0, 2}
    assert np.allclose(found.affine, AFFINE)
    assert outcome.faults == ()
    assert [path.name for path in entries((tmp_path / "out" / "stage1" / "masks").iterdir())] == ["LA"]


def test_names_and_folders_of_any_characters_go_through(hearts: Path, tmp_path: Path) -> None:
    names = ("$1+1", "%y", "@x #1")
    (tmp_path / "labels").mkdir()
    for name in names:
        shutil.copy(hearts / "labels" / "phantom_000.nii.gz", tmp_path / "labels" / f"{name}.nii.gz")
    outcome = run_repair(asked(tmp_path / "labels", tmp_path / "#2 $out", structures=("LA",)))
    assert outcome.faults == ()
    assert {path.name for path in entries((tmp_path / "#2 $out" / "repaired").iterdir())} == {
        f"{name}.nii.gz" for name in names
    }


def test_empty_label_maps_stay_empty_and_nothing_is_trained(tmp_path: Path) -> None:
    for name, shape in (("a", (5, 7, 11)), ("b", (3, 2, 13))):
        write_label_map(tmp_path / "labels" / f"{name}.nii.gz", np.zeros(shape, np.uint8), AFFINE)
    said: list[str] = []
    outcome = run_repair(asked(tmp_path / "labels", tmp_path / "out", structures=()), said.append)
    assert "in no case: Myocardium, LA" in said[0]
    assert not read_label_map(tmp_path / "out" / "repaired" / "b.nii.gz").labels.any()
    assert all(row.absent for row in outcome.rows)
    assert outcome.faults == ()
    assert not (tmp_path / "out" / "stage1").exists()


def test_a_case_without_a_reference_is_named_and_measured_against_its_input(
    done: tuple[RepairRequest, RepairOutcome, list[str]], hearts: Path, tmp_path: Path
) -> None:
    request, _, _ = done
    shutil.copytree(request.output, tmp_path / "out")
    (tmp_path / "truth").mkdir()
    shutil.copy(hearts / "truth" / "phantom_001.nii.gz", tmp_path / "truth")
    outcome = run_repair(replace(request, output=tmp_path / "out", reference=tmp_path / "truth"))
    assert any("no label map of case phantom_000" in fault for fault in outcome.faults)
    known = {(row.case, row.dice_after is not None) for row in outcome.rows}
    assert known == {("phantom_000", False), ("phantom_001", True)}


def test_a_faulty_reference_is_named_and_its_case_measured_against_its_input(
    done: tuple[RepairRequest, RepairOutcome, list[str]], hearts: Path, tmp_path: Path
) -> None:
    request, _, _ = done
    shutil.copytree(request.output, tmp_path / "out")
    true = read_label_map(hearts / "truth" / "phantom_000.nii.gz")
    write_label_map(tmp_path / "truth" / "phantom_000.nii.gz", true.labels[1:], true.affine)
    write_label_map(tmp_path / "truth" / "phantom_001.nii.gz", true.labels + 50, true.affine)
    outcome = run_repair(replace(request, output=tmp_path / "out", reference=tmp_path / "truth"))
    assert "truth/phantom_000.nii.gz: found a grid of (31, 32, 32)" in outcome.faults[1]
    assert "truth/phantom_001.nii.gz: found the label values 50" in outcome.faults[2]
    assert len(outcome.faults) == 3
    assert [row.case for row in outcome.rows] == ["phantom_000"] * 10 + ["phantom_001"] * 10
    assert all(row.dice_after is None for row in outcome.rows)


def test_a_repair_is_not_scored_against_itself(done: tuple[RepairRequest, RepairOutcome, list[str]]) -> None:
    request, _, _ = done
    with pytest.raises(InputError, match="repaired: found an input which this run would write"):
        run_repair(replace(request, reference=request.output / "repaired"))


def test_a_structure_lost_altogether_is_said_aloud(done: tuple[RepairRequest, RepairOutcome, list[str]]) -> None:
    _, outcome, _ = done
    kept = [replace(row, volume_after_mm3=1.0) for row in outcome.rows]
    assert losses(kept) == []
    rows = [replace(row, volume_after_mm3=0.0) if row.structure == "PV" else row for row in kept]
    assert losses(rows) == ["LOST: PV is gone from 2 cases, among them phantom_000, phantom_001; look at the report"]


def test_a_lost_structure_is_a_fault_unless_it_is_allowed(
    done: tuple[RepairRequest, RepairOutcome, list[str]], hearts: Path, tmp_path: Path
) -> None:
    request, outcome, _ = done
    assert losses(outcome.rows) and not any("LOST" in fault for fault in outcome.faults)
    shutil.copytree(request.output, tmp_path / "out")
    again = run_repair(replace(request, output=tmp_path / "out", allow_lost=False))
    assert [fault for fault in again.faults if fault.startswith("LOST")] == losses(outcome.rows)


def test_a_label_map_corrected_by_hand_is_kept_measured_and_named(
    done: tuple[RepairRequest, RepairOutcome, list[str]], tmp_path: Path
) -> None:
    request, outcome, _ = done
    shutil.copytree(request.output, tmp_path / "out")
    corrected, fused = (tmp_path / "out" / stage / "phantom_000.nii.gz" for stage in ("repaired", "fused"))
    found = read_label_map(corrected)
    labels = found.labels.copy()
    labels[labels == 3] = 0
    (tmp_path / "by_hand").mkdir()
    write_label_map(tmp_path / "by_hand" / "x.nii.gz", labels, found.affine)
    corrected.write_bytes((tmp_path / "by_hand" / "x.nii.gz").read_bytes())
    before = corrected.read_bytes(), fused.read_bytes()
    again = run_repair(replace(request, output=tmp_path / "out"))
    assert (corrected.read_bytes(), fused.read_bytes()) == before
    assert f"KEPT: {corrected} was edited since it was written" in again.text
    (row,) = [row for row in again.rows if (row.case, row.structure) == ("phantom_000", "LV")]
    assert row.volume_after_mm3 == 0
    run_repair(replace(request, output=tmp_path / "out", overwrite=True))
    assert corrected.read_bytes() == fused.read_bytes()


def test_another_data_set_does_not_take_the_place_of_a_repair(
    done: tuple[RepairRequest, RepairOutcome, list[str]], hearts: Path, tmp_path: Path
) -> None:
    request, _, _ = done
    shutil.copytree(request.output, tmp_path / "out")
    (tmp_path / "others").mkdir()
    shutil.copy(hearts / "labels" / "phantom_000.nii.gz", tmp_path / "others" / "other.nii.gz")
    before = {path: path.read_bytes() for path in (tmp_path / "out" / "repaired").glob("*.nii.gz")}
    with pytest.raises(InputError, match=r"found the results of other cases \(phantom_000, phantom_001\)"):
        run_repair(replace(request, output=tmp_path / "out", labels=tmp_path / "others"))
    assert {path: path.read_bytes() for path in before} == before


def test_files_edited_by_hand_are_named_and_kept_until_they_may_be_overwritten(
    done: tuple[RepairRequest, RepairOutcome, list[str]], tmp_path: Path
) -> None:
    request, _, _ = done
    shutil.copytree(request.output, tmp_path / "out")
    copy = replace(request, output=tmp_path / "out")
    edited = [
        tmp_path / "out" / name
        for name in ("slicer/phantom_000.seg.nrrd", "stage1/masks/LA/phantom_001.nii.gz", "ledger/phantom_001.csv")
    ]
    before = {path: path.read_bytes() for path in edited}
    edited[0].write_bytes(before[edited[0]] + b"x")
    edited[1].write_bytes((tmp_path / "out" / "stage1" / "masks" / "LA" / "phantom_000.nii.gz").read_bytes())
    edited[2].write_bytes(before[edited[2]] + b"\n")
    told = run_repair(copy).text
    assert [path for path in edited if f"KEPT: {path} was edited" not in told] == []
    run_repair(replace(copy, overwrite=True))
    assert edited[0].read_bytes() != before[edited[0]] + b"x"


def test_a_foreign_label_map_in_the_place_of_a_repaired_one_is_a_fault_and_stays(
    done: tuple[RepairRequest, RepairOutcome, list[str]], hearts: Path, tmp_path: Path
) -> None:
    request, _, _ = done
    foreign = tmp_path / "out" / "repaired" / "phantom_000.nii.gz"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes((hearts / "truth" / "phantom_000.nii.gz").read_bytes())
    before = foreign.read_bytes()
    outcome = run_repair(replace(request, output=tmp_path / "out"))
    assert foreign.read_bytes() == before
    assert any(f"{foreign}: found a label map that no run has written" in fault for fault in outcome.faults)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"preset": "fast"}, "--preset: found 'fast'; wanted one of quick, standard, full"),
        ({"workers": -1}, "--workers: found -1; wanted a whole number from 0"),
        ({"seed": 1.5}, "--seed: found 1.5; wanted a whole number from 0"),
        ({"final": "both"}, "--final: found 'both'; wanted one of fused, unified"),
        ({"final": "unified", "skip_unified": True}, "--final: found unified beside --skip_unified"),
        ({"device": "tpu0"}, "--device: found 'tpu0'; wanted a device of this machine"),
        ({"structures": ("LAB",)}, "Did you mean 'LA'?"),
        ({"label_table": "mine"}, "label_table: found 'mine'"),
        ({"table_changes": {"PV": {"pieces": 4}}}, "table_changes: PV: found the field 'pieces'"),
        ({"table_changes": {"PV": {"touches": ["LAX"]}}}, "'LAX'; wanted one of 1 Myocardium"),
        ({"reference": Path(__file__).parent}, "run: found no *.nii or *.nii.gz in it"),
        ({"reference": Path("/nowhere")}, "/nowhere: found no such folder; wanted a folder of true label maps"),
        ({"labels": Path("/nowhere")}, "/nowhere: found no such file or folder"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_costs_time(
    fields: dict[str, Any], message: str, hearts: Path, tmp_path: Path
) -> None:
    request = asked(hearts / "labels", tmp_path / "out")
    for name, value in fields.items():  # as a command line would: unchecked
        object.__setattr__(request, name, value)
    with pytest.raises(InputError) as raised:
        run_repair(request)
    assert message in str(raised.value)
    assert not (tmp_path / "out" / "stage1").exists()


def test_a_case_that_brings_an_unforeseen_error_is_named_once_and_the_others_are_done(
    done: tuple[RepairRequest, RepairOutcome, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, _, _ = done
    shutil.copytree(request.output, tmp_path / "out")
    (tmp_path / "out" / "fused" / "phantom_001.nii.gz").unlink()

    def dies(settings: Any) -> None:
        if "phantom_001" in settings.get("only_cases", ["phantom_001"]):
            raise MemoryError("short of it")

    monkeypatch.setattr(fusion_stage, "fuse", dies)
    outcome = run_repair(replace(request, output=tmp_path / "out", reference=None))
    assert "strange.nii.gz" in outcome.faults[0]
    assert outcome.faults[1].startswith("phantom_001: MemoryError: short of it")
    assert len(outcome.faults) == 2
