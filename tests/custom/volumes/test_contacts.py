"""What touches what: by hand on a few voxels, beside a plain twin on speckle."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from custom.volumes.contacts import contact_distance_mm, touches

SHAPE = (7, 11, 13)
SPACING_MM = (3.0, 2.0, 1.0)
MIDDLE = (3, 5, 6)


def mask(*voxels: tuple[int, int, int]) -> np.ndarray:
    found = np.zeros(SHAPE, dtype=bool)
    for voxel in voxels:
        found[voxel] = True
    return found


def off(i: int, j: int, k: int) -> np.ndarray:
    """One voxel so many steps from the middle."""
    return mask((MIDDLE[0] + i, MIDDLE[1] + j, MIDDLE[2] + k))


def twin(one: np.ndarray, other: np.ndarray, spacing_mm: tuple[float, ...]) -> tuple[float, bool]:
    """The plain way: every voxel against every other; the least distance, and whether any two are neighbours."""
    own, others = np.argwhere(one), np.argwhere(other)
    apart_mm = cdist(own * np.array(spacing_mm), others * np.array(spacing_mm)).min()
    return float(apart_mm), bool(cdist(own, others, "chebyshev").min() <= 1)


NEIGHBOURS = [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1) if (i, j, k) != (0, 0, 0)]


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), SPACING_MM, (0.4, 0.4, 5.0)])
def test_voxels_that_share_a_face_an_edge_or_a_corner_touch_whatever_the_spacing(spacing_mm) -> None:
    assert [step for step in NEIGHBOURS if not touches(off(0, 0, 0), off(*step), spacing_mm)] == []
    assert len(NEIGHBOURS) == 26


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), SPACING_MM, (0.4, 0.4, 5.0)])
@pytest.mark.parametrize("step", [(2, 0, 0), (0, 2, 0), (0, 0, 2), (1, 1, 2), (-2, 1, 0)])
def test_a_voxel_in_between_parts_them_whatever_the_spacing(step, spacing_mm) -> None:
    # at (3, 2, 1) mm two steps along k are 2 mm, less than a voxel's diagonal of 3.7 mm: no contact all the same
    assert not touches(off(0, 0, 0), off(*step), spacing_mm)


def test_within_contact_mm_they_touch_the_limit_included() -> None:
    assert touches(off(0, 0, 0), off(0, 0, 3), SPACING_MM, contact_mm=3.0)
    assert not touches(off(0, 0, 0), off(0, 0, 3), SPACING_MM, contact_mm=2.99)
    assert touches(off(0, 0, 0), off(2, 0, 0), SPACING_MM, contact_mm=6.0)
    assert not touches(off(0, 0, 0), off(2, 0, 0), SPACING_MM, contact_mm=5.99)


def test_neighbours_farther_apart_than_contact_mm_touch_all_the_same() -> None:
    assert touches(off(0, 0, 0), off(1, 1, 1), SPACING_MM, contact_mm=1.0)


@pytest.mark.parametrize(("step", "apart_mm"), [((0, 0, 1), 1.0), ((0, 1, 0), 2.0), ((1, 0, 0), 3.0), ((-2, 3, 2), 76)])
def test_the_distance_is_between_nearest_voxel_centres(step, apart_mm) -> None:
    # 2 x 3 mm, 3 x 2 mm, 2 x 1 mm: root of 36 + 36 + 4
    wanted = math.sqrt(76) if apart_mm == 76 else apart_mm
    assert contact_distance_mm(off(0, 0, 0), off(*step), SPACING_MM, 10.0) == pytest.approx(wanted)


def test_a_distance_equal_to_the_limit_is_within_it_and_beyond_it_infinite() -> None:
    one, other = off(0, 0, 0), off(0, 0, 3)
    for step_mm in (0.1, 0.3, 0.7, 1.1):  # three times 0.1 is not 0.3 in floating point
        spacing_mm = (3.0, 2.0, step_mm)
        assert contact_distance_mm(one, other, spacing_mm, 3 * step_mm) == pytest.approx(3 * step_mm)
        assert contact_distance_mm(one, other, spacing_mm, round(3 * step_mm, 1)) == pytest.approx(3 * step_mm)
        assert contact_distance_mm(one, other, spacing_mm, 2.99 * step_mm) == math.inf


def test_no_limit_asks_the_whole_volume() -> None:
    corners = mask((0, 0, 0)), mask((6, 10, 12))
    wanted_mm = math.sqrt(18**2 + 20**2 + 12**2)
    assert contact_distance_mm(*corners, SPACING_MM, math.inf) == pytest.approx(wanted_mm)


def test_the_box_reaches_as_many_voxels_as_the_limit_is_mm_along_each_axis() -> None:
    for step in ((3, 0, 0), (0, 5, 0), (0, 0, 6), (-3, 0, 0), (0, -5, 0), (0, 0, -6)):
        limit_mm = math.sqrt(sum((a * b) ** 2 for a, b in zip(step, SPACING_MM, strict=True)))
        assert contact_distance_mm(off(0, 0, 0), off(*step), SPACING_MM, limit_mm) == pytest.approx(limit_mm)


def test_masks_that_share_a_voxel_are_nought_apart_however_deep_one_lies_in_the_other() -> None:
    block = np.ones(SHAPE, dtype=bool)
    block[0] = False
    for one in (off(0, 0, 0), mask(MIDDLE, (0, 0, 0)), block):
        assert contact_distance_mm(one, block, SPACING_MM, 20.0) == 0.0
        assert contact_distance_mm(block, one, SPACING_MM, 20.0) == 0.0
        assert touches(one, block, SPACING_MM) and touches(block, one, SPACING_MM)


def test_an_empty_mask_touches_nothing_not_even_itself() -> None:
    for pair in ((mask(), off(0, 0, 0)), (off(0, 0, 0), mask()), (mask(), mask())):
        assert not touches(*pair, SPACING_MM, contact_mm=100.0)
        assert contact_distance_mm(*pair, SPACING_MM, 100.0) == math.inf


def test_full_masks_touch() -> None:
    full = np.ones(SHAPE, dtype=bool)
    assert touches(full, full, SPACING_MM)
    assert contact_distance_mm(full, full, SPACING_MM, 0.0) == 0.0


def test_opposite_borders_do_not_touch() -> None:
    for far in ((6, 0, 0), (0, 10, 0), (0, 0, 12)):
        assert not touches(mask((0, 0, 0)), mask(far), SPACING_MM)


def test_any_value_but_nought_is_inside() -> None:
    assert touches(off(0, 0, 0) * np.uint8(7), off(1, 0, 0) * np.float32(0.25), SPACING_MM)


def test_a_target_far_away_does_not_hide_the_near_one() -> None:
    target = mask((0, 0, 0), (3, 5, 8), (6, 10, 12))
    assert contact_distance_mm(off(0, 0, 0), target, SPACING_MM, 5.0) == 2.0


def test_the_masks_are_left_as_they_are() -> None:
    one, other = off(0, 0, 0), off(0, 0, 1)
    touches(one, other, SPACING_MM, contact_mm=4.0)
    assert np.array_equal(one, off(0, 0, 0)) and np.array_equal(other, off(0, 0, 1))


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), SPACING_MM, (0.4, 0.4, 5.0)])
def test_the_answer_is_that_of_asking_every_pair_of_voxels(spacing_mm) -> None:
    noise = np.random.default_rng(11)
    answers = set()
    for _ in range(60):
        labels = noise.integers(0, 40, SHAPE)
        labels[noise.integers(0, 6) :, noise.integers(0, 9) :] = 0  # blobs of speckle in a part of the volume
        one, other = labels == 1, (labels == 2) | (labels == 3)
        if not (one.any() and other.any()):
            continue
        apart_mm, neighbours = twin(one, other, spacing_mm)
        limit_mm = float(noise.uniform(0.2, 9.0))
        within = apart_mm <= limit_mm
        found_mm = contact_distance_mm(one, other, spacing_mm, limit_mm)
        assert found_mm == (pytest.approx(apart_mm) if within else math.inf)
        assert contact_distance_mm(other, one, spacing_mm, limit_mm) == found_mm
        assert touches(one, other, spacing_mm) == touches(other, one, spacing_mm) == neighbours
        assert touches(one, other, spacing_mm, limit_mm) == (neighbours or within)
        answers.add((neighbours, within))
    assert len(answers) >= 3


def test_solid_bodies_are_as_far_apart_as_every_pair_of_their_voxels() -> None:
    at = np.indices(SHAPE)
    ball = sum((at[axis] - (2, 3, 3)[axis]) ** 2 for axis in range(3)) <= 5
    other = sum((at[axis] - (5, 8, 10)[axis]) ** 2 for axis in range(3)) <= 6
    assert contact_distance_mm(ball, other, SPACING_MM, 50.0) == pytest.approx(twin(ball, other, SPACING_MM)[0])
