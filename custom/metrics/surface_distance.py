"""How far two surfaces lie apart, in mm: HD95, ASSD, surface Dice (A1.9).

A mask's surface is its voxels with one of the six neighbours outside; beyond the volume is outside, so a mask at the
border has a surface there. Distances run between voxel centres and are thus quantised by the spacing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from monai.metrics.utils import get_mask_edges, get_surface_distance

from .overlap import crop_to_union, which_empty


@dataclass(frozen=True)
class SurfaceScore:
    """Distances between two surfaces.

    Attributes:
        hd95_mm: the larger of the two directed 95th percentiles (Hausdorff distance, robust).
        assd_mm: mean over all surface voxels of both, each to the other's surface.
        surface_dice: share of all surface voxels of both within the tolerance of the other's surface
            (Nikolov et al., 2018), tolerance included, counted in voxels.
    """

    hd95_mm: float
    assd_mm: float
    surface_dice: float


def diagonal_mm(shape: tuple[int, ...], spacing_mm: tuple[float, float, float]) -> float:
    """Length of a volume's diagonal in mm, from outer corner to outer corner: no distance in it is longer."""
    return math.hypot(*(count * step for count, step in zip(shape, spacing_mm, strict=True)))


def surface_scores(
    prediction: Bool[np.ndarray, "i j k"],
    reference: Bool[np.ndarray, "i j k"],
    spacing_mm: tuple[float, float, float],
    tolerance_mm: float = 1.0,
) -> SurfaceScore:
    """HD95, ASSD and surface Dice of two masks on one grid.

    Both empty: distances 0, surface Dice 1. One empty: distances are the volume's diagonal, surface Dice 0, so that a
    failed case worsens a mean (a NaN would be left out of it and an infinity would swallow it). One voxel is its own
    surface; a full mask's surface is the volume's outermost layer.
    """
    empty = which_empty(prediction, reference)
    if empty == "both":
        return SurfaceScore(0.0, 0.0, 1.0)
    if empty:
        longest_mm = diagonal_mm(prediction.shape, spacing_mm)
        return SurfaceScore(longest_mm, longest_mm, 0.0)
    there, back = surface_distances_mm(prediction, reference, spacing_mm)
    both = np.concatenate([there, back])
    # float32 on both sides of the comparison: a distance that equals the tolerance on paper counts as within it
    within = both <= np.float32(tolerance_mm)
    hd95_mm = max(np.percentile(there.astype(np.float64), 95), np.percentile(back.astype(np.float64), 95))
    return SurfaceScore(float(hd95_mm), float(both.mean(dtype=np.float64)), float(within.mean()))


def surface_distances_mm(
    prediction: Bool[np.ndarray, "i j k"], reference: Bool[np.ndarray, "i j k"], spacing_mm: tuple[float, float, float]
) -> tuple[Float32[np.ndarray, " n"], Float32[np.ndarray, " m"]]:
    """Each surface voxel's distance to the other surface: prediction to reference, and back; neither mask empty."""
    # cropped before, and by views: the crop of MONAI copies the whole volume first
    here, there = get_mask_edges(*crop_to_union(prediction, reference), crop=False)
    towards = get_surface_distance(here, there, spacing=spacing_mm)
    back = get_surface_distance(there, here, spacing=spacing_mm)
    return np.asarray(towards, dtype=np.float32), np.asarray(back, dtype=np.float32)
