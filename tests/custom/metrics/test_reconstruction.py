"""Scores of reconstructed volumes, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_surface_dice

from custom.errors import InputError
from custom.metrics.reconstruction import reconstruction_score, tolerance_name

SHAPE = (5, 7, 11)
SPACING_MM = (3.0, 2.0, 1.0)


def mask(*voxels: tuple[int, int, int], shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    found = np.zeros(shape, bool)
    for voxel in voxels:
        found[voxel] = True
    return found


def ball(radius: float, shift: float = 0.0, side: int = 47) -> np.ndarray:
    i, j, k = np.indices((side, side, side)) - side // 2
    return np.asarray((i - shift) ** 2 + j**2 + k**2 <= radius**2)


def test_chamfer_is_the_mean_of_both_ways_and_the_squared_one_their_sum() -> None:
    # There: 0 and 3 mm, mean 1.5, mean square 4.5. Back: 0.
    score = reconstruction_score(mask((1, 1, 1), (2, 1, 1)), mask((1, 1, 1)), SPACING_MM)
    assert score.chamfer_mm == pytest.approx((1.5 + 0) / 2)
    assert score.chamfer_squared_mm2 == pytest.approx(4.5 + 0)
    assert score.dice == pytest.approx(2 / 3)
    assert score.hd95_mm == pytest.approx(0.95 * 3)


def test_surface_dice_counts_what_lies_within_each_tolerance() -> None:
    # Distances 0, 3 and 0 mm: two of three within 1 mm, all within 3 mm, the tolerance included.
    score = reconstruction_score(mask((1, 1, 1), (2, 1, 1)), mask((1, 1, 1)), SPACING_MM)
    assert score.surface_dice == pytest.approx((2 / 3, 1.0))
    assert list(score.values())[-2:] == ["surface_dice_1mm", "surface_dice_3mm"]
    assert tolerance_name(2.5) == "surface_dice_2.5mm"


def test_one_empty_volume_scores_nothing_at_the_length_of_the_diagonal() -> None:
    diagonal = math.hypot(15, 14, 11)
    for found, wanted, empty in ((mask(), mask((1, 1, 1)), "prediction"), (mask((1, 1, 1)), mask(), "reference")):
        score = reconstruction_score(found, wanted, SPACING_MM)
        assert (score.dice, score.surface_dice, score.empty) == (0.0, (0.0, 0.0), empty)
        assert score.hd95_mm == score.chamfer_mm == pytest.approx(diagonal)
        assert score.chamfer_squared_mm2 == pytest.approx(2 * diagonal**2)


def test_nothing_where_nothing_should_be_is_right() -> None:
    score = reconstruction_score(mask(), mask(), SPACING_MM, tolerances_mm=(1.0,))
    assert score.values((1.0,)) == {
        "dice": 1.0,
        "hd95_mm": 0.0,
        "chamfer_mm": 0.0,
        "chamfer_squared_mm2": 0.0,
        "surface_dice_1mm": 1.0,
    }
    assert score.empty == "both"


@pytest.mark.parametrize("subvoxel", [False, True])
def test_a_volume_is_as_good_as_can_be_beside_itself_at_the_border_too(subvoxel: bool) -> None:
    for same in (np.ones(SHAPE, bool), mask((0, 0, 0)), mask((4, 6, 10), (3, 6, 10))):
        score = reconstruction_score(same, same, SPACING_MM, subvoxel=subvoxel)
        assert (score.dice, score.hd95_mm, score.chamfer_mm, score.surface_dice) == (1.0, 0.0, 0.0, (1.0, 1.0))


def test_spheres_one_voxel_apart_in_radius_are_a_voxel_apart_everywhere() -> None:
    # Dice of concentric spheres r and R is 2 r^3 / (r^3 + R^3).
    score = reconstruction_score(ball(13.0), ball(14.0), (3.0, 3.0, 3.0))
    assert score.dice == pytest.approx(2 * 13**3 / (13**3 + 14**3), abs=0.01)
    assert score.chamfer_mm == pytest.approx(3.0, abs=0.3)
    assert score.chamfer_squared_mm2 == pytest.approx(2 * 3.0**2, rel=0.25)
    assert score.surface_dice[0] < 0.1 and score.surface_dice[1] > 0.75


def test_a_tolerance_below_the_spacing_asks_for_the_very_voxels_unless_subvoxels_are_counted() -> None:
    # Half of a sphere's surface moves by less than half a voxel along its normal when it is shifted by one.
    shifted, still = ball(13.0, shift=1.0), ball(13.0)
    plain = reconstruction_score(shifted, still, (3.0, 3.0, 3.0)).surface_dice
    fine = reconstruction_score(shifted, still, (3.0, 3.0, 3.0), subvoxel=True).surface_dice
    assert plain[0] == reconstruction_score(shifted, still, (3.0, 3.0, 3.0), (0.01,)).surface_dice[0]
    assert 0 < plain[0] < 0.6
    assert abs(fine[0] - plain[0]) > 0.005
    assert fine[1] <= 1.0 and plain[1] == 1.0


@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges")
def test_surface_dice_between_voxels_is_monais() -> None:
    shifted, still = ball(7.0, shift=1.0, side=23), ball(8.0, side=23)
    spacing_mm = (3.0, 2.0, 2.5)
    both = [torch.from_numpy(found)[None, None] for found in (shifted, still)]
    wanted = [
        compute_surface_dice(*both, [tolerance], True, spacing=list(spacing_mm), use_subvoxels=True).item()
        for tolerance in (1.0, 2.0, 4.0)
    ]
    found = reconstruction_score(shifted, still, spacing_mm, (1.0, 2.0, 4.0), subvoxel=True).surface_dice
    assert found == pytest.approx(wanted)
    assert 0.05 < found[0] < found[1] < found[2]


def test_grids_that_differ_are_refused() -> None:
    with pytest.raises(InputError, match="grid"):
        reconstruction_score(mask(), mask(shape=(5, 7, 13)), SPACING_MM)
