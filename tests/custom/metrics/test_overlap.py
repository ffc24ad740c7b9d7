"""Overlap: values worked by hand on a few voxels."""

from __future__ import annotations

import numpy as np
import pytest

from custom.metrics.overlap import crop_to_union, dice, volume_mm3, which_empty

SHAPE = (5, 3, 7)


def mask(*voxels: tuple[int, int, int]) -> np.ndarray:
    found = np.zeros(SHAPE, dtype=bool)
    for voxel in voxels:
        found[voxel] = True
    return found


def test_dice_is_twice_the_common_voxels_over_the_sum_of_both() -> None:
    # 1 voxel in common, 2 + 3 voxels in all
    assert dice(mask((0, 0, 0), (1, 0, 0)), mask((1, 0, 0), (2, 0, 0), (3, 0, 0))) == pytest.approx(2 / 5)


def test_dice_of_two_empty_masks_is_one_and_of_one_empty_mask_nought() -> None:
    assert dice(mask(), mask()) == 1.0
    assert dice(mask(), mask((1, 1, 1))) == 0.0
    assert dice(mask((1, 1, 1)), mask()) == 0.0


def test_dice_of_full_masks_is_one_and_of_full_against_one_voxel_two_over_all_and_one() -> None:
    full = np.ones(SHAPE, dtype=bool)
    assert dice(full, full) == 1.0
    assert dice(full, mask((4, 2, 6))) == pytest.approx(2 / (5 * 3 * 7 + 1))


def test_which_empty_names_the_side_without_voxels() -> None:
    one = mask((2, 1, 3))
    assert [which_empty(one, one), which_empty(mask(), mask()), which_empty(mask(), one), which_empty(one, mask())] == [
        "",
        "both",
        "prediction",
        "reference",
    ]


def test_volume_is_voxels_times_the_product_of_the_spacing() -> None:
    assert volume_mm3(mask((0, 0, 0), (4, 2, 6)), (3.0, 2.0, 1.0)) == 12.0
    assert volume_mm3(mask(), (3.0, 2.0, 1.0)) == 0.0


def test_the_crop_ends_at_the_outermost_voxels_of_either_mask() -> None:
    found, wanted = crop_to_union(mask((1, 1, 5)), mask((3, 1, 2)))
    assert found.shape == wanted.shape == (3, 1, 4)
    assert np.argwhere(found).tolist() == [[0, 0, 3]]
    assert np.argwhere(wanted).tolist() == [[2, 0, 0]]


def test_the_crop_of_two_empty_masks_has_no_voxel_and_of_a_full_one_all() -> None:
    assert crop_to_union(mask(), mask())[0].shape == (0, 0, 0)
    assert crop_to_union(np.ones(SHAPE, dtype=bool), mask())[1].shape == SHAPE
