"""Counting pieces."""

from __future__ import annotations

import numpy as np

from custom.metrics.topology import component_count


def test_voxels_that_share_only_a_corner_are_one_component() -> None:
    mask = np.zeros((3, 5, 7), dtype=bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert component_count(mask) == 1


def test_voxels_two_steps_apart_are_two_components() -> None:
    mask = np.zeros((3, 5, 7), dtype=bool)
    mask[0, 0, 0] = mask[0, 0, 2] = True
    assert component_count(mask) == 2


def test_opposite_borders_are_not_joined() -> None:
    mask = np.zeros((3, 5, 7), dtype=bool)
    mask[:, :, 0] = mask[:, :, -1] = True
    assert component_count(mask) == 2


def test_empty_has_no_component_full_and_one_voxel_have_one() -> None:
    one = np.zeros((3, 5, 7), dtype=bool)
    assert component_count(one) == 0
    one[2, 4, 6] = True
    assert component_count(one) == 1
    assert component_count(np.ones((3, 5, 7), dtype=bool)) == 1


def test_a_mask_seen_through_a_strided_view_is_counted_as_it_looks() -> None:
    mask = np.zeros((3, 5, 7), dtype=bool)
    mask[0, 0, 0] = mask[0, 0, 2] = True
    assert component_count(mask[:, :, ::2]) == 1
