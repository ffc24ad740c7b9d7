"""Whether two structures touch: the one definition that the rules of repair and the scores share (A2.2)."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.spatial import KDTree

from .morphology import Box, erode, foreground_box

Spacing = tuple[float, float, float]


def contact_distance_mm(
    mask: Shaped[np.ndarray, "i j k"], target: Shaped[np.ndarray, "i j k"], spacing_mm: Spacing, limit_mm: float
) -> float:
    """Between the nearest voxel centres of two masks, in mm; infinite beyond ``limit_mm`` or if either is empty.

    Masks that share a voxel are 0 apart; neighbours by face are a voxel edge apart.
    """
    own = _outline_near(mask, None, spacing_mm, limit_mm)
    if own is None:
        return math.inf
    points_mm, box = own
    other = _outline_near(target, box, spacing_mm, limit_mm)
    if other is None:
        return math.inf
    distances, _ = KDTree(other[0]).query(points_mm, distance_upper_bound=limit_mm * (1 + 1e-9) + 1e-9)
    return float(distances.min())


def contact_limit_mm(spacing_mm: Spacing, contact_mm: float) -> float:
    """The farthest distance that is contact: ``contact_mm``, or a voxel's diagonal where that is longer."""
    return max(contact_mm, math.sqrt(sum(step * step for step in spacing_mm)))


def touches(
    mask: Shaped[np.ndarray, "i j k"],
    target: Shaped[np.ndarray, "i j k"],
    spacing_mm: Spacing,
    contact_mm: float = 0.0,
) -> bool:
    """Whether some voxel of the mask and some voxel of the target share a face, an edge or a corner, or lie within
    ``contact_mm`` of each other (voxel centres). An empty mask touches nothing."""
    limit_mm = contact_limit_mm(spacing_mm, contact_mm)
    return contact_distance_mm(mask, target, spacing_mm, limit_mm) < math.inf


def _outline_near(
    mask: Shaped[np.ndarray, "i j k"], box: Box | None, spacing_mm: Spacing, limit_mm: float
) -> tuple[Float[np.ndarray, "n 3"], Box] | None:
    """Outer voxels of a mask in mm, only those within ``limit_mm`` of a box if one is given, and the mask's box."""
    grown = None
    if box is not None:
        grown = tuple(
            slice(max(part.start - reach, 0), part.stop + reach)
            for part, reach in zip(box, (math.ceil(limit_mm / step) for step in spacing_mm), strict=True)
        )
    part = mask if grown is None else mask[grown]
    own = foreground_box(part)
    if own is None:
        return None
    crop: Bool[np.ndarray, "i j k"] = np.ascontiguousarray(part[own] != 0)
    # The nearest voxel of a mask to anything outside it has a free face; where masks overlap, so does one of the two.
    outer = np.argwhere(crop & ~erode(np.pad(crop, 1), 1)[1:-1, 1:-1, 1:-1])
    start = np.array([side.start + (0 if grown is None else grown[axis].start) for axis, side in enumerate(own)])
    return (outer + start) * np.asarray(spacing_mm), own
