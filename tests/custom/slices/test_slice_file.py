"""The files: what is written is read, the truth is cut along the slice's own axis, bad files are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nibabel.affines import apply_affine

from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.errors import InputError
from custom.slices.case_volume import CaseVolume, LoadCaseVolumed
from custom.slices.obj_io import obj_text, write_obj
from custom.slices.scan_cube import Cube
from custom.slices.slice_file import LoadSliced, Slice

AFFINE = np.array([[2.9, -0.6, 0.2, -50], [0.6, 2.9, 0.3, 10], [-0.26, -0.25, 2.98, 700], [0, 0, 0, 1]])


def volume() -> CaseVolume:
    rng = np.random.default_rng(0)
    labels = np.zeros((11, 11, 11), np.uint8)
    labels[2:5, 3:9, 4:6] = 1
    labels[6:9, 2:4, 1:8] = 5
    image = rng.normal(100, 300, labels.shape).astype(np.float32)
    return CaseVolume.of("s0007", Cube(image, labels, AFFINE), TOTALSEGMENTATOR_HEART)


def written(folder: Path, axis: int, index: int) -> Path:
    truth, path = volume(), folder / "s0007" / f"s0007-ax{axis}-{index:03d}.npz"
    truth.write(folder / "s0007" / "s0007-sdf.npz")
    Slice.of(truth, axis, index, "s0007-sdf.npz").write(path)
    return path


@pytest.mark.parametrize(("axis", "index"), [(0, 3), (1, 3), (2, 5)])
def test_image_mask_place_and_truth_of_a_slice_are_those_of_its_voxels_on_every_axis(
    tmp_path: Path, axis: int, index: int
) -> None:
    whole, path = volume(), written(tmp_path, axis, index)
    one = LoadSliced(sdf=True)({"slice": str(path)})["slice"]
    assert one["mask"].any() and one["sdf_mm"].shape == (5, 11, 11)
    for row, column in np.ndindex(11, 11):
        ijk = [row, column]
        ijk.insert(axis, index)
        voxel = tuple(ijk)
        assert one["image"][0, row, column] == pytest.approx(
            np.clip((whole.image_hu[voxel] + 200) / 700, 0, 1), abs=1e-6
        )
        assert one["mask"][:, row, column].tolist() == [whole.labels[voxel] == number for number in range(1, 6)]
        assert (one["sdf_mm"][:, row, column] == whole.sdf_mm[(slice(None), *voxel)]).all()
        if whole.labels[voxel]:
            np.testing.assert_allclose(one["pointmap"][:, row, column], apply_affine(AFFINE, voxel), atol=1e-3)
        else:
            assert np.isnan(one["pointmap"][:, row, column]).all()
    assert ((one["sdf_mm"] < 0) == one["mask"]).all()


def test_one_structure_has_its_mask_and_a_pointmap_that_is_nan_off_it(tmp_path: Path) -> None:
    path = written(tmp_path, 1, 3)
    both = Slice.read(path)
    one = LoadSliced(structure="heart_myocardium", sdf=True)({"slice": path})["slice"]
    assert one["mask"].shape == one["sdf_mm"].shape == (1, 11, 11) and one["mask"].sum() == 3 * 7
    assert (np.isfinite(one["pointmap"]).all(axis=0) == one["mask"][0]).all() and both.mask.sum() == 3 * 7 + 3 * 2
    chosen = LoadSliced(structure="heart_myocardium")({"slice": path, "structure": 1})["slice"]
    assert chosen["mask"].sum() == 3 * 2 and "sdf_mm" not in chosen
    with pytest.raises(InputError, match="Did you mean 'heart_myocardium'"):
        LoadSliced(structure="heart_myocardum")({"slice": path})


def test_what_is_written_is_read_and_equal_slices_give_equal_bytes(tmp_path: Path) -> None:
    path = written(tmp_path, 2, 5)
    one = Slice.read(path)
    assert (one.case, one.axis, one.slice_idx, one.shape) == ("s0007", 2, 5, (11, 11, 11))
    assert one.gt_sdf_path == "s0007-sdf.npz" and one.table is TOTALSEGMENTATOR_HEART
    assert one.window_hu.tolist() == [-200, 500] and (one.affine == AFFINE).all()
    with np.load(path, allow_pickle=False) as stored:
        assert all(stored[name].dtype != object for name in stored.files)
    assert written(tmp_path / "again", 2, 5).read_bytes() == path.read_bytes()
    whole = LoadCaseVolumed()({"sdf": path.parent / one.gt_sdf_path})["sdf"]
    assert whole["present"].tolist() == [True, False, False, False, True]
    assert ((whole["sdf_mm"][[0, 4]] < 0) == (whole["labels"] == np.array([1, 5]).reshape(2, 1, 1, 1))).all()
    assert CaseVolume.read(path.parent / one.gt_sdf_path).spacing_mm == pytest.approx(np.linalg.norm(AFFINE[:3, 0]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mask": None}, "found no mask"),
        ({"schema": np.asarray(9, np.int32)}, "schema 9"),
        ({"image": np.zeros((11, 7), np.float32)}, r"mask of type bool and shape \[5, 11, 11\]"),
        ({"pointmap": np.zeros((11, 11, 3))}, "pointmap of type float64"),
        ({"case": np.asarray(["a"], dtype=object)}, "cannot be read"),
    ],
)
def test_a_file_of_another_layout_is_refused(tmp_path: Path, change: dict[str, np.ndarray | None], said: str) -> None:
    path = written(tmp_path, 0, 3)
    with np.load(path) as stored:
        arrays = {**stored, **change}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(InputError, match=said):
        Slice.read(path)


def test_a_missing_and_a_cut_file_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, 0, 3)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="s0007-ax0-003.npz: found a file that cannot be read"):
        Slice.read(path)
    with pytest.raises(InputError, match="no such file"):
        CaseVolume.read(tmp_path / "none.npz")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a place that cannot be written"):
        volume().write(tmp_path / "file" / "s.npz")


def test_an_obj_has_a_line_for_each_vertex_and_face_counted_from_1(tmp_path: Path) -> None:
    vertices = np.array([[0, 0, 0], [1.5, 0, 0], [0, -2.25, 0.0004]])
    text = "o LA\nv 0.000 0.000 0.000\nv 1.500 0.000 0.000\nv 0.000 -2.250 0.000\nf 1 2 3\n"
    write_obj(tmp_path / "LA.obj", vertices, np.array([[0, 1, 2]]), "LA")
    assert (tmp_path / "LA.obj").read_text() == text
    assert obj_text(np.zeros((0, 3)), np.zeros((0, 3), int), "none") == "o none\n"
