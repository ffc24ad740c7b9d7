"""The box of a mask in the world: exact in every frame, voxels whole."""

from __future__ import annotations

import itertools

import numpy as np

from custom.volumes.extent import box_mm


def test_a_single_voxel_reaches_half_an_edge_to_either_side() -> None:
    mask = np.zeros((3, 5, 7), bool)
    mask[1, 3, 2] = True
    affine = np.asarray([[0, -2.0, 0, 5], [1, 0, 0, 7], [0, 0, 3, 11], [0, 0, 0, 1]])
    found = box_mm(mask, affine)
    assert found is not None and found.tolist() == [[-2, 7.5, 15.5], [0, 8.5, 18.5]]


def test_on_an_oblique_grid_it_holds_every_corner_of_every_voxel_and_no_more() -> None:
    rng = np.random.default_rng(0)
    mask, affine = rng.random((7, 11, 5)) < 0.02, np.eye(4)
    affine[:3] = rng.normal(size=(3, 4))
    steps = np.asarray(list(itertools.product((-0.5, 0.5), repeat=3)))
    corners = (np.argwhere(mask)[:, None] + steps).reshape(-1, 3) @ affine[:3, :3].T + affine[:3, 3]
    found = box_mm(mask, affine)
    assert found is not None and np.allclose(found, [corners.min(axis=0), corners.max(axis=0)])


def test_nothing_has_no_box() -> None:
    assert box_mm(np.zeros((3, 5, 7), bool), np.eye(4)) is None
