"""The scores beside two implementations that share nothing with them: all pairs of voxels, and MONAI's metrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import (
    DiceMetric,
    compute_average_surface_distance,
    compute_hausdorff_distance,
    compute_surface_dice,
)
from scipy import ndimage
from scipy.spatial.distance import cdist

from custom.metrics.case_scores import MaskScore, score_mask

SHAPE = (13, 17, 19)
SPACINGS_MM = [(1.0, 1.0, 1.0), (3.0, 2.0, 1.0), (0.4, 0.4, 0.7)]
# MONAI's own metrics call its own deprecated argument.
pytestmark = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")

CROSS = ndimage.generate_binary_structure(3, 1)


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Masks and references: lumps with specks, a thin line, one voxel, full, shifted, at the border."""
    noise = ndimage.gaussian_filter(np.random.default_rng(23).standard_normal((4, *SHAPE)), (0, 1.5, 1.5, 1.5))
    lumps, others, small, more = noise > np.array([0.0, 0.02, 0.15, 0.1])[:, None, None, None]
    line, voxel = np.zeros((2, *SHAPE), dtype=bool)
    line[6, 8, 1:18] = True
    voxel[0, 0, 18] = True
    full = np.ones(SHAPE, dtype=bool)
    shifted = np.roll(lumps, 2, axis=1)
    return [
        (lumps, others),
        (small, more),
        (lumps, shifted),
        (line, small),
        (voxel, line),
        (full, lumps),
        (voxel, full),
    ]


def all_pairs(
    found: np.ndarray, wanted: np.ndarray, spacing_mm: tuple[float, ...], tolerance_mm: float
) -> tuple[float, float, float, float]:
    """Dice, HD95, ASSD and surface Dice from the distance of every surface voxel to every other."""
    surfaces = [mask & ~ndimage.binary_erosion(mask, CROSS, border_value=0) for mask in (found, wanted)]
    one, other = (np.argwhere(surface) * np.array(spacing_mm) for surface in surfaces)
    apart_mm = cdist(one, other)
    there, back = apart_mm.min(axis=1), apart_mm.min(axis=0)
    both = np.concatenate([there, back])
    dice = 2 * int((found & wanted).sum()) / (int(found.sum()) + int(wanted.sum()))
    hd95_mm = max(float(np.percentile(there, 95)), float(np.percentile(back, 95)))
    return dice, hd95_mm, float(both.mean()), float((both <= tolerance_mm + 1e-6).mean())


def numbers(score: MaskScore) -> tuple[float, float, float, float]:
    return score.dice, score.hd95_mm, score.assd_mm, score.surface_dice


@pytest.mark.parametrize("spacing_mm", SPACINGS_MM)
@pytest.mark.parametrize("tolerance_mm", [0.5, 1.0, 2.0])
def test_scores_are_those_of_asking_every_pair_of_surface_voxels(spacing_mm, tolerance_mm) -> None:
    for found, wanted in pairs():
        score = score_mask(found, wanted, spacing_mm, tolerance_mm)
        assert numbers(score) == pytest.approx(all_pairs(found, wanted, spacing_mm, tolerance_mm), rel=1e-5)


@pytest.mark.parametrize("spacing_mm", SPACINGS_MM)
def test_scores_are_those_of_monai_where_neither_mask_is_empty(spacing_mm) -> None:
    for found, wanted in pairs():
        tensors = [torch.from_numpy(mask.astype(np.float32))[None, None] for mask in (found, wanted)]
        monai = [
            DiceMetric(include_background=True)(*tensors),
            compute_hausdorff_distance(*tensors, include_background=True, percentile=95, spacing=spacing_mm),
            compute_average_surface_distance(*tensors, include_background=True, symmetric=True, spacing=spacing_mm),
            compute_surface_dice(*tensors, [1.0], include_background=True, spacing=spacing_mm),
        ]
        score = score_mask(found, wanted, spacing_mm, tolerance_mm=1.0)
        assert numbers(score) == pytest.approx([float(value) for value in monai], rel=1e-5)


def test_an_empty_prediction_that_monai_leaves_out_of_a_mean_is_penalised() -> None:
    wanted = np.zeros(SHAPE, dtype=bool)
    wanted[3:7, 3:7, 3:7] = True
    empty = np.zeros(SHAPE, dtype=bool)
    tensors = [torch.from_numpy(mask.astype(np.float32))[None, None] for mask in (empty, wanted)]
    with pytest.warns(UserWarning, match="prediction.*all 0|all 0.*nan"):
        monai = compute_hausdorff_distance(*tensors, include_background=True, percentile=95)
    assert not math.isfinite(float(monai))
    assert score_mask(empty, wanted, (1.0, 1.0, 1.0)).hd95_mm == pytest.approx(math.hypot(*SHAPE))
