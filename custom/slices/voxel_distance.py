"""Signed distances of a case's structures at every voxel of its cube, in mm, negative inside (requirement C1)."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy import ndimage

from ..anatomy import StructureTable


def absent_mm(size: int, spacing_mm: float) -> float:
    """The distance given for a structure that is not there: the diagonal of the cube, finite and never in it."""
    return math.sqrt(3) * size * spacing_mm


def signed_distance_mm(mask: Bool[np.ndarray, "i j k"], spacing_mm: float) -> Float32[np.ndarray, "i j k"]:
    """The distance of every voxel centre to the boundary of the mask's voxels, below 0 inside: exact.

    Seen from a voxel's centre, the nearest point of an outer face is the face's centre, the middle of an edge or a
    corner; on a lattice of half voxels all of these are lattice points, so that one distance transform there is exact.
    The distance passes 0 half-way between voxels and is never 0 at a centre. Voxels beyond the grid are background: a
    mask at the border ends there. The full grid is inside everywhere; the empty mask has no boundary.

    Args:
        mask: with at least one voxel.
        spacing_mm: edge of the cubic voxels.

    Raises:
        ValueError: the mask is empty.
    """
    if not mask.any():
        raise ValueError("an empty mask has no boundary")
    fine = np.zeros([2 * (size + 2) - 1 for size in mask.shape], bool)
    fine[::2, ::2, ::2] = np.pad(mask, 1)
    edge = np.zeros_like(fine)
    # Centres of the outer faces, then the edges and corners that these have.
    for axis in range(3):
        low, high = ([slice(None, None, 2)] * 3 for _ in range(2))
        low[axis], high[axis] = slice(None, -2, 2), slice(2, None, 2)
        between = [slice(None, None, 2)] * 3
        between[axis] = slice(1, None, 2)
        face = np.zeros_like(fine)
        face[tuple(between)] = fine[tuple(low)] != fine[tuple(high)]
        reach = np.ones([1 if one == axis else 3 for one in range(3)], bool)
        edge |= ndimage.binary_dilation(face, reach)
    half_mm = spacing_mm / 2
    away_mm = ndimage.distance_transform_edt(~edge, sampling=half_mm)[2:-2:2, 2:-2:2, 2:-2:2]
    return np.where(mask, -away_mm, away_mm).astype(np.float32)


def signed_distances_mm(
    labels: UInt8[np.ndarray, "i j k"], label_table: StructureTable, spacing_mm: float
) -> Float32[np.ndarray, "c i j k"]:
    """:func:`signed_distance_mm` of every structure of the table; :func:`absent_mm` for one that is not there."""
    distances = np.full((len(label_table), *labels.shape), absent_mm(max(labels.shape), spacing_mm), np.float32)
    for channel, structure in enumerate(label_table):
        mask = labels == structure.index
        if mask.any():
            distances[channel] = signed_distance_mm(mask, spacing_mm)
    return distances
