"""Checking one file, and telling which of its structures have changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.label_maps import write_label_map
from custom.run.check_label_map import CheckedCase, check_file, voxel_digests

LA, LAA = 2, 8


@pytest.fixture
def labels() -> np.ndarray:
    volume = np.zeros((5, 7, 11), np.uint8)
    volume[1:3, 2:5, 3:7] = LA
    volume[4, 6, 10] = LAA
    return volume


def test_a_good_file_is_a_case_with_its_grid_and_structures(labels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.b.nii.gz"
    write_label_map(path, labels, np.diag([1.0, 2.0, 3.0, 1.0]))
    found = check_file(str(path), PUBLIC_CARDIAC_CT)
    assert isinstance(found, CheckedCase)
    assert (found.name, found.shape, found.spacing_mm, found.voxels) == ("a.b", (5, 7, 11), (1.0, 2.0, 3.0), 385)
    assert list(found.structures) == ["LA", "LAA"]


def test_a_faulty_file_is_its_fault(labels: np.ndarray, tmp_path: Path) -> None:
    labels[0, 0, 0] = 77
    write_label_map(tmp_path / "a.nii", labels, np.eye(4))
    found = check_file(str(tmp_path / "a.nii"), PUBLIC_CARDIAC_CT)
    assert str(found).startswith(f"{tmp_path}/a.nii: found the label values 77; wanted")
    assert "no such file" in str(check_file(str(tmp_path / "none.nii"), PUBLIC_CARDIAC_CT)).lower()


@pytest.mark.parametrize(
    ("name", "found"),
    [("a" * 201, "a name of 201 bytes"), ("\u00fc" * 101, "a name of 202 bytes"), ("a\nb", r"the name 'a\nb'")],
)
def test_a_name_that_no_output_can_have_is_a_fault(name: str, found: str, labels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.nii.gz"
    path.write_bytes(b"")
    assert f": found {found}; wanted" in str(check_file(str(path), PUBLIC_CARDIAC_CT))


@pytest.mark.parametrize("name", ["a" * 200, "\u00fc b\u3000c.$d", "<b>&\"x'"])
def test_any_other_name_is_good(name: str, labels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.nii.gz"
    write_label_map(path, labels, np.eye(4))
    found = check_file(str(path), PUBLIC_CARDIAC_CT)
    assert isinstance(found, CheckedCase)
    assert found.name == name


def test_a_digest_changes_with_its_own_voxels_and_with_the_grid_alone(labels: np.ndarray) -> None:
    before = voxel_digests(labels, b"grid", PUBLIC_CARDIAC_CT)
    edited = labels.copy()
    edited[1, 2, 3] = 0
    after = voxel_digests(edited, b"grid", PUBLIC_CARDIAC_CT)
    assert after["LAA"] == before["LAA"]
    assert after["LA"] != before["LA"]
    elsewhere = voxel_digests(labels, b"other", PUBLIC_CARDIAC_CT)
    assert all(elsewhere[name] != before[name] for name in before)


def test_a_shape_moved_by_one_voxel_has_another_digest(labels: np.ndarray) -> None:
    before = voxel_digests(labels, b"", PUBLIC_CARDIAC_CT)
    moved = voxel_digests(np.roll(labels, 1, axis=1), b"", PUBLIC_CARDIAC_CT)
    assert moved["LA"] != before["LA"]


def test_an_empty_map_has_no_structure() -> None:
    assert voxel_digests(np.zeros((2, 3, 5), np.uint8), b"", PUBLIC_CARDIAC_CT) == {}
