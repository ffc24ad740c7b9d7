"""How deep completed voxels lie: worked by hand on two half spaces, whose distances are exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from custom.completion.confidence_map import LENGTH_MM, confidence_map, confidence_of, depths

SCALE_MM, SHAPE = 10.0, (11, 2, 3)
TO_FRAME = np.asarray([[0.1, 0, 0, -0.5], [0, 0.1, 0, 0], [0, 0, 0.1, 0]])  # voxels of 1 mm, i = 5 at x = 0
LEFT, RIGHT = 3, 9


def halves(points: Tensor) -> Tensor:
    """The left half of space, up to x = 0, and the part of the right one up to x = 0.4."""
    x = points[0]
    return torch.stack([x, torch.maximum(-x, x - 0.4)])


def labels() -> np.ndarray:
    found = np.zeros(SHAPE, np.uint8)
    found[:5], found[6:9] = LEFT, RIGHT
    return found


def test_the_depth_is_the_way_to_the_nearest_border_of_either_kind() -> None:
    distances = torch.tensor([[-4.0, -4.0, -1.0, 0.5], [7.0, -2.0, 3.0, 0.7]])
    assert depths(distances, torch.tensor([0, 0, 0, 0])).tolist() == [4.0, 1.0, 1.0, 0.0]
    assert depths(distances, torch.tensor([1, 1, 1, 1])).tolist() == [0.0, 0.0, 0.0, 0.0]


def test_one_structure_alone_has_background_about_it() -> None:
    assert depths(torch.tensor([[-3.0, 2.0]]), torch.tensor([0, 0])).tolist() == [3.0, 0.0]


def test_confidence_is_0_at_a_border_and_rises_towards_1() -> None:
    found = confidence_of(np.asarray([0, LENGTH_MM, 3 * LENGTH_MM, 1000], np.float32))
    assert found == pytest.approx([0, 0.632, 0.950, 1], abs=1e-3)
    assert (np.diff(found) > 0).all()


def test_each_completed_voxel_has_its_own_and_the_others_have_none() -> None:
    completed = labels() == RIGHT
    completed[0, 1, 2] = True  # of the other structure a single voxel
    found = confidence_map(halves, TO_FRAME, labels(), completed, [LEFT, RIGHT], SCALE_MM)
    assert found.dtype == np.float32 and not found[~completed].any()
    wanted_mm = [1.0, 2.0, 1.0]  # x = 0.1, 0.2, 0.3 between 0 and 0.4
    for across in np.ndindex(SHAPE[1:]):
        assert found[6:9][(slice(None), *across)] == pytest.approx(
            1 - np.exp(np.divide(wanted_mm, -LENGTH_MM)), rel=1e-5
        )
    assert found[0, 1, 2] == pytest.approx(1 - np.exp(-5 / LENGTH_MM), rel=1e-5)


def test_the_order_of_the_answers_is_that_of_the_indices() -> None:
    swapped = confidence_map(lambda p: halves(p).flip(0), TO_FRAME, labels(), labels() > 0, [RIGHT, LEFT], SCALE_MM)
    straight = confidence_map(halves, TO_FRAME, labels(), labels() > 0, [LEFT, RIGHT], SCALE_MM)
    assert (swapped == straight).all() and straight.any()


def test_where_nothing_was_completed_nothing_is_asked() -> None:
    def never(points: Tensor) -> Tensor:
        raise AssertionError

    found = confidence_map(never, TO_FRAME, labels(), np.zeros(SHAPE, bool), [LEFT, RIGHT], SCALE_MM)
    assert found.shape == SHAPE and not found.any()
