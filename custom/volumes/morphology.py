"""Growing, shrinking and filling a mask by a ball of voxels; the band around its boundary (A1.4).

Every function takes a mask that is nonzero inside, leaves it as it is, and works on the box around its foreground.

At the edge of the volume the outside counts as the nearest voxel: a structure cut by the edge goes on beyond it, so
nothing is eroded from the edge and no boundary lies there. Dilation is the same with or without this rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cc3d
import numpy as np
from jaxtyping import Bool, Shaped

Box = tuple[slice, slice, slice]


def foreground_box(mask: Shaped[np.ndarray, "i j k"], margin_voxels: int = 0) -> Box | None:
    """The smallest box of voxels around the foreground plus a margin, cut at the edge of the volume; None if empty."""
    box = []
    for axis, size in enumerate(mask.shape):
        others = tuple(other for other in range(3) if other != axis)
        occupied = np.flatnonzero(mask.any(axis=others))
        if not occupied.size:
            return None
        box.append(slice(max(int(occupied[0]) - margin_voxels, 0), min(int(occupied[-1]) + 1 + margin_voxels, size)))
    return box[0], box[1], box[2]


def _ball_ijk(radius_voxels: float | int) -> list[tuple[int, int, int]]:
    """The integer offsets whose length is at most the radius; radius 2 has 33 of them."""
    reach = int(radius_voxels)
    steps = range(-reach, reach + 1)
    return [(i, j, k) for i in steps for j in steps for k in steps if i * i + j * j + k * k <= radius_voxels**2]


def _over_ball(
    mask: Shaped[np.ndarray, "i j k"], radius_voxels: float | int, combine: Callable[..., Any]
) -> Bool[np.ndarray, "i j k"]:
    """Combine each voxel with its neighbours within the radius, one shifted view of the box at a time."""
    if radius_voxels < 0:
        raise ValueError(f"radius_voxels is {radius_voxels}, wanted 0 or more")
    reach = int(radius_voxels)
    result = np.zeros(mask.shape, dtype=bool)
    box = foreground_box(mask, margin_voxels=reach)
    if box is None:
        return result
    # The margin holds true zeros wherever there is room for it, so "edge" only acts where the volume itself ends.
    padded = np.pad(mask[box].astype(bool), reach, mode="edge")
    out = result[box]
    out[...] = mask[box] != 0
    for i, j, k in _ball_ijk(radius_voxels):
        shifted = tuple(
            slice(reach + step, reach + step + size) for step, size in zip((i, j, k), out.shape, strict=True)
        )
        combine(out, padded[shifted], out=out)
    return result


def dilate(mask: Shaped[np.ndarray, "i j k"], radius_voxels: float | int) -> Bool[np.ndarray, "i j k"]:
    """Every voxel within ``radius_voxels`` of the mask.

    Empty stays empty, full stays full, one voxel becomes the ball (33 voxels at radius 2) cut at the volume's edge.
    Radius 0 is a copy. Raises ``ValueError`` for a negative radius.
    """
    return _over_ball(mask, radius_voxels, np.logical_or)


def erode(mask: Shaped[np.ndarray, "i j k"], radius_voxels: float | int) -> Bool[np.ndarray, "i j k"]:
    """Every voxel of the mask farther than ``radius_voxels`` from all background.

    Empty stays empty, full stays full (the volume's edge is no boundary), one voxel vanishes from radius 1 on.
    Radius 0 is a copy. Raises ``ValueError`` for a negative radius.
    """
    return _over_ball(mask, radius_voxels, np.logical_and)


def boundary_band(mask: Shaped[np.ndarray, "i j k"], radius_voxels: float | int = 2) -> Bool[np.ndarray, "i j k"]:
    """The voxels on both sides of the boundary: dilate(mask) without erode(mask) (A1.4).

    Empty and full masks have no boundary and give an empty band; one voxel gives its ball, itself included; where the
    volume's edge cuts the mask there is no band along the cut.
    """
    band = dilate(mask, radius_voxels)
    band &= ~erode(mask, radius_voxels)
    return band


def fill_holes(mask: Shaped[np.ndarray, "i j k"]) -> Bool[np.ndarray, "i j k"]:
    """The mask and all background it encloses: background with no way out through faces (6-connected).

    A cavity that is open to the edge of the volume is no hole. Empty stays empty, full stays full, one voxel stays.
    """
    result = np.zeros(mask.shape, dtype=bool)
    box = foreground_box(mask)
    if box is None:
        return result
    # A ring of background around the box joins everything that is not enclosed into the component of the corner.
    background = np.pad(mask[box] == 0, 1, constant_values=True)
    regions = cc3d.connected_components(background, connectivity=6)
    result[box] = regions[1:-1, 1:-1, 1:-1] != regions[0, 0, 0]
    return result
