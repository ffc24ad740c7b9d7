"""Headers: lengths in mm whatever their unit, and every field written as it came in."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import LoadImaged
from nibabel.affines import voxel_sizes

from custom.data.label_map_reader import LabelMapReader
from custom.data.label_maps import read_grid, read_label_map, read_values, write_label_map
from custom.headers import GridHeader, header_in, loaded_affine_mm, loaded_spacing_mm
from tests.custom.header_variants import FORMS, grid_of, save_as, scaling_of

LOAD = LoadImaged("label", reader=LabelMapReader(), dtype=np.uint8, ensure_channel_first=True)

SHAPE = (5, 7, 11)
AFFINE = np.array([[-1.5, 0, 0, 40], [0, 2, 0, -20], [0, 0, 0.75, 7], [0, 0, 0, 1.0]])
LABELS = np.random.default_rng(0).integers(0, 11, SHAPE).astype(np.uint8)


@pytest.mark.parametrize("form", ["micron", "metre"])
def test_every_reader_gives_lengths_in_mm(form: str, tmp_path: Path) -> None:
    path = save_as(form, tmp_path / "a.nii.gz", LABELS, AFFINE)
    read = read_label_map(path)
    np.testing.assert_allclose(read.affine, AFFINE, rtol=1e-6)
    np.testing.assert_allclose(read.spacing_mm, (1.5, 2, 0.75), rtol=1e-6)
    np.testing.assert_allclose(read_values(path)[1], AFFINE, rtol=1e-6)
    np.testing.assert_allclose(read_grid(path).affine, AFFINE, rtol=1e-6)
    by_monai = LoadImaged("label", ensure_channel_first=True)({"label": str(path)})["label"]
    np.testing.assert_allclose(loaded_affine_mm(by_monai), AFFINE, rtol=1e-6)
    np.testing.assert_allclose(loaded_spacing_mm(by_monai), (1.5, 2, 0.75), rtol=1e-6)


@pytest.mark.parametrize("units", [0, 2, 5, 16])
def test_a_unit_that_says_nothing_is_mm(units: int, tmp_path: Path) -> None:
    image = nib.Nifti1Image(LABELS, AFFINE)
    image.header["xyzt_units"] = units
    nib.save(image, tmp_path / "a.nii")
    assert np.array_equal(read_label_map(tmp_path / "a.nii").affine, AFFINE)
    plain = MetaTensor(torch.zeros(1, *SHAPE), affine=torch.from_numpy(AFFINE))
    assert np.array_equal(loaded_affine_mm(plain), AFFINE)
    assert loaded_spacing_mm(torch.zeros(1, *SHAPE)) == (1, 1, 1)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_on_the_grid_of_a_file_has_its_header(form: str, suffix: str, tmp_path: Path) -> None:
    read = read_label_map(save_as(form, tmp_path / f"a{suffix}", LABELS, AFFINE))
    written = tmp_path / f"b{suffix}"
    for dtype in (np.uint8, np.float32):
        write_label_map(written, read.labels, read.affine, dtype, read.header)
        assert grid_of(written) == grid_of(read.path)
        assert scaling_of(written) == (1, 0)
        again = read_label_map(written)
        assert np.array_equal(again.labels, LABELS) and np.array_equal(again.affine, read.affine)
        assert again.header == read.header


@pytest.mark.parametrize("form", FORMS)
def test_a_nifti_2_file_comes_back_as_nifti_1_that_says_the_same(form: str, tmp_path: Path) -> None:
    read = read_label_map(save_as(form, tmp_path / "a.nii", LABELS, AFFINE, nib.Nifti2Image))
    write_label_map(tmp_path / "b.nii", read.labels, read.affine, header=read.header)
    assert type(nib.load(tmp_path / "b.nii")) is nib.Nifti1Image
    assert grid_of(tmp_path / "b.nii") == grid_of(tmp_path / "a.nii")
    np.testing.assert_allclose(read_label_map(tmp_path / "b.nii").affine, read.affine, atol=1e-4)


def test_an_axis_too_long_for_nifti_1_is_written_as_nifti_2(tmp_path: Path) -> None:
    labels = np.zeros((40000, 2, 1), np.uint8)
    labels[39999, 1, 0] = 3
    write_label_map(tmp_path / "a.nii.gz", labels, AFFINE)
    assert type(nib.load(tmp_path / "a.nii.gz")) is nib.Nifti2Image
    assert np.array_equal(read_label_map(tmp_path / "a.nii.gz").labels, labels)


def test_a_header_made_from_an_affine_says_it_in_mm_and_no_scaling_is_nan(tmp_path: Path) -> None:
    write_label_map(tmp_path / "a.nii", LABELS, AFFINE)
    header = nib.load(tmp_path / "a.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert header.get_xyzt_units() == ("mm", "unknown")
    np.testing.assert_allclose(header.get_qform(), AFFINE, atol=1e-6)
    assert scaling_of(tmp_path / "a.nii") == (1, 0)


@pytest.mark.parametrize("form", FORMS)
def test_a_header_survives_json_with_what_is_not_a_number(form: str, tmp_path: Path) -> None:
    header = read_label_map(save_as(form, tmp_path / "a.nii", LABELS, AFFINE)).header
    assert header is not None
    assert GridHeader.from_dict(json.loads(header.to_json())) == header
    strange = GridHeader(1, 0, 2, (float("inf"), *header.pixdim[1:]), header.quaternion, (float("nan"), *[0.0] * 11))
    again = GridHeader.from_dict(json.loads(strange.to_json()))
    assert again.pixdim[0] == float("inf") and np.isnan(again.sform[0])


@pytest.mark.parametrize(
    "change", [{"pixdim": [1.0]}, {"sform": ["x"] * 12}, {"sform_code": 1.5}, {"qform_code": 10**6}, {"quaternion": 3}]
)
def test_a_header_that_is_none_is_no_header(change: dict[str, object], tmp_path: Path) -> None:
    header = read_label_map(save_as("micron", tmp_path / "a.nii", LABELS, AFFINE)).header
    assert header is not None
    with pytest.raises((TypeError, ValueError)):
        GridHeader.from_dict({**header.to_dict(), **change})


@pytest.mark.parametrize("form", FORMS)
def test_monais_transforms_get_the_affine_in_mm_and_the_header(form: str, tmp_path: Path) -> None:
    read = read_label_map(save_as(form, tmp_path / "a.nii.gz", LABELS, AFFINE))
    loaded = LOAD({"label": str(read.path), "case": "a"})["label"]
    assert loaded.dtype == torch.uint8 and np.array_equal(np.asarray(loaded[0]), LABELS)
    assert np.array_equal(loaded_affine_mm(loaded), read.affine)
    np.testing.assert_allclose(loaded_spacing_mm(loaded), voxel_sizes(read.affine))
    assert header_in(loaded.meta) == read.header
