"""Stage 3 of a repair: what it writes, what it is made again for, and what it is left out for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from custom.data.label_maps import read_label_map, write_label_map
from custom.errors import InputError
from custom.metrics.repair_rows import read_metrics
from custom.near.heart_checkpoint import load_heart_checkpoint
from custom.package import load
from custom.run import stage1_structures
from custom.run.check_label_map import CheckedCase
from custom.run.repair_labels import RepairOutcome, run_repair
from custom.run.repair_request import RepairRequest
from custom.run.unified_stage import make_heart_job
from custom.training import run_bundle
from tests.folder_entries import entries

from .conftest import asked

NAMES = ("phantom_000", "phantom_001")
HEART = ("heart/best.pt", "heart/last.pt", "maps/phantom_000.nii.gz")


def written(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.is_file()}


@pytest.fixture(scope="module")
def done(hearts: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RepairRequest, RepairOutcome]:
    """A repair of two phantoms in three stages, with one structure's field; not to be written to."""
    folder = tmp_path_factory.mktemp("unified")
    request = asked(
        hearts / "labels", folder / "out", structures=("LA",), reference=hearts / "truth", skip_unified=False
    )
    return request, run_repair(request)


@pytest.fixture
def copy(done: tuple[RepairRequest, RepairOutcome], tmp_path: Path) -> RepairRequest:
    """The same, to be written to."""
    shutil.copytree(done[0].output, tmp_path / "out")
    return replace(done[0], output=tmp_path / "out")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which runs of bundles stages 1 and 3 have begun, noted beside running them."""
    noted: list[str] = []

    def run(config_file: Sequence[str], run_id: str, **overrides: Any) -> Any:
        noted.append(run_id)
        return run_bundle.run_bundle(config_file, run_id, **overrides)

    monkeypatch.setattr(stage1_structures, "run_bundle", run)
    return noted


def test_every_case_is_drawn_from_the_calibrated_field_on_its_own_grid(
    done: tuple[RepairRequest, RepairOutcome],
) -> None:
    request, outcome = done
    for name in NAMES:
        before, after = (nib.load(folder / f"{name}.nii.gz") for folder in (request.labels, request.output / "unified"))
        assert (after.shape, after.get_data_dtype()) == (before.shape, np.uint8)
        assert np.array_equal(after.affine, before.affine)
    content = load_heart_checkpoint(request.output / "unified_run" / "heart" / "best.pt")
    assert content["cases"] == list(NAMES)
    assert set(content["thresholds"]) == set(request.table.names)
    assert content["settings"]["teachers"] == ["LA"]
    assert outcome.faults == ()
    assert all((request.output / "unified_run" / name).is_file() for name in HEART)
    assert not (request.output / "unified_run" / "heart" / "boxes").exists()


def test_the_package_draws_the_hearts_as_the_field_has_them(done: tuple[RepairRequest, RepairOutcome]) -> None:
    output = done[0].output
    model = load(output / "model", "cpu")
    for name in NAMES:
        drawn = read_label_map(output / "unified_run" / "maps" / f"{name}.nii.gz")
        assert np.array_equal(np.asarray(model.render(name).labels), drawn.labels)


def test_the_fused_label_maps_are_the_repaired_ones_and_share_nothing_with_them(
    done: tuple[RepairRequest, RepairOutcome],
) -> None:
    output = done[0].output
    for name in NAMES:
        fused, repaired = (output / stage / f"{name}.nii.gz" for stage in ("fused", "repaired"))
        assert fused.read_bytes() == repaired.read_bytes() and not os.path.samefile(fused, repaired)


def test_the_three_are_measured_side_by_side(done: tuple[RepairRequest, RepairOutcome]) -> None:
    request, outcome = done
    rows = read_metrics(request.output / "metrics.csv")
    assert tuple(rows) == outcome.rows
    assert all(row.dice_fused == row.dice_after and row.hd95_fused_mm == row.hd95_after_mm for row in rows)
    assert all(row.dice_unified is not None and row.hd95_unified_mm is not None for row in rows)
    assert any(row.dice_unified != row.dice_fused for row in rows)
    assert "| Dice damaged | Dice fused | Dice unified |" in outcome.text
    page = (request.output / "report" / "index.html").read_text(encoding="utf-8")
    assert "unified Dice" in page and "the fused label maps of stage 2" in page


def test_a_second_run_trains_and_draws_nothing(done: tuple[RepairRequest, RepairOutcome], runs: list[str]) -> None:
    request, outcome = done
    before = written(request.output)
    said: list[str] = []
    again = run_repair(request, said.append)
    changed = {name for name, stamp in written(request.output).items() if stamp != before.get(name)}
    assert not {name for name in changed if name.endswith((".gz", ".pt", ".html", ".safetensors"))}
    assert "stage 3     whole heart: up to date" in said[0]
    assert (runs, again.rows, again.faults) == ([], outcome.rows, ())


def test_the_other_label_maps_are_published_without_training_and_back(copy: RepairRequest, runs: list[str]) -> None:
    table = (copy.output / "metrics.csv").read_bytes()
    outcome = run_repair(replace(copy, final="unified", seg_nrrd=True))
    for name in NAMES:
        paths = [copy.output / folder / f"{name}.nii.gz" for folder in ("unified", "repaired", "fused")]
        assert paths[0].read_bytes() == paths[1].read_bytes() and paths[2].is_file()
    assert all(row.dice_after == row.dice_unified for row in outcome.rows)
    slicer = written(copy.output / "slicer")
    run_repair(replace(copy, seg_nrrd=True))
    assert (copy.output / "metrics.csv").read_bytes() == table
    assert all(written(copy.output / "slicer")[name] != slicer[name] for name in slicer)
    assert runs == []


def test_another_label_map_takes_stage_3_to_its_beginning(copy: RepairRequest, runs: list[str], tmp_path: Path) -> None:
    shutil.copytree(copy.labels, tmp_path / "labels")
    path = tmp_path / "labels" / "phantom_001.nii.gz"
    given = read_label_map(path)
    write_label_map(path, np.where(given.labels == 5, 0, given.labels).astype(np.uint8), given.affine)
    before = written(copy.output / "unified")
    outcome = run_repair(replace(copy, labels=tmp_path / "labels"))
    assert runs == ["training", "calibrate", "infer"]  # nothing of the left atrium has changed
    assert all(before[name] != stamp for name, stamp in written(copy.output / "unified").items())
    assert outcome.faults == ()


def test_other_settings_of_stage_3_do_not_touch_the_others(copy: RepairRequest, runs: list[str]) -> None:
    longer = {**copy.unified_overrides, "max_epochs": 4}
    run_repair(replace(copy, unified_overrides=longer))
    assert runs == ["training", "calibrate", "infer"]
    drawn_anew = {**longer, "fallback": "best"}
    run_repair(replace(copy, unified_overrides=drawn_anew))
    assert runs[3:] == ["infer"]
    run_repair(replace(copy, structures=("LA", "Coronary"), unified_overrides=drawn_anew))
    assert runs[4:] == ["training", "infer", "training", "calibrate", "infer"]  # another teacher


def test_stopped_in_stage_3_it_goes_on_and_the_fused_label_maps_are_there(
    copy: RepairRequest, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (copy.output / "unified" / "phantom_000.nii.gz").read_bytes()
    shutil.rmtree(copy.output / "unified_run")
    shutil.rmtree(copy.output / "repaired")
    with monkeypatch.context() as patched:
        patched.setattr(stage1_structures, "finish", None)
        patched.setattr("custom.run.unified_stage.settle", None)
        patched.setattr("custom.run.unified_stage.infer", stop)
        with pytest.raises(KeyboardInterrupt):
            run_repair(copy)
    assert not (copy.output / "unified").exists()
    assert sorted(path.name for path in entries((copy.output / "repaired").iterdir())) == [
        f"{name}.nii.gz" for name in NAMES
    ]
    said: list[str] = []
    run_repair(copy, said.append)
    assert "stage 3     whole heart: trained; its label maps are to be drawn" in said[0]
    assert runs == ["training", "calibrate", "infer"]
    assert (copy.output / "unified" / "phantom_000.nii.gz").read_bytes() == whole


def stop(job: Any, cases: Any) -> None:
    raise KeyboardInterrupt


def test_a_field_that_cannot_be_trained_is_a_fault_and_the_fused_label_maps_stay(
    copy: RepairRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(job: Any) -> None:
        raise ValueError("a bad day")

    shutil.rmtree(copy.output / "unified_run")
    monkeypatch.setattr("custom.run.unified_stage.train_field", fails)
    outcome = run_repair(copy)
    assert len(outcome.faults) == 1 and "a bad day" in outcome.faults[0] and "--skip_unified" in outcome.faults[0]
    assert [row.case for row in outcome.rows[::10]] == list(NAMES)
    assert all(row.dice_after is not None and row.dice_unified is None for row in outcome.rows)
    with pytest.raises(InputError, match="repair: found no case repaired .* a bad day"):
        run_repair(replace(copy, final="unified"))


def test_left_out_it_leaves_what_is_up_to_date_and_takes_away_what_is_not(copy: RepairRequest, runs: list[str]) -> None:
    without = replace(copy, skip_unified=True)
    outcome = run_repair(without)
    assert (copy.output / "unified" / "phantom_000.nii.gz").is_file()
    assert (copy.output / "model" / "model.json").is_file()
    assert all(row.dice_unified is None for row in outcome.rows)
    run_repair(replace(without, strict_components=True))
    assert not (copy.output / "unified").exists()
    assert not (copy.output / "model").exists()
    assert runs == []


def test_empty_label_maps_are_their_own_unified_ones(tmp_path: Path) -> None:
    write_label_map(tmp_path / "labels" / "a.nii.gz", np.zeros((5, 7, 11), np.uint8), np.eye(4))
    request = asked(tmp_path / "labels", tmp_path / "out", structures=(), skip_unified=False, final="unified")
    outcome = run_repair(request)
    assert outcome.faults == ()
    assert not read_label_map(tmp_path / "out" / "repaired" / "a.nii.gz").labels.any()
    assert (tmp_path / "out" / "unified" / "a.nii.gz").is_file()


@pytest.mark.parametrize(
    ("cases", "workers", "threads"), [(2, 4, 1), (15, 4, 1), (16, 4, 2), (40, 4, 4), (40, 1, 1), (400, 64, 8)]
)
def test_few_cases_are_trained_on_one_thread_and_more_on_as_many_as_pay(cases: int, workers: int, threads: int) -> None:
    held = [CheckedCase(f"{row}", "", "", (3, 5, 7), (1.0, 1.0, 1.0), {"LA": "digest"}) for row in range(cases)]
    job = make_heart_job(RepairRequest(labels=Path(), output=Path(), workers=workers, device="cpu"), held, {})
    assert job is not None
    assert job.train_settings["cpu_threads"] == threads


@pytest.mark.parametrize("reference", ["fused", "unified"])
def test_it_is_not_scored_against_its_own_label_maps(done: tuple[RepairRequest, RepairOutcome], reference: str) -> None:
    with pytest.raises(InputError, match=f"{reference}: found an input which this run would write"):
        run_repair(replace(done[0], reference=done[0].output / reference))
