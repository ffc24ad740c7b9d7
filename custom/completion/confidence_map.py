"""Confidence of completed voxels from their signed distances: how deep a voxel lies in its structure (B3-B5)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

from ..models.vecset.evaluate_distance_grid import CHUNK, Ask, voxel_points

LENGTH_MM = 3.0
"""A voxel this deep has the confidence 0.63, one three times as deep 0.95."""


def depths(distances: Tensor, own: Tensor) -> Tensor:
    """How far the borders may move before a point is something else than it is, in the unit of the distances.

    The least of two lengths: to the structure's own surface, behind which is background; and half of what it is deeper
    in its own structure than in the next one, which is the way to the border between the two.

    Args:
        distances: signed distances [structures, n], negative inside.
        own: which of them each point [n] was given to.

    Returns:
        [n], 0 at least.
    """
    mine = distances.gather(0, own[None])[0]
    others = distances.scatter(0, own[None], torch.inf).amin(dim=0)
    return torch.minimum(-mine, (others - mine) / 2).clamp(min=0)


def confidence_of(depths_mm: Float32[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
    """``1 - exp(-depth / LENGTH_MM)``: 0 at a border, 1 far from all of them; the deeper, the greater."""
    return np.asarray(1 - np.exp(-depths_mm / np.float32(LENGTH_MM)), np.float32)


@torch.no_grad()
def confidence_map(
    ask: Ask,
    to_frame: Float[np.ndarray, "3 4"],
    labels: UInt8[np.ndarray, "i j k"],
    completed: Bool[np.ndarray, "i j k"],
    indices: list[int],
    scale_mm: float,
) -> Float32[np.ndarray, "i j k"]:
    """The confidence of each completed voxel, 0 at all others.

    It is a monotone of :func:`depths` and no probability: nothing was calibrated. It tells the middle of what was drawn
    from its border, where a voxel could as well be something else. It does not tell whether the whole structure lies
    where the patient's own does, and a thin structure never has much of it, however well it was drawn.

    Args:
        ask: computes signed distances of the structures that were drawn, in units of the frame.
        to_frame: from voxel positions to points of the frame.
        labels: of the completed heart.
        completed: where the structure was completed; nowhere is allowed.
        indices: of the structures whose distances ``ask`` returns, in its order.
        scale_mm: mm that are 1 in the frame.
    """
    found = np.zeros(labels.shape, np.float32)
    channel_of = np.zeros(256, np.int64)
    channel_of[indices] = np.arange(len(indices))
    matrix = torch.from_numpy(to_frame.astype(np.float32))
    for plane in np.flatnonzero(completed.any(axis=(1, 2))):
        across = np.argwhere(completed[plane])
        ijk = torch.from_numpy(np.insert(across, 0, plane, axis=1))
        own = torch.from_numpy(channel_of[labels[plane][completed[plane]]])
        parts = [
            depths(ask(voxel_points(matrix, some)).cpu(), mine)
            for some, mine in zip(ijk.split(CHUNK), own.split(CHUNK), strict=True)
        ]
        found[plane][completed[plane]] = confidence_of(scale_mm * torch.cat(parts).numpy())
    return found
