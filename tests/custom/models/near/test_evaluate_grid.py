"""A field on a whole grid: the labels of asking everywhere, for a part of the questions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from custom.models.near import evaluate_grid
from custom.models.near.evaluate_grid import (
    coarse_positions,
    evaluate,
    evaluate_everywhere,
    evaluate_points,
    points_of,
    spread,
    unit_axes,
)
from custom.models.near.near_field import NearField

SHAPE = (41, 53, 47)
STRIDES = pytest.mark.parametrize("stride", [2, 3, 4, 5])


def half_extent(shape: tuple[int, int, int]) -> Tensor:
    """Voxels from the middle of the cube to its ends, along x, y, z."""
    return (torch.tensor(shape[::-1], dtype=torch.float32) - 1) / 2


def ball(radius: float, steepness: float, shape: tuple[int, int, int] = SHAPE) -> Callable[[Tensor], Tensor]:
    """Logits that fall by ``steepness`` per voxel away from the surface."""
    return lambda points: steepness * (radius - (points * half_extent(shape) - 1.3).norm(dim=1))


def tube(centre: tuple[float, ...], direction: tuple[float, ...], steepness: float) -> Callable[[Tensor], Tensor]:
    """An endless tube 1.5 voxels in diameter; ``centre`` in voxels from the middle of the cube, (x, y, z)."""
    along = torch.tensor(direction) / torch.tensor(direction).norm()

    def logits(points: Tensor) -> Tensor:
        away = points * half_extent(SHAPE) - torch.tensor(centre)
        return steepness * (0.75 - (away - (away @ along)[:, None] * along).norm(dim=1))

    return logits


def counted(answer: Callable[[Tensor], Tensor]) -> tuple[Callable[[Tensor], Tensor], list[int]]:
    asked: list[int] = []

    def counting(points: Tensor) -> Tensor:
        asked.append(len(points))
        return answer(points)

    return counting, asked


def test_a_grid_spans_the_cube_and_one_sample_lies_in_the_middle():
    z, y, x = unit_axes((1, 2, 5))
    assert (z.tolist(), y.tolist(), x.tolist()) == ([0.0], [-1.0, 1.0], [-1.0, -0.5, 0.0, 0.5, 1.0])


def test_a_flat_position_counts_x_fastest_and_gives_x_y_z():
    axes = (torch.tensor([10.0, 11.0]), torch.tensor([20.0, 21.0, 22.0]), torch.arange(30.0, 35.0))
    # 23 = 1 x 15 + 1 x 5 + 3
    assert points_of(axes, torch.tensor([0, 4, 5, 23])).tolist() == [
        [30.0, 20.0, 10.0],
        [34.0, 20.0, 10.0],
        [30.0, 21.0, 10.0],
        [33.0, 21.0, 11.0],
    ]


def test_everywhere_means_every_point_in_its_place():
    logits = evaluate_everywhere(lambda p: p @ torch.tensor([1.0, 10.0, 100.0]), unit_axes((2, 3, 5)), chunk=7)
    z, y, x = torch.meshgrid(*unit_axes((2, 3, 5)), indexing="ij")
    torch.testing.assert_close(logits, x + 10 * y + 100 * z)


def test_every_call_asks_the_same_number_of_points():
    answer, asked = counted(lambda points: points[:, 0])
    evaluate_everywhere(answer, unit_axes((3, 5, 7)), chunk=50)
    assert asked == [50, 50, 50]


@pytest.mark.parametrize("code_side", [0, 5])
def test_a_point_asked_alone_has_the_same_bits_as_in_a_crowd(code_side):
    channels = (8, 4) if code_side else (16, 8, 8, 8)
    field = NearField(2, channels, 8, code_side, widths=(96, 80, 48, 24)).eval().asked(1)
    axes = unit_axes((11, 13, 17))
    crowd = evaluate_everywhere(field, axes, chunk=1000).reshape(-1)
    for flat in (0, 999, 1000, 1234, 2430):
        with torch.no_grad():
            assert torch.equal(evaluate_points(field, axes, torch.tensor([flat]), 1000), crowd[flat : flat + 1])
    some = torch.arange(5, 2431, 7)
    with torch.no_grad():
        assert torch.equal(evaluate_points(field, axes, some, 1000), crowd[some])


@STRIDES
@pytest.mark.parametrize("steepness", [0.5, 2.0, 20.0])
def test_a_ball_has_the_labels_of_asking_everywhere(stride, steepness):
    axes, field = unit_axes(SHAPE), ball(13.0, steepness)
    sparse, full = evaluate(field, axes, stride), evaluate_everywhere(field, axes)
    assert 8000 < (full > 0).sum() < 10000
    assert torch.equal(sparse > 0, full > 0)


@STRIDES
@pytest.mark.parametrize("steepness", [1.0, 8.0])
@pytest.mark.parametrize("direction", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 2.0, 3.0)])
def test_a_tube_thinner_than_the_coarse_grid_is_found_however_steep(stride, steepness, direction):
    axes = unit_axes(SHAPE)
    # through coarse samples, and as far as possible from them: x, y, z reach from -23, -26, -20
    for centre in ((0.0, 0.0, 0.0), (-23 + 10.5, -26 + 10.5, -20 + 10.5), (-23 + 14.0, -26 + 14.0, -20 + 14.0)):
        field = tube(centre, direction, steepness)
        full = evaluate_everywhere(field, axes) > 0
        assert full.any()
        assert torch.equal(evaluate(field, axes, stride) > 0, full)


@STRIDES
def test_what_is_asked_has_the_bits_of_asking_everywhere_and_all_of_the_surface_is_asked(stride):
    axes = unit_axes(SHAPE)
    field = NearField(1, (16, 8, 8, 8), latent_size=8, widths=(32, 32, 16, 8)).eval().asked(0)
    rounded = ball(13.0, 2.0)

    def bumpy(points: Tensor) -> Tensor:
        return rounded(points) + field(points)

    sparse, full = evaluate(bumpy, axes, stride), evaluate_everywhere(bumpy, axes)
    doubtful = full.abs() < float(torch.logit(torch.tensor(0.98)))
    assert 2000 < doubtful.sum() < 20000
    assert torch.equal(sparse[doubtful], full[doubtful])


def test_far_from_the_surface_nothing_is_asked_and_little_is_lost():
    shape = (83, 89, 79)
    answer, asked = counted(ball(15.0, 2.0, shape))
    sparse = evaluate(answer, unit_axes(shape), stride=4, chunk=256)
    assert sum(asked) < 0.3 * sparse.numel()
    full = evaluate_everywhere(ball(15.0, 2.0, shape), unit_axes(shape))
    assert (sparse != full).float().mean() > 0.6
    # of a cone's rounding between samples 4 voxels apart
    assert (sparse - full).abs().max() < 2.0


@pytest.mark.parametrize("shape", [(1, 53, 47), (41, 1, 47), (41, 53, 1), (8, 53, 47), (3, 97, 5), (1, 1, 1)])
def test_an_axis_of_few_samples_is_asked_everywhere(shape):
    field = ball(0.4 * max(shape), 3.0, shape)
    axes = unit_axes(shape)
    assert torch.equal(evaluate(field, axes, stride=4), evaluate_everywhere(field, axes))


@pytest.mark.parametrize("shape", [(9, 101, 37), (13, 9, 11), (101, 9, 10)])
def test_lopsided_grids_keep_their_labels(shape):
    field, axes = ball(0.3 * min(shape), 3.0, shape), unit_axes(shape)
    full = evaluate_everywhere(field, axes) > 0
    assert full.any()
    assert torch.equal(evaluate(field, axes, stride=4) > 0, full)


@pytest.mark.parametrize("value", [-5.0, 5.0])
def test_an_empty_and_a_full_field_cost_the_coarse_grid_only(value):
    answer, asked = counted(lambda points: torch.full((len(points),), value))
    logits = evaluate(answer, unit_axes((21, 25, 29)), stride=4, chunk=16)
    assert (logits == value).all()
    # 6 x 7 x 8 coarse samples
    assert sum(asked) == 336


def test_a_stride_of_one_asks_everywhere():
    field, axes = ball(13.0, 2.0), unit_axes(SHAPE)
    assert torch.equal(evaluate(field, axes, stride=1), evaluate_everywhere(field, axes))


def test_coarse_positions_are_at_most_a_stride_apart_and_alike_from_either_end():
    assert coarse_positions(11, 5).tolist() == [0, 5, 10]
    assert coarse_positions(12, 5).tolist() == [0, 4, 7, 11]
    assert coarse_positions(10, 4).tolist() == [0, 3, 6, 9]
    for stride in range(2, 9):
        for count in range(2 * stride + 1, 90):
            picks = coarse_positions(count, stride)
            assert picks[0] == 0 and torch.equal(count - 1 - picks.flip(0), picks), (count, stride)
            assert picks.diff().min() >= 1 and picks.diff().max() <= stride, (count, stride)


def test_between_coarse_samples_the_logits_are_linear_even_in_cells_that_are_shorter():
    picks = [coarse_positions(n, 4) for n in (10, 9, 12)]
    d, h, w = torch.meshgrid(*(torch.arange(float(n)) for n in (10, 9, 12)), indexing="ij")
    linear = d + 10 * h - 100 * w
    coarse = linear[picks[0]][:, picks[1]][:, :, picks[2]]
    torch.testing.assert_close(spread(coarse, picks, (10, 9, 12)), linear)


def test_a_doubtful_sample_has_its_cells_and_the_cells_around_them_asked():
    coarse = torch.full((7, 7, 7), -10.0)
    coarse[3, 3, 3] = -3.0  # probability 0.047, above the guard of 0.02
    doubt = evaluate_grid.doubtful(coarse, 0.02)
    assert torch.equal(torch.nonzero(doubt).amin(0), torch.tensor([2, 2, 2]))
    assert doubt.sum() == 27
    picks = [coarse_positions(25, 4)] * 3
    asked = evaluate_grid.fine_mask(doubt, picks, (25, 25, 25))
    # coarse samples 2 .. 4 lie at 8 .. 16; the cells they bound start at 4 and end at 20
    assert asked.sum() == 17**3
    assert asked[4:21, 4:21, 4:21].all()


def test_a_sample_is_doubtful_if_zero_may_lie_between_it_and_its_neighbours():
    coarse = torch.full((9, 9, 9), -30.0)
    assert not evaluate_grid.doubtful(coarse, 0.02).any()
    coarse[4, 4, 4] = -9.0  # falls by 21 to its neighbours: half of that exceeds 9
    assert evaluate_grid.doubtful(coarse, 0.02).sum() == 27
    coarse[4, 4, 4] = -11.0  # falls by 19: half of that does not reach 11
    assert not evaluate_grid.doubtful(coarse, 0.02).any()
