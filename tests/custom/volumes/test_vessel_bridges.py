"""Fragments of a cut vessel are joined by tubes; noise and far pieces are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from custom.volumes.components import count
from custom.volumes.vessel_bridges import BridgeFragmentsd, bridge

SPACING_MM = (1.0, 1.5, 2.0)


def rod(shape: tuple[int, int, int], start: int, stop: int) -> np.ndarray:
    """A rod of 3 x 3 voxels along the first axis."""
    mask = np.zeros(shape, dtype=bool)
    mask[start:stop, 5:8, 4:7] = True
    return mask


def test_a_gap_in_a_rod_is_filled_along_the_rod() -> None:
    whole = rod((31, 13, 11), 3, 28)
    cut = whole.copy()
    cut[13:18] = False
    joined, bridges = bridge(cut, components=1, reach_mm=8.0)
    assert count(joined) == 1
    assert [one.length_mm for one in bridges] == [6.0]  # voxel 12 to voxel 18 at 1 mm
    assert bridges[0].volume_mm3 == joined.sum() - cut.sum()
    assert (joined & whole)[13:18].sum() >= 0.8 * whole[13:18].sum()
    assert (joined & ~whole).sum() == 0
    assert (joined & cut).sum() == cut.sum()


def test_the_length_of_a_gap_is_counted_in_mm() -> None:
    cut = rod((31, 13, 11), 3, 28)
    cut[13:18] = False
    turned = cut.transpose(1, 2, 0)  # the rod now runs along the third axis, 2 mm a voxel: a gap of 12 mm
    assert bridge(turned, 1, reach_mm=11.9, spacing_mm=SPACING_MM)[1] == []
    joined, bridges = bridge(turned, 1, reach_mm=12.1, spacing_mm=SPACING_MM)
    assert [one.length_mm for one in bridges] == [12.0]
    assert count(joined) == 1


def test_bridging_stops_at_the_components_wanted() -> None:
    mask = np.zeros((41, 17, 13), dtype=bool)
    for start in (2, 9, 18):  # gaps of 3 and 5 voxels
        mask[start : start + 5, 3:6, 3:6] = True
    joined, bridges = bridge(mask, components=2, reach_mm=20.0)
    assert [one.length_mm for one in bridges] == [3.0]
    assert count(joined) == 2


def test_a_small_fragment_is_not_bridged() -> None:
    mask = rod((31, 13, 11), 3, 13)
    mask[16, 6, 5] = True
    joined, bridges = bridge(mask, components=1, reach_mm=8.0, min_volume_mm3=2.0)
    assert bridges == []
    np.testing.assert_array_equal(joined, mask)


@pytest.mark.parametrize("voxels", [[], [(1, 2, 3)]])
def test_nothing_and_one_voxel_stay_as_they_are(voxels: list[tuple[int, int, int]]) -> None:
    mask = np.zeros((5, 7, 11), dtype=bool)
    for voxel in voxels:
        mask[voxel] = True
    joined, bridges = bridge(mask, 1, 8.0)
    assert bridges == []
    np.testing.assert_array_equal(joined, mask)


def test_a_full_mask_and_one_at_the_border_stay_as_they_are() -> None:
    full = np.ones((5, 7, 11), dtype=bool)
    assert bridge(full, 1, 8.0)[0].all()
    border = rod((31, 13, 11), 0, 31)
    np.testing.assert_array_equal(bridge(border, 1, 8.0)[0], border)


def test_the_result_does_not_depend_on_the_axes() -> None:
    cut = rod((31, 13, 11), 3, 28)
    cut[13:18] = False
    straight, _ = bridge(cut, 1, 8.0)
    turned, _ = bridge(np.ascontiguousarray(cut[::-1].transpose(2, 0, 1)), 1, 8.0)
    np.testing.assert_array_equal(turned.transpose(1, 2, 0)[::-1], straight)


def test_only_thin_structures_are_bridged_in_a_bundle() -> None:
    cut = rod((31, 13, 11), 3, 28)
    cut[13:18] = False
    image = MetaTensor(torch.from_numpy(cut[None].astype(np.float32)), affine=torch.eye(4, dtype=torch.float64))
    thick = BridgeFragmentsd("pred", "LV")({"pred": image})["pred"]
    assert count(np.asarray(thick[0])) == 2
    # The coronaries are two trees: three fragments are needed before one gap is closed.
    image[0, 0:2, 5:8, 4:7] = 1
    thin = BridgeFragmentsd("pred", "Coronary", min_volume_mm3=1.0)({"pred": image, "case": "one"})["pred"]
    assert count(np.asarray(thin[0])) == 2
    assert thin.affine.equal(image.affine)
