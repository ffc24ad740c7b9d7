"""A vessel's mask may come from its label instead of its field."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.near.save_masks import FromLabeld

AFFINE = np.diag([-1.0, 1.0, 1.0, 1.0])


@pytest.fixture
def labels(tmp_path: Path) -> np.ndarray:
    """One case: a coronary 3 voxels wide with a bump of one voxel, and a left atrium beside it."""
    volume = np.zeros((29, 11, 13), dtype=np.uint8)
    volume[3:26, 4:7, 5:8] = 9
    volume[14, 7, 6] = 9
    volume[5:20, 9:11, 5:8] = 2
    write_label_map(tmp_path / "labels" / "one.nii.gz", volume, AFFINE)
    return volume


def predicted(shape: tuple[int, int, int], affine: np.ndarray = AFFINE) -> dict[str, object]:
    return {"pred": MetaTensor(torch.zeros(1, *shape), affine=torch.from_numpy(affine)), "case": "one"}


def test_the_label_replaces_the_field_and_loses_its_bump(tmp_path: Path, labels: np.ndarray) -> None:
    item = FromLabeld("pred", "label", tmp_path / "labels", "Coronary")(predicted(labels.shape))
    mask = np.asarray(item["pred"][0]) > 0
    assert not mask[14, 7, 6]
    np.testing.assert_array_equal(mask[6:23, 4:7, 5:8], True)
    assert not mask[:, 9:].any()


def test_without_smoothing_it_is_the_label(tmp_path: Path, labels: np.ndarray) -> None:
    item = FromLabeld("pred", "label", tmp_path / "labels", 9, along_mm=0.0)(predicted(labels.shape))
    np.testing.assert_array_equal(np.asarray(item["pred"][0]) > 0, labels == 9)


def test_the_field_stays_and_no_label_map_is_looked_for(tmp_path: Path) -> None:
    item = predicted((5, 7, 11))
    assert FromLabeld("pred", "field", tmp_path / "nowhere", "LA")(item)["pred"] is item["pred"]


def test_a_case_without_label_map_and_another_grid_are_refused(tmp_path: Path, labels: np.ndarray) -> None:
    step = FromLabeld("pred", "label", tmp_path / "labels", "Coronary")
    with pytest.raises(InputError, match="no label map of case two.*--dataset_dir"):
        step({**predicted(labels.shape), "case": "two"})
    with pytest.raises(InputError, match="one.nii.gz.*a grid of .*--mask_from field"):
        step(predicted((5, 7, 11)))
    shifted = AFFINE.copy()
    shifted[0, 3] = 4.0
    with pytest.raises(InputError, match="one.nii.gz.*other places in the world"):
        step(predicted(labels.shape, shifted))
