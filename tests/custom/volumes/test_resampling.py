"""What a grid becomes on another grid with the same corners."""

from __future__ import annotations

import numpy as np
import pytest

from custom.volumes.resampling import axis_weights, resize


def test_the_same_shape_returns_the_same_values():
    array = np.random.default_rng(5).random((3, 7, 5)).astype(np.float32)
    assert np.array_equal(resize(array, (3, 7, 5)), array)


def test_between_samples_the_values_are_linear():
    assert np.array_equal(axis_weights(3, np.array([0.0, 0.25, 1.5, 2.0]))[1:3], [[0.75, 0.25, 0], [0, 0.5, 0.5]])
    ramp = np.array([0, 4, 10], np.float32).reshape(1, 3, 1)
    assert np.array_equal(resize(ramp, (1, 5, 1)).ravel(), [0, 2, 4, 7, 10])


def test_positions_beyond_the_ends_read_the_end():
    assert np.array_equal(axis_weights(3, np.array([-0.5, 7.0])), [[1, 0, 0], [0, 0, 1]])


def test_half_the_resolution_averages_by_a_triangle_two_samples_wide():
    array = np.array([8, 0, 4, 0, 16], np.float32).reshape(1, 1, 5)
    # ends: (1 x 8 + 0.5 x 0) / 1.5, (1 x 16 + 0.5 x 0) / 1.5; middle: (0.5 x 0 + 1 x 4 + 0.5 x 0) / 2
    np.testing.assert_allclose(resize(array, (1, 1, 3)).ravel(), [16 / 3, 2, 32 / 3], rtol=1e-6)


def test_each_axis_is_resized_along_itself():
    d, h, w = np.meshgrid(*(np.linspace(-1, 1, n) for n in (3, 5, 2)), indexing="ij")
    fine = resize((d + 10 * h + 100 * w).astype(np.float32), (7, 11, 13))
    d, h, w = np.meshgrid(*(np.linspace(-1, 1, n) for n in (7, 11, 13)), indexing="ij")
    np.testing.assert_allclose(fine, d + 10 * h + 100 * w, rtol=1e-5)


def test_up_and_down_on_different_axes_at_once_keeps_a_constant():
    result = resize(np.full((29, 3, 1), 0.7, np.float32), (5, 17, 11))
    assert result.shape == (5, 17, 11)
    np.testing.assert_allclose(result, 0.7, rtol=1e-6)


def test_an_axis_of_one_sample_is_repeated_and_one_asked_for_one_reads_the_middle():
    row = np.array([1, 5, 7], np.float32)
    assert np.array_equal(resize(row.reshape(1, 3, 1), (2, 3, 1)), np.broadcast_to(row.reshape(1, 3, 1), (2, 3, 1)))
    # a triangle of half-width 2 around the middle: (0.5 x 1 + 1 x 5 + 0.5 x 7) / 2
    assert resize(row.reshape(1, 3, 1), (1, 1, 1)).item() == 4.5


@pytest.mark.parametrize("shape", [(7, 11, 5), (37, 41, 43), (13, 41, 5), (1, 2, 3)])
def test_a_binary_mask_never_rings(shape):
    mask = np.random.default_rng(7).random((17, 19, 23)) > 0.5
    result = resize(mask.astype(np.float32), shape)
    assert result.min() >= 0
    assert result.max() <= 1 + 1e-6


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("offset", range(4))
def test_a_vessel_one_voxel_thick_does_not_vanish_between_the_samples_of_a_coarser_grid(axis, offset):
    line = np.zeros((41, 41, 41), np.float32)
    place: list[int | slice] = [18 + offset, 19 + offset, 17 + offset]
    place[axis] = slice(None)
    line[tuple(place)] = 1
    shape = [11, 11, 11]
    shape[axis] = 7
    coarse = resize(line, shape)
    others = tuple(other for other in range(3) if other != axis)
    # Worst case: half a cell of 4 away from two samples on both axes, weight 0.5 / 4 on each.
    assert coarse.max(axis=others).min() >= (0.5 / 4) ** 2 - 1e-6
    # What is spread is neither lost nor made: every coarse slice still holds one voxel in cells of 4 x 4.
    np.testing.assert_allclose(coarse.sum(axis=others) * 16, 1, rtol=1e-5)


def test_a_mask_enlarged_and_read_at_its_old_places_is_unchanged():
    mask = np.random.default_rng(11).random((5, 7, 3)) > 0.5
    fine = resize(mask.astype(np.float32), (9, 19, 7))
    assert np.array_equal(fine[::2, ::3, ::3] > 0.5, mask)
