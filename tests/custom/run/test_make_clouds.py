"""``corfield clouds`` and ``check-clouds``: all good cases, the bad ones by name, stopped and gone on with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from custom.cli.main import main
from custom.data.label_maps import read_label_map, write_label_map
from custom.errors import InputError
from custom.phantoms.write_cohort import make_cohort
from custom.run.check_clouds import run_check_clouds
from custom.run.make_clouds import CloudRequest, run_clouds
from custom.surfaces.cloud_datalist import find_clouds
from custom.surfaces.point_cloud import Cloud
from custom.surfaces.quality_gate import passed, read_gate
from custom.surfaces.surface_sampling import Counts

FEW = Counts(surface=1500, volume=800, near=1500)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, 3, 32)
    return folder / "truth"


def request(labels: Path, output: Path, **fields: Any) -> CloudRequest:
    return CloudRequest(labels, output, counts=FEW, workers=1, **fields)


@pytest.fixture(scope="module")
def made(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("clouds")
    outcome = run_clouds(request(cohort, output))
    assert outcome.faults == () and len(outcome.paths) == 3
    return output


def test_every_case_has_a_cloud_and_a_split_and_passes_the_gate(made: Path) -> None:
    assert sorted(path.name for path in made.glob("*.npz")) == [f"phantom_00{n}.npz" for n in range(3)]
    listing = json.loads((made / "datalist.json").read_text())
    assert [len(listing[split]) for split in ("training", "validation", "test")] == [1, 1, 1]
    with pytest.raises(InputError, match="never checked"):
        find_clouds(made)
    checked = run_check_clouds(made, workers=1)
    assert checked.faults == () and "3 of 3 clouds passed" in checked.text
    (item,) = find_clouds(made, "training")
    assert Cloud.read(item["cloud"]).surface_points_mm.shape == (1500, 3)
    assert read_label_map(item["label"]).labels.shape == (32, 32, 32)


def test_what_is_up_to_date_is_not_made_again_and_what_changed_is(cohort: Path, tmp_path: Path) -> None:
    for path in cohort.glob("*.nii.gz"):
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "labels" / path.name).write_bytes(path.read_bytes())
    output = tmp_path / "out"
    run_clouds(request(tmp_path / "labels", output))
    before = {path.name: path.stat().st_mtime_ns for path in output.glob("*.npz")}
    bytes_before = (output / "phantom_000.npz").read_bytes()
    (output / "phantom_000.npz").unlink()
    changed = read_label_map(tmp_path / "labels" / "phantom_001.nii.gz")
    labels = np.where(changed.labels == 9, 0, changed.labels).astype(np.uint8)
    changed.path.unlink()
    write_label_map(changed.path, labels, changed.affine)
    run_clouds(request(tmp_path / "labels", output))
    after = {path.name: path.stat().st_mtime_ns for path in output.glob("*.npz")}
    assert [name for name in sorted(after) if after[name] != before[name]] == ["phantom_000.npz", "phantom_001.npz"]
    assert (output / "phantom_000.npz").read_bytes() == bytes_before
    assert not Cloud.read(output / "phantom_001.npz").present[8]
    run_clouds(request(tmp_path / "labels", output, scale_mm=90.0))
    assert Cloud.read(output / "phantom_002.npz").scale_mm == 90.0


def widened(source: Path, target: Path, factor: float) -> Path:
    """A label map with voxels so many times as large."""
    read = read_label_map(source)
    write_label_map(target, read.labels, read.affine @ np.diag([factor, factor, factor, 1.0]))
    return target


def test_the_frame_grows_until_every_labelled_box_lies_in_it_and_is_one_for_all(cohort: Path, tmp_path: Path) -> None:
    labels, output = tmp_path / "labels", tmp_path / "out"
    labels.mkdir()
    (labels / "a.nii.gz").write_bytes((cohort / "phantom_000.nii.gz").read_bytes())
    first = run_clouds(request(labels, output))
    assert Cloud.read(output / "a.npz").scale_mm == 100.0
    assert "frame: a cube of 200 mm round each centre, --scale_mm 100; a reaches the furthest" in first.text
    wide = read_label_map(widened(cohort / "phantom_001.nii.gz", labels / "b.nii.gz", 1.9))
    grown = run_clouds(request(labels, output))
    (scale_mm,) = {Cloud.read(path).scale_mm for path in grown.paths}
    middle = wide.affine[:3, :3] @ ((np.asarray(wide.labels.shape) - 1) / 2) + wide.affine[:3, 3]
    places = np.argwhere(wide.labels) @ wide.affine[:3, :3].T + wide.affine[:3, 3]
    reach_mm = np.abs(places - middle).max() + wide.spacing_mm[0] / 2
    assert len(grown.paths) == 2 and 100 < reach_mm + 2 <= scale_mm < reach_mm + 7
    assert f"--scale_mm {scale_mm:g}; b reaches the furthest, {reach_mm:.0f} mm" in grown.text
    assert json.loads((output / "datalist.json").read_text())["scale_mm"] == scale_mm
    assert (np.abs(Cloud.read(output / "b.npz").in_frame()["surface"][:, :3]) <= 1).all()


def test_a_scale_that_does_not_hold_a_case_is_refused_by_name_before_anything_is_made(
    cohort: Path, tmp_path: Path
) -> None:
    widened(cohort / "phantom_000.nii.gz", tmp_path / "labels" / "wide.nii.gz", 1.9)
    wanted = r"--scale_mm: found 100, beyond which 1 of 1 cases reach: wide \(1\d\d mm\); wanted at least 1\d[05]\."
    with pytest.raises(InputError, match=wanted):
        run_clouds(request(tmp_path / "labels", tmp_path / "out", scale_mm=100))
    assert not list(tmp_path.rglob("*.npz"))


def test_a_faulty_map_is_named_and_the_others_are_done(cohort: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "good.nii.gz").write_bytes((cohort / "phantom_000.nii.gz").read_bytes())
    (labels / "cut.nii.gz").write_bytes((cohort / "phantom_001.nii.gz").read_bytes()[:900])
    write_label_map(labels / "empty.nii.gz", np.zeros((5, 7, 11), np.uint8), np.eye(4))
    outcome = run_clouds(request(labels, tmp_path / "out"))
    assert [path.name for path in outcome.paths] == ["good.npz"] and len(outcome.faults) == 2
    assert "cut.nii.gz: found voxels that cannot be read" in outcome.faults[0]
    assert "empty.nii.gz: found no structure of table" in outcome.faults[1]


def test_nothing_usable_is_one_error(tmp_path: Path) -> None:
    write_label_map(tmp_path / "labels" / "empty.nii.gz", np.zeros((5, 7, 11), np.uint8), np.eye(4))
    with pytest.raises(InputError, match="no label map a cloud can be made of"):
        run_clouds(request(tmp_path / "labels", tmp_path / "out"))


UNUSABLE = [({"scale_mm": -1.0}, "--scale_mm"), ({"seed": -1}, "--seed"), ({"test": 1.0}, "--test")]
UNUSABLE += [({"device": "tpu"}, "tpu")]


@pytest.mark.parametrize(("fields", "named"), UNUSABLE)
def test_a_setting_that_cannot_be_used_is_refused_before_anything_is_made(
    cohort: Path, tmp_path: Path, fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        run_clouds(request(cohort, tmp_path / "out", **fields))
    assert not list(tmp_path.rglob("*.npz"))


def test_the_gate_fails_bad_files_and_names_them(made: Path, tmp_path: Path) -> None:
    for path in made.glob("*.*"):
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    cloud = Cloud.read(tmp_path / "phantom_000.npz")
    replace(cloud, volume_sdf_mm=np.abs(cloud.volume_sdf_mm)).write(tmp_path / "phantom_000.npz")
    (tmp_path / "phantom_001.npz").write_bytes(b"PK")
    (tmp_path / "stranger.npz").write_bytes((made / "phantom_002.npz").read_bytes())
    checked = run_check_clouds(tmp_path, workers=1)
    assert [fault.split(":")[0].rsplit("/", 1)[-1] for fault in checked.faults] == [
        "phantom_000.npz",
        "phantom_001.npz",
        "stranger.npz",
    ]
    assert "Myocardium: sign: " in checked.faults[0] and "cannot be read" in checked.faults[1]
    assert "no label map of its name" in checked.faults[2]
    assert "1 of 4 clouds passed" in checked.text
    assert [name for name in read_gate(tmp_path) if passed(tmp_path / name)] == ["phantom_002.npz"]


def test_labels_given_by_hand_are_used_and_missing_ones_are_said(made: Path, cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "phantom_000.npz").write_bytes((made / "phantom_000.npz").read_bytes())
    with pytest.raises(InputError, match="--labels"):
        run_check_clouds(tmp_path, workers=1)
    assert run_check_clouds(tmp_path, cohort, workers=1).faults == ()
    with pytest.raises(InputError, match="no such folder"):
        run_check_clouds(tmp_path / "none")


def test_the_command_ends_with_1_on_a_bad_cloud_under_both_spellings(
    made: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = Cloud.read(made / "phantom_000.npz")
    replace(cloud, near_sdf_mm=-cloud.near_sdf_mm).write(tmp_path / "phantom_000.npz")
    for spelling in ("check-clouds", "check_clouds"):
        with pytest.raises(SystemExit) as ended:
            main([spelling, str(tmp_path), "--labels", str(cohort), "--workers", "1"])
        assert ended.value.code == 1
        assert "phantom_000.npz: Myocardium: slope: above 1" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["check-clouds", str(tmp_path), "--label", str(cohort)])
    assert ended.value.code == 2 and "Did you mean --labels?" in capsys.readouterr().err


def test_the_command_makes_clouds_and_takes_lists_of_lengths(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = ["--points", "90", "--near_points", "90", "--surface_points", "90", "--workers", "1"]
    one = ["clouds", str(cohort / "phantom_000.nii.gz"), "--output", str(tmp_path / "out")]
    main([*one, *points, "--near_sigmas_mm", "1,4", "--centre", "3,-2.5,1", "--validation", "0.0", "--test", "0.0"])
    assert "1 clouds in" in capsys.readouterr().out
    assert Cloud.read(tmp_path / "out" / "phantom_000.npz").centre_mm.tolist() == [3.0, -2.5, 1.0]
    with pytest.raises(SystemExit) as ended:
        main([*one, *points, "--near_sigmas_mm", "1,far"])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.startswith("error: --near_sigmas_mm") and error.count("\n") == 1


def test_no_points_at_all_are_refused_before_anything_is_written(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--points=0", "--near_points=0", "--surface_points=0", "--workers=1"]
    with pytest.raises(SystemExit) as ended:
        main(["clouds", str(cohort), str(tmp_path / "out"), *asked])
    assert ended.value.code == 2
    assert "surface points: found 0; wanted a whole number from 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
