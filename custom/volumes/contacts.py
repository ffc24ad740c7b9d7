"""Whether two structures touch: the one definition that the rules of repair and the metrics share (A2.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.spatial import KDTree

from .morphology import erode, foreground_box

Spacing = tuple[float, float, float]


def contact_distance_mm(
    mask: Shaped[np.ndarray, "i j k"], target: Shaped[np.ndarray, "i j k"], spacing_mm: Spacing, limit_mm: float
) -> float:
    """Between the nearest voxel centres of two masks, in mm; infinite beyond ``limit_mm`` or if either is empty.

    Masks that share a voxel are 0 apart, neighbours by face a voxel edge; a distance equal to the limit is within it.
    Full masks and masks at the border are no special case; opposite borders are not joined.
    """
    reach_voxels = [math.ceil(min(limit_mm / step, size)) for step, size in zip(spacing_mm, mask.shape, strict=True)]
    near = _near_each_other(mask, target, reach_voxels)
    if near is None:
        return math.inf
    own, other = near
    if (own & other).any():
        return 0.0
    points_mm, others_mm = _outline_mm(own, spacing_mm), _outline_mm(other, spacing_mm)
    # The library leaves out what lies at the bound itself.
    distances_mm, _ = KDTree(others_mm).query(points_mm, distance_upper_bound=limit_mm * (1 + 1e-9) + 1e-9)
    return float(distances_mm.min())


def touches(
    mask: Shaped[np.ndarray, "i j k"],
    target: Shaped[np.ndarray, "i j k"],
    spacing_mm: Spacing,
    contact_mm: float = 0.0,
) -> bool:
    """Whether some voxel of the mask and some voxel of the target share a face, an edge or a corner, or lie within
    ``contact_mm`` of each other (voxel centres). Symmetric in mask and target.

    Neighbours touch whatever the spacing; without ``contact_mm``, a voxel between them parts them whatever the spacing
    too. Masks that share a voxel touch; an empty mask touches nothing.
    """
    near = _near_each_other(mask, target, (1, 1, 1))
    if near is not None and (_with_neighbours(near[0]) & near[1]).any():
        return True
    return contact_mm > 0 and contact_distance_mm(mask, target, spacing_mm, contact_mm) < math.inf


def _near_each_other(
    mask: Shaped[np.ndarray, "i j k"], target: Shaped[np.ndarray, "i j k"], reach_voxels: Sequence[int]
) -> tuple[Bool[np.ndarray, "a b c"], Bool[np.ndarray, "a b c"]] | None:
    """Both masks on the box of those voxels of either that may lie within reach of the other; None if one has none."""
    pair = mask, target
    for side in (0, 1):
        box = foreground_box(pair[side])
        if box is None:
            return None
        grown = tuple(
            slice(max(part.start - reach, 0), part.stop + reach) for part, reach in zip(box, reach_voxels, strict=True)
        )
        pair = pair[0][grown], pair[1][grown]
    own, other = (np.ascontiguousarray(part != 0) for part in pair)
    return (own, other) if own.any() else None


def _outline_mm(mask: Bool[np.ndarray, "a b c"], spacing_mm: Spacing) -> Float[np.ndarray, "n 3"]:
    """The voxels with a free face inside the box, in mm: of two masks apart, the nearest voxels are among them,
    because from each a step towards the other leads out of it and stays in the box."""
    return np.argwhere(mask & ~erode(mask, 1)) * np.asarray(spacing_mm)


def _with_neighbours(mask: Bool[np.ndarray, "a b c"]) -> Bool[np.ndarray, "a b c"]:
    """The mask and all voxels that share a face, an edge or a corner with it."""
    grown = mask.copy()
    for axis in range(3):
        line, before = np.moveaxis(grown, axis, 0), np.moveaxis(grown.copy(), axis, 0)
        line[1:] |= before[:-1]
        line[:-1] |= before[1:]
    return grown
