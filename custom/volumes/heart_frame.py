"""Where the box of a whole heart lies if part of it is missing, and how it is cut out of a volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, UInt8
from scipy import ndimage

from ..space import Frame
from .roi import bounding_box


def with_box(frame: Frame, low_ijk: Sequence[int] | np.ndarray, high_ijk: Sequence[int] | np.ndarray) -> Frame:
    """The same label map with another box."""
    (i, j, k), (x, y, z) = ([int(value) for value in corner] for corner in (low_ijk, high_ijk))
    return replace(frame, low_ijk=(i, j, k), high_ijk=(x, y, z))


def clipped(frame: Frame) -> Frame:
    """The part of a frame's box that lies in the volume; only an estimated box may reach beyond it."""
    low = [max(value, 0) for value in frame.low_ijk]
    return with_box(frame, low, [min(value, size - 1) for value, size in zip(frame.high_ijk, frame.shape, strict=True)])


def cut_out(labels: UInt8[np.ndarray, "i j k"], frame: Frame) -> UInt8[np.ndarray, "d h w"]:
    """The labels in a frame's box, in unit order; 0 beyond the volume."""
    inside = clipped(frame)
    whole = np.zeros(frame.box_shape, dtype=labels.dtype)
    place = [
        slice(low - first, high + 1 - first)
        for low, high, first in zip(inside.low_ijk, inside.high_ijk, frame.low_ijk, strict=True)
    ]
    whole[tuple(place)] = labels[inside.box]
    return np.ascontiguousarray(frame.to_unit_order(whole))


def extents_of(labels: UInt8[np.ndarray, "d h w"], indices: Sequence[int]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """First and last position (d, h, w) of every structure that is there, far crumbs left out, by its index."""
    found = ndimage.find_objects(labels, max_label=max(indices)) if labels.size else []
    extents = {}
    for index in indices:
        box = found[index - 1] if index <= len(found) else None
        if box is None:
            continue
        within = bounding_box(labels[box] == index, margin=0)
        assert within is not None
        start = np.asarray([along.start for along in box])
        extents[index] = (within[0] + start, within[1] + start)
    return extents


def expected_box(
    seen: Sequence[tuple[np.ndarray, np.ndarray]], typical_extents: Sequence[Float[np.ndarray, "2 3"]]
) -> tuple[np.ndarray, np.ndarray]:
    """First and last position (d, h, w) of the box in which structures lie as they usually do.

    Along each axis a straight line is laid, by least squares, through where the structures begin and end here and where
    they do in the unit cube of a typical heart; the box is what the line makes of -1 and 1. It holds all that is seen.
    A side that a present structure sets is estimated too: missing structures are completed better in a box in which all
    the others lie well than in one with the right corners.

    Args:
        seen: first and last position (d, h, w) of each structure.
        typical_extents: the same structures' first and last unit (x, y, z).
    """
    here = np.stack([np.stack(pair) for pair in seen]).astype(np.float64)
    there = np.stack(typical_extents).astype(np.float64)[:, :, ::-1]
    low, high = here[:, 0].min(axis=0), here[:, 1].max(axis=0)
    box_low, box_high = np.empty(3, dtype=int), np.empty(3, dtype=int)
    for axis in range(3):
        at, unit = here[:, :, axis].ravel(), there[:, :, axis].ravel()
        spread = ((unit - unit.mean()) ** 2).sum()
        slope = ((unit - unit.mean()) * (at - at.mean())).sum() / spread if spread > 1e-9 else 0.0
        middle = at.mean() - slope * unit.mean()
        # Halves go outwards on both sides: the box of the mirrored heart is the mirrored box.
        box_low[axis] = np.ceil(min(middle - slope, low[axis]) - 0.5 - 1e-9)
        box_high[axis] = np.floor(max(middle + slope, high[axis]) + 0.5 + 1e-9)
    return box_low, box_high


def estimated_frame(
    labels: UInt8[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    typical_extents: Mapping[int, Float[np.ndarray, "2 3"]],
    slices_axis: int | None = None,
) -> Frame:
    """The frame of a heart of which a part is missing.

    Args:
        labels: the label map.
        affine: its voxel ijk to world mm.
        typical_extents: first and last unit (x, y, z) of each structure in a typical heart, by its index.
        slices_axis: the voxel axis along which only slices that hold a label are labelled; a structure is then taken
            to reach half the median gap beyond its outermost ones.

    Returns:
        A frame that may reach beyond the volume; an empty one if no structure in ``typical_extents`` is there.
    """
    i, j, k = labels.shape
    whole = Frame(np.asarray(affine, dtype=np.float64), (i, j, k), (0, 0, 0), (i - 1, j - 1, k - 1))
    seen = extents_of(np.ascontiguousarray(whole.to_unit_order(labels)), sorted(typical_extents))
    if not seen:
        return with_box(whole, (0, 0, 0), (-1, -1, -1))
    order, signs = whole.axes
    beyond = np.zeros(3)
    if slices_axis is not None:
        beyond[order[::-1].index(slices_axis)] = (usual_gap(labels, slices_axis) - 1) / 2
    wider = [(low - beyond, high + beyond) for low, high in seen.values()]
    low, high = expected_box(wider, [typical_extents[index] for index in seen])
    low_ijk, high_ijk = np.zeros(3, dtype=int), np.zeros(3, dtype=int)
    for axis, sign, one, other in zip(order[::-1], signs[::-1], low, high, strict=True):
        size = labels.shape[axis]
        first, final = (one, other) if sign > 0 else (size - 1 - other, size - 1 - one)
        low_ijk[axis], high_ijk[axis] = first, final
    return with_box(whole, low_ijk, high_ijk)


def usual_gap(labels: UInt8[np.ndarray, "i j k"], axis: int) -> float:
    """The median distance, in voxels, between neighbouring slices that hold a label; 1 if there is only one."""
    others = tuple(other for other in range(3) if other != axis)
    gaps = np.diff(np.flatnonzero(labels.any(axis=others)))
    return float(np.median(gaps)) if gaps.size else 1.0


def inside_of(frame: Frame) -> np.ndarray:
    """First and last position (d, h, w) in the box that lies in the volume, [2, 3]."""
    if frame.empty:
        return np.zeros((2, 3), np.int64)
    order, signs = frame.axes
    part = clipped(frame)
    positions = []
    for axis, sign in zip(order[::-1], signs[::-1], strict=True):
        before, after = part.low_ijk[axis] - frame.low_ijk[axis], frame.high_ijk[axis] - part.high_ijk[axis]
        first, beyond = (before, after) if sign > 0 else (after, before)
        positions.append((first, frame.box_shape[axis] - 1 - beyond))
    return np.asarray(positions, dtype=np.int64).T.copy()
