"""Smoothing along a vessel takes off bumps and fills dents, and keeps width, course and volume."""

from __future__ import annotations

import numpy as np
import pytest

from custom.volumes.vessel_smoothing import smooth_along

SPACING_MM = (1.0, 1.0, 1.0)


def rod(width: int = 3) -> np.ndarray:
    mask = np.zeros((37, 13, 11), dtype=bool)
    mask[4:33, 5 : 5 + width, 4 : 4 + width] = True
    return mask


def test_a_bump_goes_and_a_dent_is_filled() -> None:
    clean = rod()
    bumpy = clean.copy()
    bumpy[17, 8, 5] = True  # on the surface
    bumpy[22, 5, 5] = False  # in the surface
    np.testing.assert_array_equal(smooth_along(bumpy, SPACING_MM, 2.0), clean)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_straight_vessel_keeps_its_width(width: int) -> None:
    clean = rod(width)
    smooth = smooth_along(clean, SPACING_MM, 2.0)
    np.testing.assert_array_equal(smooth[8:29], clean[8:29])


def test_a_curved_vessel_stays_where_it_is() -> None:
    i, j, k = np.indices((41, 43, 11))
    ring = np.hypot(np.hypot(i - 20, j - 21) - 15, k - 5) <= 1.8
    smooth = smooth_along(ring, SPACING_MM, 1.5)
    assert 2 * (ring & smooth).sum() / (ring.sum() + smooth.sum()) > 0.97
    assert abs(int(smooth.sum()) - int(ring.sum())) <= 8


def test_the_course_is_read_in_mm() -> None:
    clean = rod()
    bumpy = clean.copy()
    bumpy[17, 8, 5] = True
    spacing_mm = (0.5, 1.0, 2.0)
    np.testing.assert_array_equal(smooth_along(bumpy, spacing_mm, 2.0)[9:28], clean[9:28])


@pytest.mark.parametrize("filling", [0, 1])
def test_empty_and_full_stay(filling: int) -> None:
    mask = np.full((5, 7, 11), filling, dtype=np.uint8)
    np.testing.assert_array_equal(smooth_along(mask, SPACING_MM, 2.0), mask > 0)


def test_one_voxel_stays_one_voxel_at_the_border() -> None:
    mask = np.zeros((5, 7, 11), dtype=bool)
    mask[0, 3, 10] = True
    np.testing.assert_array_equal(smooth_along(mask, SPACING_MM, 2.0), mask)


def test_no_smoothing_gives_the_mask() -> None:
    np.testing.assert_array_equal(smooth_along(rod(), SPACING_MM, 0.0), rod())
