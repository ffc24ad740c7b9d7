"""Answers that need no network, worked by hand in a cube of 7 voxels."""

from __future__ import annotations

import numpy as np
import pytest

from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.errors import InputError
from custom.sam3d.evaluation.slice_baselines import (
    MeanShape,
    NearestCase,
    PlacedMeanShape,
    TrainingShapes,
    extruded_slice,
    shifted,
    slice_ious,
)

SIDE = 7
LV, RA = "heart_ventricle_left", "heart_atrium_right"


def box(i: tuple[int, int], j: tuple[int, int], k: tuple[int, int]) -> np.ndarray:
    made = np.zeros((SIDE,) * 3, bool)
    made[slice(*i), slice(*j), slice(*k)] = True
    return made


def shapes(*volumes: np.ndarray) -> TrainingShapes:
    labels = np.stack([volume * np.uint8(TOTALSEGMENTATOR_HEART[LV].index) for volume in volumes])
    return TrainingShapes(labels.astype(np.uint8), TOTALSEGMENTATOR_HEART)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_is_extended_as_deep_as_a_circle_of_its_area_is_wide(axis: int) -> None:
    # 2 x 4 pixels are a circle of diameter 3.19: three voxels, the slice in the middle.
    mask = np.zeros((SIDE, SIDE), bool)
    mask[1:3, 2:6] = True
    volume = extruded_slice(mask, axis, 4)
    wanted = [(1, 3), (2, 6)]
    wanted.insert(axis, (3, 6))
    np.testing.assert_array_equal(volume, box(*wanted))


def test_an_extended_slice_ends_at_the_border_of_the_cube() -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[1:3, 2:6] = True
    np.testing.assert_array_equal(extruded_slice(mask, 2, 0), box((1, 3), (2, 6), (0, 2)))


def test_one_pixel_is_one_voxel_and_no_pixel_is_none() -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    assert not extruded_slice(mask, 1, 3).any()
    mask[5, 1] = True
    np.testing.assert_array_equal(extruded_slice(mask, 1, 3), box((5, 6), (3, 4), (1, 2)))


def test_a_volume_moves_and_what_leaves_is_lost() -> None:
    volume = box((0, 2), (3, 5), (4, 7))
    np.testing.assert_array_equal(shifted(volume, (-1, 2, 1)), box((0, 1), (5, 7), (5, 7)))
    np.testing.assert_array_equal(shifted(volume, (0, 0, 0)), volume)
    assert not shifted(volume, (0, SIDE, 0)).any()


def test_the_mean_shape_is_that_of_the_share_that_fits_the_training_best() -> None:
    # 4 voxels in all three cases, 8 more in one: 4 alone fit with (1 + 1 + 0.5) / 3, all 12 with (0.5 + 0.5 + 1) / 3.
    small, large = box((1, 2), (1, 3), (1, 3)), box((1, 4), (1, 3), (1, 3))
    guess = MeanShape(shapes(small, large, small))
    empty = np.zeros((SIDE, SIDE), bool)
    np.testing.assert_array_equal(guess(empty, 0, 0, LV), small)
    # With two large ones of three: (1 + 1 + 0.5) / 3 for all.
    np.testing.assert_array_equal(MeanShape(shapes(large, large, small))(empty, 0, 0, LV), large)


def test_a_case_without_the_structure_has_no_part_in_the_mean() -> None:
    whole = box((1, 3), (2, 5), (0, 4))
    guess = MeanShape(shapes(whole, np.zeros_like(whole), np.zeros_like(whole)))
    np.testing.assert_array_equal(guess(whole[1], 0, 1, LV), whole)
    with pytest.raises(InputError, match="in no training case"):
        guess(whole[1], 0, 1, RA)


def test_the_placed_mean_shape_has_its_middle_in_the_plane_where_the_mask_has_it() -> None:
    mean = box((1, 3), (1, 3), (2, 5))
    guess = PlacedMeanShape(shapes(mean))
    mask = np.zeros((SIDE, SIDE), bool)
    mask[3:5, 4:6] = True
    np.testing.assert_array_equal(guess(mask, 2, 3, LV), box((3, 5), (4, 6), (2, 5)))
    # Where the mean shape has nothing at the slice, its whole outline counts.
    np.testing.assert_array_equal(guess(mask, 2, 6, LV), box((3, 5), (4, 6), (2, 5)))
    np.testing.assert_array_equal(guess(np.zeros_like(mask), 2, 3, LV), mean)


def test_overlap_with_slices_is_counted_in_pixels() -> None:
    volume = box((2, 4), (1, 3), (0, 4))
    mask = np.zeros((SIDE, SIDE), bool)
    mask[1:3, 0:2] = True
    # Across axis 0 slices 2 and 3 hold 2 x 4 pixels, 4 of them the mask's; the others none.
    np.testing.assert_allclose(slice_ious(mask, volume[None], 0), [[0, 0, 4 / 8, 4 / 8, 0, 0, 0]])
    # Across axis 2 slices 0 to 3 hold rows 2, 3 and columns 1, 2: one pixel of 4 + 4 - 1.
    np.testing.assert_allclose(slice_ious(mask, volume[None], 2), [[1 / 7] * 4 + [0] * 3])
    assert not slice_ious(np.zeros_like(mask), np.zeros_like(volume)[None], 1).any()


def test_the_nearest_case_is_moved_along_the_axis_to_the_slice() -> None:
    other, near = box((0, 2), (0, 2), (0, 7)), box((3, 6), (2, 5), (1, 4))
    guess = NearestCase(shapes(other, near))
    mask = near[:, :, 2].copy()
    # Of its slices that fit, 1 to 3, the last comes to 4; slice 2 lies where it is.
    np.testing.assert_array_equal(guess(mask, 2, 4, LV), box((3, 6), (2, 5), (2, 5)))
    np.testing.assert_array_equal(guess(mask, 2, 2, LV), near)
    np.testing.assert_array_equal(guess(other[0], 0, 0, LV), other)
