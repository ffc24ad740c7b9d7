"""Implicit solids: signs, distances and blends worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from custom.phantoms.implicit_solids import (
    FAR_MM,
    curve,
    ellipsoid,
    half_space,
    intersection,
    outside,
    relax,
    roughened,
    tube,
    union,
)


def test_an_ellipsoid_is_zero_on_its_surface_and_counts_mm_along_its_axes() -> None:
    field = ellipsoid((1.0, 0, 0), (2.0, 5, 7))
    values = field(np.array([[3.0, 0, 0], [1, 5, 0], [1, 0, 9], [1, 4, 0], [-4, 0, 0]]))
    np.testing.assert_allclose(values, [0, 0, 2, -1, 3], atol=1e-9)


def test_an_ellipsoid_turns_with_its_axes() -> None:
    turned = ellipsoid((0.0, 0, 0), (2.0, 5, 7), np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]]))
    np.testing.assert_allclose(turned(np.array([[5.0, 0, 0], [0, 2, 0]])), [0, 0], atol=1e-9)


def test_far_from_a_solid_the_field_is_not_asked() -> None:
    assert ellipsoid((0.0, 0, 0), (2.0, 2, 2))(np.array([[40.0, 0, 0]])).tolist() == [FAR_MM]
    assert tube(curve([(0, 0, 0), (10, 0, 0)]), (1.0, 1))(np.array([[40.0, 0, 0]])).tolist() == [FAR_MM]


def test_a_curve_passes_its_waypoints_in_steps_of_the_length_asked() -> None:
    path = curve([(0, 0, 0), (10, 0, 0), (10, 10, 0)], step_mm=0.5)
    for knot in ((0, 0, 0), (10, 0, 0), (10, 10, 0)):
        assert np.linalg.norm(path - knot, axis=1).min() < 0.3
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() < 1.0


def test_a_tube_tapers_from_its_first_to_its_last_radius() -> None:
    field = tube(curve([(0, 0, 0), (20, 0, 0)], step_mm=0.1), (4.0, 2))
    np.testing.assert_allclose(field(np.array([[0.0, 5, 0], [20, 5, 0], [10, 0, 0]])), [1, 3, -3], atol=0.05)


def test_a_half_space_is_behind_its_plane() -> None:
    np.testing.assert_allclose(half_space((0, 0, 2), (0, 0, 9))(np.array([[7.0, 7, 5], [0, 0, -1]])), [3, -3])


def test_union_intersection_and_outside_are_the_set_operations() -> None:
    left, right = half_space((0, 0, 0), (1, 0, 0)), half_space((0, 0, 0), (0, 1, 0))
    points = np.array([[-1.0, 2, 0], [-1, -2, 0], [1, 2, 0]])
    assert (union(left, right)(points) < 0).tolist() == [True, True, False]
    assert (intersection(left, right)(points) < 0).tolist() == [False, True, False]
    assert (outside(left)(points) < 0).tolist() == [False, False, True]


def test_a_blend_fills_a_crease_by_a_quarter_of_its_width_and_leaves_the_rest() -> None:
    left, right = half_space((0, 0, 0), (1, 0, 0)), half_space((0, 0, 0), (0, 1, 0))
    blended = union(left, right, blend_mm=4)(np.array([[0.0, 0, 0], [-3, 5, 0]]))
    np.testing.assert_allclose(blended, [-1, -3])
    np.testing.assert_allclose(intersection(left, right, blend_mm=4)(np.zeros((1, 3))), [1])


def test_roughness_stays_within_twice_its_amplitude_and_is_there() -> None:
    ball = ellipsoid((0.0, 0, 0), (10.0, 10, 10))
    rough = roughened(ball, np.random.default_rng(3), 0.5, (5, 9))
    points = np.random.default_rng(4).uniform(-9, 9, (500, 3))
    change = np.abs(rough(points) - ball(points))
    assert 0.2 < change.max() <= 1.0


@pytest.mark.parametrize("height_mm", [0.0, 1.5])
def test_a_settled_path_lies_at_its_height_over_the_surface(height_mm: float) -> None:
    ball = ellipsoid((0.0, 0, 0), (20.0, 20, 20))
    path = curve([(26, 0, 0), (12, 12, 0), (0, 18, 0)])
    heights_mm = np.linalg.norm(relax(path, ball, height_mm), axis=1) - 20
    np.testing.assert_allclose(heights_mm, height_mm, atol=0.1)
