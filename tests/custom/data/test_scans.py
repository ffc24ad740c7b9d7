"""Scans on disk: both files of a case, on one grid, with numbers in them; each fault in one line."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom.data.label_maps import write_label_map
from custom.data.scans import find_scans, read_scan
from custom.errors import InputError
from custom.phantoms.ct_images import LUNG_HU, Appearance, make_image, totalsegmentator_labels
from custom.phantoms.write_cohort import make_cohort, make_scans

AFFINE = np.diag([2.0, 3.0, 5.0, 1.0])


def write(folder: Path, name: str, image: np.ndarray | None = None, affine: np.ndarray = AFFINE) -> tuple[Path, Path]:
    labels = np.zeros((5, 7, 3), np.uint8)
    labels[2, 3, 1] = 4
    paths = folder / f"{name}-image.nii.gz", folder / f"{name}-label.nii.gz"
    folder.mkdir(parents=True, exist_ok=True)
    values = np.full((5, 7, 3), 40.0, np.float32) if image is None else image
    nib.save(nib.Nifti1Image(values, affine), paths[0])
    write_label_map(paths[1], labels, AFFINE)
    return paths


def test_whole_cases_are_found_in_the_folder_and_in_folders_and_halves_are_named(tmp_path: Path) -> None:
    write(tmp_path / "s0002", "s0002")
    write(tmp_path, "s0001")
    write(tmp_path / "s0003", "s0003")[0].unlink()
    write(tmp_path / "s0004", "s0004")[1].unlink()
    write(tmp_path / "a", "s0005")
    write(tmp_path / "b", "s0005")
    (tmp_path / "notes.txt").write_text("")
    cases, faults = find_scans(tmp_path)
    assert [case.name for case in cases] == ["s0001", "s0002"]
    assert len(faults) == 3
    assert "s0003-label.nii.gz: found no s0003-image.nii.gz beside it" in faults[0]
    assert "s0004-image.nii.gz: found no s0004-label.nii.gz beside it" in faults[1]
    assert "s0005-image twice: " in faults[2]


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    write_label_map(tmp_path / "s0001.nii.gz", np.ones((3, 5, 7)), np.eye(4))
    with pytest.raises(InputError, match="no .*-image.nii.gz and .*-label.nii.gz among 2 files"):
        find_scans(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        find_scans(tmp_path / "none")


def test_a_scan_is_read_with_its_scaling_and_its_labels(tmp_path: Path) -> None:
    image, label = write(tmp_path, "s1", np.arange(105, dtype=np.float32).reshape(5, 7, 3))
    scan = read_scan(image, label)
    assert scan.image_hu[4, 6, 2] == 104 and scan.labels[2, 3, 1] == 4 and (scan.affine == AFFINE).all()


def test_nan_and_another_grid_are_refused_by_name(tmp_path: Path) -> None:
    holed = np.zeros((5, 7, 3), np.float32)
    holed[1, 1, 1] = np.nan
    with pytest.raises(InputError, match="s1-image.nii.gz: found 1 voxels that are NaN"):
        read_scan(*write(tmp_path, "s1", holed))
    with pytest.raises(InputError, match=r"a grid of \(7, 5, 3\); wanted the label map's grid, \(5, 7, 3\)"):
        read_scan(*write(tmp_path, "s2", np.zeros((7, 5, 3), np.float32)))
    moved = AFFINE.copy()
    moved[0, 3] = 0.3
    with pytest.raises(InputError, match="other places in the world"):
        read_scan(*write(tmp_path, "s3", affine=moved))
    moved[0, 3] = 0.1
    assert read_scan(*write(tmp_path, "s4", affine=moved)).labels.any()
    image, label = write(tmp_path, "s5")
    write_label_map(label, np.zeros((5, 7, 3)), AFFINE)
    with pytest.raises(InputError, match="background alone"):
        read_scan(image, label)


def test_phantom_scans_are_the_hearts_of_the_cohort_and_equal_bytes_twice(tmp_path: Path) -> None:
    make_cohort(tmp_path / "cohort", 1, 32, 3)
    look = Appearance(noise_hu=10.0)
    (image,) = make_scans(tmp_path / "one", 1, 32, 3, look)
    (again,) = make_scans(tmp_path / "two", 1, 32, 3, look)
    assert image.read_bytes() == again.read_bytes() and image.name == "s0000-image.nii.gz"
    (case,), faults = find_scans(tmp_path / "one")
    scan = read_scan(case.image, case.label)
    truth = nib.load(tmp_path / "cohort" / "truth" / "phantom_000.nii.gz")
    assert faults == () and (scan.affine == truth.affine).all()
    np.testing.assert_array_equal(scan.labels, totalsegmentator_labels(np.asarray(truth.dataobj).astype(np.uint8)))
    hu = [scan.image_hu[scan.labels == number].mean() for number in range(1, 6)]
    assert hu[4] < hu[2] < hu[1] and hu[4] < hu[3] < hu[0] and scan.image_hu[0, 0, 0] < LUNG_HU + 150
    with pytest.raises(InputError, match="Name another folder"):
        make_scans(tmp_path / "one", 1, 32, 4, look)


def test_noise_blur_and_partial_volume_are_what_they_are_said_to_be() -> None:
    labels = np.zeros((32, 24, 40), np.uint8)
    labels[:15] = 3
    still = Appearance(noise_hu=0.0, blur_mm=0.0)
    image = make_image(labels, 3.0, 0, still)
    assert image.shape == (16, 12, 20)
    inner, mixed = float(image[3, 6, 10]), float(image[7, 6, 10])
    assert (image[:7] == inner).all() and 250 < inner < 450
    assert mixed == pytest.approx((inner + float(image[8, 6, 10])) / 2, abs=25)
    noisy = make_image(labels, 3.0, 0, Appearance(noise_hu=40.0, blur_mm=0.0)).astype(float) - image
    assert noisy[:7].std() == pytest.approx(40, rel=0.2)
    assert (make_image(labels, 3.0, 0, Appearance()) == make_image(labels, 3.0, 0)).all()
    assert (make_image(labels, 3.0, 1, still) != image).any()
    blurred = make_image(labels, 3.0, 0, Appearance(noise_hu=0.0, blur_mm=6.0))
    assert blurred[5, 6, 10] < inner - 20
    with pytest.raises(InputError, match="--noise_hu"):
        Appearance(noise_hu=-1.0)
    with pytest.raises(ValueError, match="cannot be averaged by 2"):
        make_image(labels[:31], 3.0, 0)
