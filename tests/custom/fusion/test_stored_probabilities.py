"""The stored probabilities of thin structures: what they may be, and that several files are read in order."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.fusion.stored_probabilities import read_all, read_probability

SHAPE = (5, 7, 11)
AFFINE = np.diag([-2.0, 3, 5, 1])


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as raised:
        read_probability(path)
    return str(raised.value)


def test_a_probability_is_read_as_it_was_written_its_ends_too(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(SHAPE, np.float32)
    values[0, 0, 0], values[4, 6, 10] = 0, 1
    write_label_map(tmp_path / "p.nii.gz", values, AFFINE, np.float32)
    assert np.array_equal(read_probability(tmp_path / "p.nii.gz"), values)


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_probability_outside_of_0_to_1_is_refused(value: float, tmp_path: Path) -> None:
    values = np.zeros(SHAPE, np.float32)
    values[4, 6, 10] = value
    nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / "p.nii.gz")
    assert "wanted probabilities, 0 to 1." in refusal(tmp_path / "p.nii.gz")


def test_a_probability_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.nii.gz"
    write_label_map(path, np.random.default_rng(0).random(SHAPE, np.float32), AFFINE, np.float32)
    path.write_bytes(path.read_bytes()[:-400])
    assert "found voxels that cannot be read (" in refusal(path)


def test_several_files_keep_their_names_and_the_first_fault_is_raised() -> None:
    paths = {name: Path(name) for name in ("one", "two", "three", "four", "five")}
    assert read_all(str, paths) == {name: name for name in paths}
    assert read_all(str, {}) == {}

    def read(path: Path) -> str:
        if path.name in ("two", "four"):
            raise InputError(path, "x", "y", "Do z.")
        return path.name

    with pytest.raises(InputError, match="two: found x"):
        read_all(read, paths)
