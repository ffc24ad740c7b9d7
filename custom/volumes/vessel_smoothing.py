"""Smooth a vessel along its course, which removes steps and keeps the width that a plain smoother takes away."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.ndimage import gaussian_filter, map_coordinates

from .morphology import dilate, foreground_box

Spacing = tuple[float, float, float]

COURSE_MM = 2.5
"""Standard deviation of the neighbourhood from which a vessel's course is read."""

STEP_MM = 0.75


def smooth_along(mask: Shaped[np.ndarray, "i j k"], spacing_mm: Spacing, sigma_mm: float) -> Bool[np.ndarray, "i j k"]:
    """A mask of vessels averaged along their course, and cut where it has as many voxels as before.

    From every voxel within two of the mask a line is walked both ways along the vessel's course (the first principal
    axis of the mask around each place); the mask's Gaussian mean on that line is how surely the voxel is inside. Line
    integral convolution (Cabral and Leedom, 1993) on a field of courses.

    Args:
        mask: nonzero inside.
        spacing_mm: voxel size along i, j, k.
        sigma_mm: standard deviation along the course; 0 gives the mask itself.

    Empty stays empty; a full mask and one voxel stay as they are.
    """
    inside = np.asarray(mask != 0)
    box = foreground_box(inside, margin_voxels=4)
    if box is None or sigma_mm == 0 or inside.all():
        return inside
    crop = np.ascontiguousarray(inside[box])
    near = dilate(crop, 2)
    sureness = _mean_along(crop, near, spacing_mm, sigma_mm)
    smooth = inside.copy()
    smooth[box] = _as_many(sureness, near, int(crop.sum()))
    return smooth


def _as_many(
    sureness: Float[np.ndarray, " n"], near: Bool[np.ndarray, "i j k"], voxels: int
) -> Bool[np.ndarray, "i j k"]:
    """The surest voxels, as near to that many as equals allow."""
    threshold = np.sort(sureness)[::-1][voxels - 1]
    at_least, above = sureness >= threshold, sureness > threshold
    closer = at_least if abs(int(at_least.sum()) - voxels) <= abs(int(above.sum()) - voxels) else above
    chosen = np.zeros(near.shape, dtype=bool)
    chosen[near] = closer
    return chosen


def _mean_along(
    crop: Bool[np.ndarray, "i j k"], near: Bool[np.ndarray, "i j k"], spacing_mm: Spacing, sigma_mm: float
) -> Float[np.ndarray, " n"]:
    """The Gaussian mean of the mask on the line through each voxel of ``near``, over what of it lies in ``near``."""
    course = np.zeros((*crop.shape, 3), dtype=np.float32)
    course[near] = _courses(crop, near, spacing_mm)
    values, spacing = crop.astype(np.float32), np.asarray(spacing_mm)
    begin = np.argwhere(near).astype(np.float64)
    total, weights = values[near].astype(np.float64), np.ones(len(begin))
    for sense in (1.0, -1.0):
        places, heading = begin.copy(), sense * course[near].astype(np.float64)
        for step in range(1, math.ceil(2.5 * sigma_mm / STEP_MM) + 1):
            places = places + heading * STEP_MM / spacing
            at = _nearest(places, crop.shape)
            ahead = course[at]
            turn = np.where((ahead * heading).sum(axis=1) < 0, -1.0, 1.0)
            heading = np.where(near[at][:, None], ahead * turn[:, None], heading)
            weight = math.exp(-0.5 * (step * STEP_MM / sigma_mm) ** 2) * near[at]
            total += weight * map_coordinates(values, places.T, order=1)
            weights += weight
    mean: Float[np.ndarray, " n"] = total / weights
    return mean


def _nearest(
    places: Float[np.ndarray, "n 3"], shape: tuple[int, ...]
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    i, j, k = np.clip(np.rint(places).astype(int), 0, np.asarray(shape) - 1).T
    return i, j, k


def _courses(
    crop: Bool[np.ndarray, "i j k"], near: Bool[np.ndarray, "i j k"], spacing_mm: Spacing
) -> Float[np.ndarray, "n 3"]:
    """The first principal axis, in mm, of the mask around each voxel of ``near``."""
    sigmas = [COURSE_MM / step for step in spacing_mm]
    places_mm = [
        (np.arange(size, dtype=np.float64) - size / 2).reshape([-1 if axis == own else 1 for own in range(3)]) * step
        for axis, (size, step) in enumerate(zip(crop.shape, spacing_mm, strict=True))
    ]

    def around(weighted: Float[np.ndarray, "i j k"]) -> Float[np.ndarray, " n"]:
        return np.asarray(gaussian_filter(weighted, sigmas, truncate=3.0, mode="constant")[near])

    inside = crop.astype(np.float64)
    mass = around(inside) + 1e-9
    means = [around(inside * place) / mass for place in places_mm]
    spread = np.empty((len(mass), 3, 3))
    for one in range(3):
        for other in range(one, 3):
            moment = around(inside * places_mm[one] * places_mm[other]) / mass - means[one] * means[other]
            spread[:, one, other] = spread[:, other, one] = moment
    return np.asarray(np.linalg.eigh(spread)[1][:, :, 2])
