"""How much of a mask lies where it should: Dice, volume, and which of two masks is empty (A1.9)."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from jaxtyping import Bool

Empty = Literal["", "both", "prediction", "reference"]
"""Which of the two masks holds no voxel; ``""`` if neither."""


def which_empty(prediction: Bool[np.ndarray, "i j k"], reference: Bool[np.ndarray, "i j k"]) -> Empty:
    """Which of the two masks holds no voxel: ``""``, ``"both"``, ``"prediction"`` or ``"reference"``."""
    found, wanted = bool(prediction.any()), bool(reference.any())
    if found and wanted:
        return ""
    if found:
        return "reference"
    return "prediction" if wanted else "both"


def dice(prediction: Bool[np.ndarray, "i j k"], reference: Bool[np.ndarray, "i j k"]) -> float:
    """Dice, 2 |A and B| / (|A| + |B|), in [0, 1].

    Both empty: 1, the structure is absent and rightly so. One empty: 0. Full masks and masks at the border are no
    special case.
    """
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    return float(2.0 * np.count_nonzero(prediction & reference) / total) if total else 1.0


def volume_mm3(mask: Bool[np.ndarray, "i j k"], spacing_mm: tuple[float, float, float]) -> float:
    """The mask's voxels times the volume of one, in mm3; 0 if empty."""
    return float(np.count_nonzero(mask) * math.prod(spacing_mm))


def crop_to_union(
    prediction: Bool[np.ndarray, "i j k"], reference: Bool[np.ndarray, "i j k"]
) -> tuple[Bool[np.ndarray, "a b c"], Bool[np.ndarray, "a b c"]]:
    """Both masks in the smallest box that holds all voxels of either, as views.

    Every score of this room is the same on the crop as on the volume, because none looks at voxels that are empty in
    both. Both empty: a box of no voxels. A mask at the border or a full one: the box ends at the border.
    """
    union = prediction | reference
    box_ijk = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        held = np.flatnonzero(union.any(axis=others))
        box_ijk.append(slice(held[0], held[-1] + 1) if held.size else slice(0, 0))
    return prediction[tuple(box_ijk)], reference[tuple(box_ijk)]
