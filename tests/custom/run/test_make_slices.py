"""``corfield slices``: all good cases, the bad ones by name, patients kept whole, stopped and gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nibabel.affines import apply_affine

from custom.cli.main import main
from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.run.make_slices import SliceRequest, run_slices
from custom.run.patient_groups import patients_of
from custom.slices.case_volume import CaseVolume
from custom.slices.slice_datalist import find_slices, find_volumes, read_listing
from custom.slices.slice_file import Slice

AFFINE = np.array([[-5.9, 0.6, 0, 40], [0.6, 5.9, 0, -30], [0, 0, 7.0, 500], [0, 0, 0, 1]])


def write(folder: Path, name: str, side: int = 5, shape: tuple[int, int, int] = (13, 11, 9)) -> None:
    labels = np.zeros(shape, np.uint8)
    labels[3 : 3 + side, 3:8, 2:7] = 5
    labels[4:6, 4:7, 3:5] = 2
    image = np.where(labels > 0, 100 * labels.astype(np.int16), -90)
    write_label_map(folder / name / f"{name}-image.nii.gz", image, AFFINE, dtype=np.int16)
    write_label_map(folder / name / f"{name}-label.nii.gz", labels, AFFINE)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    for number in range(3):
        write(folder, f"s000{number}", 4 + number)
    return folder


def request(dataset: Path, output: Path, **fields: Any) -> SliceRequest:
    return SliceRequest(dataset, output, **{"size": 16, "spacing_mm": 6.0, "least_pixels": 2, "workers": 1, **fields})


def test_every_case_has_slices_on_all_axes_truth_and_meshes_in_the_world(dataset: Path, tmp_path: Path) -> None:
    made = run_slices(request(dataset, tmp_path, validation=0.3, test=0.3))
    assert made.faults == () and "training 1 (1 cases" in made.text
    assert [len(find_volumes(tmp_path, split)) for split in ("training", "validation", "test")] == [1, 1, 1]
    items = find_slices(tmp_path, structure="heart_ventricle_left")
    assert {item["axis"] for item in items} == {0, 1, 2}
    for item in items:
        one, whole = Slice.read(item["slice"]), CaseVolume.read(item["sdf"])
        assert [int(mask.sum()) for mask in one.mask] == item["pixels"]
        assert Path(item["slice"]).parent / one.gt_sdf_path == Path(item["sdf"])
        voxels = np.argwhere(np.moveaxis(whole.labels, one.axis, 0)[one.slice_idx] > 0)
        ijk = np.insert(voxels, one.axis, one.slice_idx, axis=1)
        np.testing.assert_allclose(one.pointmap[tuple(voxels.T)], apply_affine(one.affine, ijk), atol=1e-3)
    assert whole.present.tolist() == [False, True, False, False, True]
    text = (tmp_path / item["case"] / "meshes" / "heart_myocardium.obj").read_text().splitlines()
    vertices = np.array([[float(number) for number in line.split()[1:]] for line in text if line.startswith("v ")])
    inside = apply_affine(whole.affine, np.argwhere(whole.labels == 5))
    assert (vertices.min(axis=0) < inside.min(axis=0)).all() and (vertices.max(axis=0) > inside.max(axis=0)).all()
    assert np.abs(vertices.mean(axis=0) - inside.mean(axis=0)).max() < 4


def test_what_is_up_to_date_is_not_made_again_and_what_changed_is(dataset: Path, tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    for number in range(2):
        write(data, f"s000{number}", 4 + number)
    run_slices(request(data, cache))
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in cache.glob("*/*.npz")}
    next((cache / "s0000").glob("*-ax1-*")).unlink()
    (cache / ".s0009.77.corfield-part").mkdir()
    (cache / ".s0009.77.corfield-part" / "half.npz").write_text("")
    run_slices(request(data, cache))
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in cache.glob("*/*.npz")}
    assert {path: content for path, (_, content) in after.items()} == {path: one for path, (_, one) in before.items()}
    assert {path.parent.name for path in after if after[path][0] != before[path][0]} == {"s0000"}
    assert not (cache / ".s0009.77.corfield-part").exists()
    run_slices(request(data, cache, window_hu=(0.0, 600.0), least_pixels=20, meshes=False))
    kept = list((cache / "s0001").glob("*-ax*"))
    assert 0 < len(kept) < len([path for path in before if path.parent.name == "s0001"])
    assert Slice.read(kept[0]).window_hu.tolist() == [0, 600] and not (cache / "s0001" / "meshes").exists()


def test_faulty_cases_are_named_the_others_done_and_the_exit_code_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    for number in range(5):
        write(data, f"s000{number}", 3 + number)
    (data / "s0000" / "s0000-image.nii.gz").unlink()
    write_label_map(data / "s0001" / "s0001-label.nii.gz", np.zeros((13, 11, 9)), AFFINE)
    write_label_map(data / "s0002" / "s0002-image.nii.gz", np.zeros((13, 11, 5)), AFFINE)
    write(data, "s0009", 7)
    given = ["--size", "16", "--spacing_mm", "6.0", "--least_pixels", "2", "--workers", "1", "--no_meshes"]
    with pytest.raises(SystemExit) as ended:
        main(["slices", str(data), "--output", str(cache), *given])
    said = capsys.readouterr()
    assert ended.value.code == 1 and "of 2 cases" in said.out
    left_out = [line for line in said.err.splitlines() if line.startswith("left out: ")]
    assert len(left_out) == 4
    for word in ("no s0000-image.nii.gz", "background alone", "a grid of (13, 11, 5)", "the very labels of s0004"):
        assert sum(word in line for line in left_out) == 1
    assert sorted({item["case"] for items in read_listing(cache)[1].values() for item in items}) == ["s0003", "s0004"]


def test_a_patient_with_two_cases_is_in_one_split(dataset: Path, tmp_path: Path) -> None:
    owners = tmp_path / "patients.csv"
    owners.write_text("case,patient\ns0000,anna\ns0001,berta\ns0002,anna\n")
    run_slices(request(dataset, tmp_path / "cache", patients=owners, validation=0.0, test=0.5, meshes=False))
    content = json.loads((tmp_path / "cache" / "datalist.json").read_text())
    split = {item["case"]: name for name in ("training", "validation", "test") for item in content[name]}
    assert split["s0000"] == split["s0002"] != split["s0001"]
    with pytest.raises(InputError, match="no patient for 1 of 1 cases, such as 's7'"):
        patients_of(["s7"], owners)
    owners.write_text("case,patient\ns0,anna\ns0,berta\n")
    with pytest.raises(InputError, match="the patients 'anna' and 'berta'"):
        patients_of(["s0"], owners)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"size": 4}, "--size: found 4"),
        ({"spacing_mm": 0.0}, "--spacing_mm: found 0.0"),
        ({"centre": "middle"}, "--centre: found 'middle'; wanted one of grid, heart"),
        ({"window_hu": (300.0, 100.0)}, "--window_hu"),
        ({"least_pixels": 0}, "--least_pixels: found 0"),
        ({"workers": -1}, "--workers: found -1"),
        ({"test": 1.5}, "--test: found 1.5"),
        ({"label_table": "mine"}, "label_table"),
        ({"least_pixels": 500}, "no case slices can be made of, among 3 .*no slice with 500 pixels"),
        ({"size": 8, "spacing_mm": 1.0}, "labelled voxels out of the cube of 8 mm"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(dataset: Path, tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        run_slices(request(dataset, tmp_path, **fields))
