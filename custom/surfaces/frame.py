"""The frame of a cloud: a fixed number of mm in one unit, and a centre that no structure decides (requirement B1).

Size and place stay information: hearts are neither scaled to one size nor moved to their own middle. Above all the
frame must not move when a structure is missing, or a network sees one heart in two places; so nothing here looks at
a label. The centre is that of the label map's grid, which a cardiac scan lays round the heart; or, for data sets that
are registered to one space, a fixed place in it. What is left, some mm from case to case, is what a network learns to
bear from shifted examples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64

from ..errors import InputError

SCALE_MM = 100.0
"""Half the side of the frame's cube: 200 mm hold a heart with its great vessels, and the field of a cardiac CT."""


def grid_centre_mm(shape: Sequence[int], affine: Float[np.ndarray, "4 4"]) -> Float64[np.ndarray, "3"]:
    """World mm of the middle of a grid."""
    middle = (np.asarray(shape, np.float64) - 1) / 2
    return np.asarray(np.asarray(affine, np.float64)[:3, :3] @ middle + np.asarray(affine)[:3, 3])


def frame_centre_mm(
    shape: Sequence[int], affine: Float[np.ndarray, "4 4"], centre: Sequence[float] = ()
) -> Float64[np.ndarray, "3"]:
    """The place given, in world mm; the middle of the grid if there is none.

    Raises:
        InputError: not three finite numbers.
    """
    if not len(centre):
        return grid_centre_mm(shape, affine)
    place = np.asarray(centre, np.float64)
    if place.shape != (3,) or not np.isfinite(place).all():
        raise InputError("centre", str(centre), "three numbers, world mm", "Write them as x,y,z, or leave it out.")
    return place


def frame_box_mm(
    shape: Sequence[int], affine: Float[np.ndarray, "4 4"], centre_mm: Float[np.ndarray, "3"], scale_mm: float
) -> Float64[np.ndarray, "2 3"]:
    """Lowest and highest world mm of what a grid's voxels and the frame's cube have in common, axes-parallel.

    Raises:
        InputError: they have nothing in common.
    """
    corners = np.asarray(np.meshgrid(*([-0.5, size - 0.5] for size in shape), indexing="ij")).reshape(3, -1).T
    world = corners @ np.asarray(affine, np.float64)[:3, :3].T + np.asarray(affine)[:3, 3]
    low_mm = np.maximum(world.min(axis=0), centre_mm - scale_mm)
    high_mm = np.minimum(world.max(axis=0), centre_mm + scale_mm)
    if (low_mm >= high_mm).any():
        found = f"a frame round {centre_mm.round(1).tolist()} mm that misses the label map"
        raise InputError("centre", found, "one that holds it", "Leave the centre out, or correct it.")
    return np.stack([low_mm, high_mm])
