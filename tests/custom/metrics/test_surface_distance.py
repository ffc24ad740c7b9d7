"""Surface distances: by hand on a few voxels, beside a plain twin on more."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from custom.metrics.surface_distance import SurfaceScore, diagonal_mm, surface_scores

SHAPE = (5, 7, 11)
SPACING_MM = (3.0, 2.0, 1.0)


def mask(*voxels: tuple[int, int, int]) -> np.ndarray:
    found = np.zeros(SHAPE, dtype=bool)
    for voxel in voxels:
        found[voxel] = True
    return found


def twin(prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...], tolerance_mm: float) -> list:
    """The plain way: full-volume distance transforms to surfaces found by shifting."""

    def surface(found: np.ndarray) -> np.ndarray:
        padded = np.pad(found, 1)
        inner = padded.copy()
        for axis in range(3):
            inner &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
        return (padded & ~inner)[1:-1, 1:-1, 1:-1]

    one, other = surface(prediction), surface(reference)
    there = ndimage.distance_transform_edt(~other, sampling=spacing_mm)[one]
    back = ndimage.distance_transform_edt(~one, sampling=spacing_mm)[other]
    both = np.concatenate([there, back])
    hd95_mm = max(np.percentile(there, 95), np.percentile(back, 95))
    return [hd95_mm, both.mean(), (both <= tolerance_mm + 1e-6).mean()]


@pytest.mark.parametrize(("voxel", "apart_mm"), [((3, 1, 1), 6.0), ((1, 3, 1), 4.0), ((1, 1, 3), 2.0)])
def test_one_voxel_two_steps_away_is_twice_that_axis_spacing_away(voxel: tuple, apart_mm: float) -> None:
    score = surface_scores(mask((1, 1, 1)), mask(voxel), SPACING_MM)
    assert score == SurfaceScore(hd95_mm=apart_mm, assd_mm=apart_mm, surface_dice=0.0)


def test_assd_weighs_every_surface_voxel_of_both_alike() -> None:
    # prediction: the reference's voxel (0 mm) and one 3 mm off; back: 0 mm; mean over three voxels
    score = surface_scores(mask((1, 1, 1), (2, 1, 1)), mask((1, 1, 1)), SPACING_MM)
    assert score.assd_mm == pytest.approx((0 + 3 + 0) / 3)
    assert score.surface_dice == pytest.approx(2 / 3)
    # directed distances 0, 3 -> 95th percentile 2.85; the other direction 0; the larger counts
    assert score.hd95_mm == pytest.approx(0.95 * 3)


def test_a_distance_equal_to_the_tolerance_is_within_it() -> None:
    here, there = mask((1, 1, 1)), mask((1, 1, 4))
    spacing_mm = (3.0, 2.0, 0.1)
    assert surface_scores(here, there, spacing_mm, tolerance_mm=0.3).surface_dice == 1.0
    assert surface_scores(here, there, spacing_mm, tolerance_mm=0.29).surface_dice == 0.0


def test_a_mask_agrees_with_itself_at_the_border_full_and_as_one_voxel() -> None:
    for same in (mask((0, 0, 0)), mask((4, 6, 10), (4, 6, 9)), np.ones(SHAPE, dtype=bool)):
        assert surface_scores(same, same, SPACING_MM) == SurfaceScore(0.0, 0.0, 1.0)


def test_the_surface_of_a_full_mask_is_the_outermost_layer() -> None:
    # along k the volume is one voxel thick in i and j, so that the 11 voxels are all surface; from each to k = 0
    full, end = np.ones((1, 1, 11), dtype=bool), np.zeros((1, 1, 11), dtype=bool)
    end[0, 0, 0] = True
    assert surface_scores(full, end, SPACING_MM).assd_mm == pytest.approx(sum(range(11)) / 12)
    # 3 x 3 x 3: only the middle voxel is inside, so that its distance is asked of nobody
    cube, middle = np.ones((3, 3, 3), dtype=bool), np.zeros((3, 3, 3), dtype=bool)
    middle[1, 1, 1] = True
    by_hand = (6 * 1 + 12 * math.sqrt(2) + 8 * math.sqrt(3) + 1) / 27
    assert surface_scores(cube, middle, (1.0, 1.0, 1.0)).assd_mm == pytest.approx(by_hand)


def test_both_empty_agree() -> None:
    assert surface_scores(mask(), mask(), SPACING_MM) == SurfaceScore(0.0, 0.0, 1.0)


@pytest.mark.parametrize("masks", [(mask(), mask((1, 1, 1))), (mask((1, 1, 1)), mask())])
def test_one_empty_costs_the_diagonal_of_the_whole_volume(masks: tuple[np.ndarray, np.ndarray]) -> None:
    long_mm = math.sqrt((5 * 3) ** 2 + (7 * 2) ** 2 + (11 * 1) ** 2)
    assert surface_scores(*masks, SPACING_MM) == SurfaceScore(long_mm, long_mm, 0.0)


def test_no_distance_exceeds_the_diagonal() -> None:
    score = surface_scores(mask((0, 0, 0)), mask((4, 6, 10)), SPACING_MM)
    assert score.hd95_mm < diagonal_mm(SHAPE, SPACING_MM)


@pytest.mark.parametrize("spacing_mm", [(3.0, 2.0, 1.0), (0.4, 0.4, 0.7)])
def test_scores_equal_a_full_volume_distance_transform(spacing_mm: tuple[float, float, float]) -> None:
    noise = np.random.default_rng(7)
    smooth = ndimage.gaussian_filter(noise.standard_normal((2, 23, 19, 29)), (0, 2, 2, 2))
    for threshold in (0.0, 0.1):  # many pieces, borders included; few small pieces
        prediction, reference = smooth > threshold
        score = surface_scores(prediction, reference, spacing_mm, tolerance_mm=1.0)
        wanted = twin(prediction, reference, spacing_mm, 1.0)
        assert [score.hd95_mm, score.assd_mm, score.surface_dice] == pytest.approx(wanted, rel=1e-5)
