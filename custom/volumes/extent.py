"""The bounding box of a mask in world mm."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64


def box_mm(mask: Bool[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"]) -> Float64[np.ndarray, "2 3"] | None:
    """Lowest and highest world mm of a mask, its voxels whole, along the axes of the world; ``None`` of an empty one.

    Exact on an oblique grid too: along each line of voxels only the first and the last can be the furthest.
    """
    lines = mask.any(axis=0)
    across = np.argwhere(lines)
    if not len(across):
        return None
    first, last = mask.argmax(axis=0)[lines], len(mask) - 1 - mask[::-1].argmax(axis=0)[lines]
    ijk = np.concatenate([np.column_stack([end, across]) for end in (first, last)])
    matrix = np.asarray(affine, np.float64)
    places_mm = ijk @ matrix[:3, :3].T + matrix[:3, 3]
    half_mm = np.abs(matrix[:3, :3]).sum(axis=1) / 2
    return np.stack([places_mm.min(axis=0) - half_mm, places_mm.max(axis=0) + half_mm])
