"""Farthest-point sampling is exact, and the order of the points is of no matter."""

from __future__ import annotations

import numpy as np
import torch

from custom.models.vecset.farthest_points import farthest_points


def brute(points: np.ndarray, count: int) -> list[int]:
    """By the definition, with every distance to every chosen point at every step."""
    chosen = [int((points**2).sum(axis=1).argmax())]
    while len(chosen) < count:
        away = [min(float(((point - points[one]) ** 2).sum()) for one in chosen) for point in points]
        chosen.append(int(np.argmax(away)))
    return chosen


def everywhere(points: torch.Tensor) -> torch.Tensor:
    return torch.ones(points.shape[:2], dtype=torch.bool)


def test_it_is_the_greedy_choice_by_brute_force() -> None:
    points = torch.randn(3, 101, 3)
    found = farthest_points(points, 17, everywhere(points))
    assert found.tolist() == [brute(row.double().numpy(), 17) for row in points]


def test_on_a_line_the_ends_come_first_and_then_the_middle() -> None:
    points = torch.tensor([[[0.1, 0, 0], [1.0, 0, 0], [2.4, 0, 0], [3.4, 0, 0], [5.0, 0, 0]]])
    assert farthest_points(points, 3, everywhere(points)).tolist() == [[4, 0, 2]]


def test_another_order_chooses_the_same_points() -> None:
    points, order = torch.randn(1, 103, 3), torch.randperm(103)
    one = farthest_points(points, 13, everywhere(points))[0]
    other = farthest_points(points[:, order], 13, everywhere(points))[0]
    assert torch.equal(points[0, one], points[0, order][other])


def test_only_what_is_allowed_is_chosen() -> None:
    points = torch.randn(2, 53, 3)
    allowed = torch.zeros(2, 53, dtype=torch.bool)
    allowed[0, :7] = allowed[1, 40:] = True
    first, second = farthest_points(points, 7, allowed).tolist()
    assert sorted(first) == list(range(7))
    assert min(second) >= 40 and len(set(second)) == 7


def test_more_than_there_are_repeats_and_none_of_none_is_the_first() -> None:
    points = torch.randn(1, 3, 3)
    assert set(farthest_points(points, 11, everywhere(points))[0].tolist()) == {0, 1, 2}
    assert farthest_points(points, 0, everywhere(points)).shape == (1, 0)
    assert farthest_points(points, 2, ~everywhere(points)).tolist() == [[0, 0]]


def test_no_part_of_the_cloud_is_as_far_from_the_choice_as_from_a_random_one() -> None:
    points = torch.randn(1, 1009, 3)
    chosen = points[0, farthest_points(points, 64, everywhere(points))[0]]
    by_chance = points[0, torch.randperm(1009)[:64]]
    radius = [float(torch.cdist(points[0], some).amin(dim=1).max()) for some in (chosen, by_chance)]
    assert radius[0] < 0.6 * radius[1]
