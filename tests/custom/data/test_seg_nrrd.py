"""A segmentation opens in other programs where the label map lies, under the names and colours of the table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT, TOTALSEGMENTATOR_HEART
from custom.data.seg_nrrd import write_seg_nrrd
from custom.errors import InputError
from custom.files import write_file
from tests.folder_entries import entries

OBLIQUE = np.array([[0.0, -1.2, 0.1, 7.0], [0.9, 0.0, 0.0, -11.0], [0.0, 0.2, 2.5, 13.0], [0.0, 0.0, 0.0, 1.0]])


def heart() -> np.ndarray:
    labels = np.zeros((5, 7, 11), dtype=np.uint8)
    labels[1:4, 2:6, 3:9] = 1
    labels[2, 3:5, 4:8] = 3
    labels[4, 6, 10] = 9
    return labels


def segments(header: dict[str, Any]) -> list[str]:
    return sorted(value for key, value in header.items() if key.startswith("Segment") and key.endswith("_Name"))


def test_voxels_names_colours_and_extents_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "case.seg.nrrd"
    write_seg_nrrd(path, heart(), OBLIQUE, PUBLIC_CARDIAC_CT)
    voxels, header = nrrd.read(str(path))
    np.testing.assert_array_equal(voxels, heart())
    assert segments(header) == ["Coronary", "LV", "Myocardium"]
    assert header["Segment1_Name"] == "LV"
    assert (header["Segment1_LabelValue"], header["Segment1_Layer"]) == ("3", "0")
    assert header["Segment1_Extent"] == "2 2 3 4 4 7"
    assert [round(float(part) * 255) for part in header["Segment1_Color"].split()] == [204, 52, 60]
    assert header["Segment2_Extent"] == "4 4 6 6 10 10"
    assert "Closed surface" in header["Segmentation_ContainedRepresentationNames"]
    assert [file.name for file in entries(path.parent.iterdir())] == [path.name]


def test_x_and_y_of_the_world_change_their_signs(tmp_path: Path) -> None:
    write_seg_nrrd(tmp_path / "case.seg.nrrd", heart(), OBLIQUE, PUBLIC_CARDIAC_CT)
    _, header = nrrd.read(str(tmp_path / "case.seg.nrrd"))
    assert header["space"] == "left-posterior-superior"
    np.testing.assert_array_equal(header["space origin"], [-7.0, 11.0, 13.0])
    np.testing.assert_array_equal(header["space directions"], [[0, -0.9, 0], [1.2, 0, 0.2], [-0.1, 0, 2.5]])


def test_another_reader_finds_each_voxel_at_the_same_place(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    turned = np.array([[0.0, -1.25, 0.0, 7.0], [0.5, 0.0, 0.0, -11.0], [0.0, 0.0, 2.5, 13.0], [0.0, 0.0, 0.0, 1.0]])
    write_seg_nrrd(tmp_path / "case.seg.nrrd", heart(), turned, PUBLIC_CARDIAC_CT)
    image = sitk.ReadImage(str(tmp_path / "case.seg.nrrd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).transpose(2, 1, 0), heart())
    x, y, z = (turned @ [4, 6, 10, 1])[:3]
    np.testing.assert_allclose(image.TransformIndexToPhysicalPoint((4, 6, 10)), [-x, -y, z])


def test_a_structure_that_is_absent_has_no_segment(tmp_path: Path) -> None:
    path = tmp_path / "case.seg.nrrd"
    write_seg_nrrd(path, np.zeros((5, 7, 11), dtype=np.uint8), OBLIQUE, PUBLIC_CARDIAC_CT)
    voxels, header = nrrd.read(str(path))
    assert not voxels.any() and segments(header) == []
    full = np.full((5, 7, 11), 2, dtype=np.uint8)
    write_seg_nrrd(path, full, OBLIQUE, TOTALSEGMENTATOR_HEART)
    _, header = nrrd.read(str(path))
    assert segments(header) == ["heart_ventricle_left"]
    assert header["Segment0_Extent"] == "0 4 0 6 0 10"


def test_memory_order_does_not_matter_and_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.seg.nrrd" for name in ("c", "fortran", "again")]
    for path, labels in zip(paths, (heart(), np.asfortranarray(heart()), heart()), strict=True):
        write_seg_nrrd(path, labels, OBLIQUE, PUBLIC_CARDIAC_CT)
    assert len({path.read_bytes() for path in paths}) == 1


def test_an_unknown_label_and_another_suffix_are_refused(tmp_path: Path) -> None:
    labels = np.full((5, 7, 11), 10, dtype=np.uint8)
    with pytest.raises(InputError, match="the label 10"):
        write_seg_nrrd(tmp_path / "case.seg.nrrd", labels, OBLIQUE, TOTALSEGMENTATOR_HEART)
    with pytest.raises(InputError, match=r"ends in \.seg\.nrrd"):
        write_seg_nrrd(tmp_path / "case.nrrd", heart(), OBLIQUE, PUBLIC_CARDIAC_CT)
    assert list(entries(tmp_path.iterdir())) == []


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "case.seg.nrrd"
    write_file(path, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match="No space left"):
        write_seg_nrrd(path, heart(), OBLIQUE, PUBLIC_CARDIAC_CT)
    assert path.read_bytes() == b"old"
    assert [file.name for file in entries(tmp_path.iterdir())] == [path.name]
