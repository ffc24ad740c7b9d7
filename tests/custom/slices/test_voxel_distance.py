"""Signed distances: exact to the boundary of the voxels, negative inside, in mm."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.slices.voxel_distance import absent_mm, signed_distance_mm, signed_distances_mm


def by_hand(mask: np.ndarray, spacing_mm: float) -> np.ndarray:
    """The distance to the nearest voxel, as a box, of the other side; the world beyond the grid is background."""
    wide = np.pad(mask, 3)
    result = np.zeros(mask.shape)
    for place in itertools.product(*map(range, mask.shape)):
        others = np.argwhere(wide != mask[place]) - 3
        away = np.linalg.norm(np.maximum(np.abs(others - place) - 0.5, 0), axis=1).min()
        result[place] = -away * spacing_mm if mask[place] else away * spacing_mm
    return result


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_distance_is_that_to_the_nearest_voxel_of_the_other_side_as_a_box(seed: int) -> None:
    mask = np.random.default_rng(seed).random((5, 7, 3)) < (0.05, 0.5, 0.9)[seed]
    mask[2, 3, 1] = True
    np.testing.assert_allclose(signed_distance_mm(mask, 3.0), by_hand(mask, 3.0), atol=1e-5)


def test_one_voxel_is_half_a_voxel_deep_and_its_neighbour_half_a_voxel_off() -> None:
    mask = np.zeros((5, 7, 11), bool)
    mask[2, 3, 4] = True
    sdf = signed_distance_mm(mask, 3.0)
    assert sdf[2, 3, 4] == -1.5 and sdf[2, 3, 5] == 1.5 and sdf[2, 3, 7] == 7.5
    assert sdf[3, 4, 4] == pytest.approx(1.5 * np.sqrt(2)) and sdf[3, 4, 5] == pytest.approx(1.5 * np.sqrt(3))


def test_a_full_grid_is_inside_everywhere_and_ends_at_its_border() -> None:
    sdf = signed_distance_mm(np.ones((3, 5, 7), bool), 2.0)
    assert (sdf < 0).all() and sdf[1, 2, 3] == -3 and sdf[0, 0, 0] == -1


def test_an_empty_mask_is_refused_and_an_absent_structure_is_further_than_anything_in_the_cube() -> None:
    with pytest.raises(ValueError, match="no boundary"):
        signed_distance_mm(np.zeros((3, 5, 7), bool), 1.0)
    labels = np.zeros((7, 7, 7), np.uint8)
    labels[0, 0, 0] = 2
    sdf = signed_distances_mm(labels, TOTALSEGMENTATOR_HEART, 3.0)
    assert sdf.shape == (5, 7, 7, 7)
    assert (sdf[[0, 2, 3, 4]] == np.float32(absent_mm(7, 3.0))).all() and sdf[1].max() < absent_mm(7, 3.0)
    assert ((sdf[1] < 0) == (labels == 2)).all()
