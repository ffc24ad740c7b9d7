"""Grids from coarse to fine are the grids of every voxel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from custom.models.vecset.evaluate_distance_grid import distances_on_grid, labels_of, labels_on_grid

SHAPE = (29, 23, 37)
TO_FRAME = torch.tensor([[0.05, 0.0, 0.0, -0.7], [0.0, 0.0, 0.05, -0.8], [0.0, 0.06, 0.0, -0.6]])
"""Axes swapped, another spacing along each."""


def spheres(points: Tensor) -> Tensor:
    """Two that touch, and a thin shell."""
    centres = torch.tensor([[-0.2, 0.1, 0.0], [0.3, 0.1, 0.0]])
    two = (points.T[:, None] - centres).norm(dim=2).T - torch.tensor([[0.25], [0.25]])
    shell = (points.norm(dim=0) - 0.55).abs() - 0.02
    return torch.cat([two, shell[None]])


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 8])
def test_every_stride_gives_the_labels_of_every_voxel(stride: int) -> None:
    wanted = labels_of(distances_on_grid(spheres, TO_FRAME, SHAPE).flatten(1)).reshape(SHAPE)
    found = labels_on_grid(spheres, TO_FRAME, SHAPE, stride, chunk=1000)
    assert set(wanted.unique().tolist()) == {0, 1, 2, 3}
    assert torch.equal(found, wanted)


def test_voxel_positions_go_by_the_matrix() -> None:
    answers = distances_on_grid(lambda points: points, TO_FRAME, SHAPE)
    found = answers[:, 3, 5, 7]
    assert torch.allclose(found, torch.tensor([0.15 - 0.7, 0.35 - 0.8, 0.3 - 0.6]), atol=1e-6)


def test_a_coarse_pass_asks_a_fraction() -> None:
    asked = []

    def counting(points: Tensor) -> Tensor:
        asked.append(points.shape[1])
        return spheres(points)[:2]

    labels_on_grid(counting, TO_FRAME, SHAPE, 4)
    assert sum(asked) < 0.6 * 29 * 23 * 37


def test_nothing_is_beyond_the_frame_even_where_the_field_says_so() -> None:
    def full(points: Tensor) -> Tensor:
        return torch.full((1, points.shape[1]), -1.0)

    far = TO_FRAME.clone()
    far[0, 3] = 0.52
    found = labels_on_grid(full, far, (13, 5, 7), 2)
    assert found[:9].eq(1).all() and found[10:].eq(0).all()
    far[0, 3] = 7.0
    assert labels_on_grid(full, far, (13, 5, 7), 4).eq(0).all()


def test_one_voxel_is_a_grid() -> None:
    middle = torch.tensor([[0.1, 0, 0, -0.2], [0, 0.1, 0, 0.1], [0, 0, 0.1, 0]])
    assert labels_on_grid(spheres, middle, (1, 1, 1), 4).tolist() == [[[1]]]
