"""Gaps, ends and tubes by hand."""

from __future__ import annotations

import numpy as np

from custom.volumes.components import count
from custom.volumes.vessel_gaps import fragment_end, gaps_between, tube

SPACING = np.array([1.0, 1.5, 2.0])


def test_gaps_come_the_shortest_first_and_only_within_reach() -> None:
    places = {1: np.array([[0.0, 0, 0]]), 2: np.array([[3.0, 0, 0], [9.0, 0, 0]]), 3: np.array([[14.0, 0, 0]])}
    gaps = gaps_between(places, reach_mm=5.0, loose={1, 2, 3})
    assert [(gap.one, gap.other, gap.length_mm) for gap in gaps] == [(1, 2, 3.0), (2, 3, 5.0)]
    assert len(gaps_between(places, reach_mm=4.9, loose={1, 2, 3})) == 1
    np.testing.assert_array_equal(gaps[0].other_tip_mm, [3.0, 0, 0])


def test_two_pieces_that_are_both_fixed_have_no_gap() -> None:
    places = {1: np.array([[0.0, 0, 0]]), 2: np.array([[3.0, 0, 0]])}
    assert gaps_between(places, 5.0, loose=set()) == []
    assert len(gaps_between(places, 5.0, loose={2})) == 1


def test_the_radius_of_an_end_is_that_of_a_round_tube_of_its_volume() -> None:
    i, j, k = (axis.ravel() for axis in np.indices((12, 6, 6)))
    places = np.stack([i, j, k], axis=1)[np.hypot(j - 2.5, k - 2.5) <= 2.3].astype(float)
    end = fragment_end(places, np.array([0.0, 2.5, 2.5]), np.ones(3))
    area = len(places) / 12
    assert abs(end.radius_mm - 0.2 - np.sqrt(area / np.pi)) < 0.3
    np.testing.assert_allclose(end.middle_mm[1:], [2.5, 2.5])


def test_an_end_of_few_voxels_is_half_a_diagonal_wide() -> None:
    end = fragment_end(np.array([[2.0, 3.0, 4.0]]), np.array([2.0, 3.0, 4.0]), SPACING)
    assert end.radius_mm == np.linalg.norm(SPACING) / 2
    np.testing.assert_array_equal(end.middle_mm, [2.0, 3.0, 4.0])


def test_a_tube_tapers_from_one_radius_to_the_other() -> None:
    course = np.array([[5.0, 8.0, 8.0], [25.0, 8.0, 8.0]])
    filled = tube((31, 17, 17), np.ones(3), course, 4.0, 2.0)
    widths = filled[:, :, 8].sum(axis=1)
    assert widths[5] == 9 and widths[15] == 7 and widths[25] == 5
    assert filled[1:30].any(axis=(1, 2)).sum() == filled.any(axis=(1, 2)).sum()


def test_a_tube_has_its_radius_in_mm_and_is_cut_at_the_edge() -> None:
    course = np.array([[0.0, 9.0, 12.0], [10.0, 9.0, 12.0]])
    filled = tube((11, 13, 11), SPACING, course, 3.0, 3.0)
    assert filled[5, :, 6].sum() == 5  # 3 mm each way at 1.5 mm a voxel
    assert filled[5, 6, :].sum() == 3  # 3 mm each way at 2 mm a voxel
    assert not tube((11, 13, 11), SPACING, course + 100.0, 3.0, 3.0).any()


def test_a_thin_tube_is_never_broken() -> None:
    course = np.array([[1.0, 1.5, 2.0], [9.3, 16.1, 17.7]])
    filled = tube((11, 13, 11), SPACING, course, 0.1, 0.1)
    assert count(filled) == 1
    assert filled[1, 1, 1]
