"""Balls, bands and holes on masks small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from custom.volumes.morphology import boundary_band, dilate, erode, fill_holes, foreground_box

SHAPE = (7, 11, 13)


def one_voxel(at: tuple[int, int, int] = (3, 5, 6), shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[at] = True
    return mask


def below(first_outside: int, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Everything with i below a limit: a mask cut by five faces of the volume."""
    mask = np.zeros(shape, dtype=bool)
    mask[:first_outside] = True
    return mask


def speckle(share: float = 0.1, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random(SHAPE) < share


# 1 centre; + 6 faces; + 12 edges (1.41); + 8 corners (1.73) and 6 at distance 2
@pytest.mark.parametrize(("radius_voxels", "voxels"), [(0, 1), (1, 7), (1.5, 19), (2, 33)])
def test_one_voxel_dilates_to_the_ball(radius_voxels, voxels):
    grown = dilate(one_voxel(), radius_voxels)
    assert grown.sum() == voxels
    distance = np.linalg.norm(np.argwhere(grown) - (3, 5, 6), axis=1)
    assert distance.max() <= radius_voxels


def test_a_ball_at_the_corner_is_cut_by_the_edge_of_the_volume():
    # one octant of the radius-2 ball: centre 1, axes 3 + 3, face diagonals 3, space diagonal 1
    assert dilate(one_voxel((0, 0, 0)), 2).sum() == 11
    assert dilate(one_voxel((6, 10, 12)), 2).sum() == 11


def test_the_last_voxel_does_not_wrap_around():
    assert not dilate(one_voxel((6, 10, 12)), 2)[0].any()


@pytest.mark.parametrize(("radius_voxels", "side"), [(0, 5), (1, 3), (2, 1), (3, 0)])
def test_a_cube_of_five_loses_the_radius_on_every_side(radius_voxels, side):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:6, 2:7, 4:9] = True
    left = erode(mask, radius_voxels)
    assert left.sum() == side**3
    if side == 1:
        assert np.argwhere(left).tolist() == [[3, 4, 6]]


def test_nothing_is_eroded_from_the_edge_of_the_volume():
    assert np.array_equal(erode(below(4), 2), below(2))


@pytest.mark.parametrize("function", [dilate, erode])
def test_empty_stays_empty_and_full_stays_full(function):
    assert not function(np.zeros(SHAPE, dtype=bool), 2).any()
    assert function(np.ones(SHAPE, dtype=bool), 2).all()


def test_one_voxel_vanishes_under_erosion():
    assert not erode(one_voxel(), 1).any()


@pytest.mark.parametrize("radius_voxels", [1, 1.5, 2, 3])
def test_erosion_is_dilation_of_the_background(radius_voxels):
    mask = speckle(0.98)
    assert 0 < erode(mask, radius_voxels).sum() < mask.sum()
    assert np.array_equal(erode(mask, radius_voxels), ~dilate(~mask, radius_voxels))


@pytest.mark.parametrize("radius_voxels", [1, 2, 3])
def test_dilation_equals_scipys_with_the_same_ball(radius_voxels):
    steps = np.indices((2 * radius_voxels + 1,) * 3) - radius_voxels
    ball = (steps**2).sum(axis=0) <= radius_voxels**2
    mask = speckle(0.01)
    assert np.array_equal(dilate(mask, radius_voxels), ndimage.binary_dilation(mask, ball))


@pytest.mark.parametrize("function", [dilate, erode, boundary_band])
def test_a_negative_radius_is_refused(function):
    with pytest.raises(ValueError, match="radius_voxels is -1"):
        function(one_voxel(), -1)


@pytest.mark.parametrize("function", [dilate, erode, boundary_band])
def test_the_mask_given_stays_as_it_was(function):
    mask = speckle()
    before = mask.copy()
    function(mask, 2)
    assert np.array_equal(mask, before)


def test_nonzero_labels_count_as_inside():
    assert np.array_equal(dilate(one_voxel().astype(np.uint8) * 9, 2), dilate(one_voxel(), 2))


def test_the_band_holds_two_layers_inside_and_two_outside():
    band = boundary_band(below(4), 2)
    assert np.flatnonzero(band.any(axis=(1, 2))).tolist() == [2, 3, 4, 5]
    assert band[2:6].all()


def test_half_of_the_band_of_a_plane_lies_inside():
    # A band of the outside alone (dilated xor mask) would hold no positive at all.
    mask = below(4)
    band = boundary_band(mask)
    assert mask[band].mean() == 0.5


def test_the_band_of_one_voxel_is_its_ball():
    assert np.array_equal(boundary_band(one_voxel(), 2), dilate(one_voxel(), 2))


@pytest.mark.parametrize("mask", [np.zeros(SHAPE, dtype=bool), np.ones(SHAPE, dtype=bool)], ids=["empty", "full"])
def test_a_mask_without_boundary_has_no_band(mask):
    assert not boundary_band(mask, 2).any()


def test_the_edge_of_the_volume_is_no_boundary():
    assert not boundary_band(below(4), 2)[0].any()


def shell(open_at: tuple[int, int, int] | None = None) -> np.ndarray:
    """A hollow cube of 5 with a cavity of 3, optionally with one voxel of its wall taken out."""
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:6, 3:8, 4:9] = True
    mask[2:5, 4:7, 5:8] = False
    if open_at is not None:
        mask[open_at] = False
    return mask


def test_a_closed_cavity_is_filled():
    filled = fill_holes(shell())
    assert shell().sum() == 125 - 27
    assert filled.sum() == 125


def test_a_cavity_with_a_door_is_no_hole():
    assert np.array_equal(fill_holes(shell(open_at=(1, 5, 6))), shell(open_at=(1, 5, 6)))


def test_a_cavity_leaking_over_an_edge_only_is_filled_and_the_leak_stays_open():
    # (1, 3, 6) lies on an edge of the cube: it shares no face with the cavity.
    assert fill_holes(shell(open_at=(1, 3, 6))).sum() == 124


def test_a_cavity_open_to_the_edge_of_the_volume_is_no_hole():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[0:3, 3:8, 4:9] = True
    mask[0:2, 4:7, 5:8] = False
    assert np.array_equal(fill_holes(mask), mask)


def test_filling_equals_scipys_on_speckle():
    mask = speckle(0.8)
    filled = fill_holes(mask)
    assert filled.sum() > mask.sum()
    assert np.array_equal(filled, ndimage.binary_fill_holes(mask))


@pytest.mark.parametrize(
    "mask", [np.zeros(SHAPE, dtype=bool), np.ones(SHAPE, dtype=bool), one_voxel()], ids=["empty", "full", "one voxel"]
)
def test_masks_without_holes_stay(mask):
    assert np.array_equal(fill_holes(mask), mask)


def test_the_foreground_box_is_cut_at_the_edge_of_the_volume():
    assert foreground_box(one_voxel((0, 5, 12)), 2) == (slice(0, 3), slice(3, 8), slice(10, 13))
    assert foreground_box(np.zeros(SHAPE, dtype=bool), 2) is None
