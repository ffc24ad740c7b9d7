"""From one regular grid to another with the same corners, axis by axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def axis_weights(source: int, positions: Float[np.ndarray, "n"], support: float = 1.0) -> Float[np.ndarray, "n s"]:
    """The matrix that reads ``n`` fractional positions from ``source`` samples along one axis.

    A triangle of half-width ``support`` samples: 1 interpolates linearly; more averages, so that a thin structure fades
    instead of vanishing between the samples of a coarser grid. Positions beyond the ends read the end sample.
    """
    clamped = np.clip(positions, 0, source - 1)
    weights = np.maximum(0, 1 - np.abs(clamped[:, None] - np.arange(source)[None]) / support)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def apply_axis(array: np.ndarray, weights: Float[np.ndarray, "n s"], axis: int) -> np.ndarray:
    """``array`` with its ``axis`` of s samples turned into n."""
    return np.moveaxis(np.tensordot(weights, array, axes=(1, axis)), 0, axis)


def resize(array: Float[np.ndarray, "a b c"], shape: Sequence[int]) -> Float[np.ndarray, "d h w"]:
    """``array`` on a grid of ``shape`` with the same corner points; linear up, triangle-averaged down.

    The same shape returns the same values. An axis of one sample is repeated; an axis resampled to one sample reads the
    middle.
    """
    result = array
    for axis, (source, target) in enumerate(zip(array.shape, shape, strict=True)):
        if source == target:
            continue
        positions = np.linspace(0, source - 1, target) if target > 1 else np.array([(source - 1) / 2])
        support = max(1.0, (source - 1) / max(target - 1, 1))
        result = apply_axis(result, axis_weights(source, positions, support), axis)
    return np.ascontiguousarray(result, dtype=np.float32)
