"""Slices: every pixel has the world coordinate nibabel gives its voxel, on all three axes."""

from __future__ import annotations

import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy.spatial.transform import Rotation

from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.errors import InputError
from custom.slices.cut_slices import cut, masks_of, place_of_slice, pointmap, slice_voxels, slices_worth, windowed

SHAPE = (5, 7, 11)
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("zyx", (31, 11, -23), degrees=True).as_matrix() @ np.diag([-3.0, 2.0, 1.5])
OBLIQUE[:3, 1] += 0.3
OBLIQUE[:3, 3] = (-120, 33, 707)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("affine", [np.eye(4), np.diag([-3.0, -3.0, 3.0, 1.0]), OBLIQUE])
def test_every_pixel_of_every_slice_has_the_place_nibabel_gives_its_voxel(affine: np.ndarray, axis: int) -> None:
    world = apply_affine(affine, np.moveaxis(np.indices(SHAPE), 0, -1))
    for index in range(SHAPE[axis]):
        place = place_of_slice(SHAPE, affine, axis, index)
        np.testing.assert_allclose(place, np.take(world, index, axis), atol=1e-9)
        mask = np.ones(place.shape[:2], bool)
        np.testing.assert_allclose(pointmap(mask, affine, SHAPE, axis, index), place, atol=1e-4)


def test_a_pixel_by_hand() -> None:
    assert slice_voxels(SHAPE, 0, 3)[4, 9].tolist() == [3, 4, 9]
    assert slice_voxels(SHAPE, 1, 3)[4, 9].tolist() == [4, 3, 9]
    assert slice_voxels(SHAPE, 2, 3)[4, 6].tolist() == [4, 6, 3]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_cut_pixel_is_the_voxel_that_its_place_names_in_every_channel(axis: int) -> None:
    volume = np.random.default_rng(axis).normal(size=(2, *SHAPE))
    for index in (0, SHAPE[axis] - 1):
        voxels = slice_voxels(SHAPE, axis, index)
        for channel in range(2):
            np.testing.assert_array_equal(cut(volume, axis, index)[channel], volume[channel][tuple(voxels.T)].T)
        np.testing.assert_array_equal(cut(volume[1], axis, index), cut(volume, axis, index)[1])


@pytest.mark.parametrize(("axis", "index"), [(3, 0), (-1, 0), (0, 5), (1, -1)])
def test_an_axis_or_a_slice_that_is_not_there_is_refused(axis: int, index: int) -> None:
    with pytest.raises(ValueError, match="no axis|no slice"):
        cut(np.zeros(SHAPE), axis, index)


def test_the_pointmap_is_nan_off_the_mask_and_nowhere_else() -> None:
    mask = np.zeros((5, 11), bool)
    mask[2, 7] = True
    found = pointmap(mask, OBLIQUE, SHAPE, 1, 6)
    assert (np.isnan(found).all(axis=-1) == ~mask).all() and (np.isfinite(found).all(axis=-1) == mask).all()
    np.testing.assert_allclose(found[2, 7], apply_affine(OBLIQUE, (2, 6, 7)), atol=1e-4)
    assert np.isnan(pointmap(np.zeros((5, 11), bool), OBLIQUE, SHAPE, 1, 6)).all()


def test_the_window_maps_its_ends_to_0_and_1_and_clips_beyond() -> None:
    values = np.array([-1024.0, -200.0, 150.0, 500.0, 3071.0])
    assert windowed(values).tolist() == [0, 0, 0.5, 1, 1]
    assert windowed(values, (150.0, 500.0)).tolist() == [0, 0, 0, 1, 1]


def test_every_structure_has_its_own_mask_in_the_tables_order() -> None:
    labels = np.array([[0, 1, 2], [5, 4, 3]], np.uint8)
    masks = masks_of(labels, TOTALSEGMENTATOR_HEART)
    assert [np.argwhere(mask).tolist() for mask in masks] == [[[0, 1]], [[0, 2]], [[1, 2]], [[1, 1]], [[1, 0]]]


def test_only_slices_with_enough_of_one_structure_are_worth_it() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 1:4, 5] = 3
    labels[3, 1, 5] = 1
    found = list(slices_worth(labels, TOTALSEGMENTATOR_HEART, 2))
    assert found == [(0, 2, [0, 0, 3, 0, 0]), (2, 5, [1, 0, 3, 0, 0])]
    with pytest.raises(InputError, match="no slice with 4 pixels"):
        list(slices_worth(labels, TOTALSEGMENTATOR_HEART, 4))
