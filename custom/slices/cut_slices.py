"""Slices of a volume along its own axes, and where in the world each of their pixels lies (requirement C1).

A slice of axis ``a`` at ``k`` is ``numpy.take(volume, k, a)``; its pixel (r, c) is the voxel (k, r, c) for axis 0,
(r, k, c) for axis 1 and (r, c, k) for axis 2. Image, mask, place and signed distance are all cut by :func:`cut`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8

from ..anatomy import StructureTable
from ..errors import InputError

AXES = (0, 1, 2)
WINDOW_HU = (-200.0, 500.0)
"""From fat to the contrast agent in a chamber: the walls between them fill the middle of the range."""


def cut(volume: np.ndarray, axis: int, index: int) -> np.ndarray:
    """The slice ``index`` along the spatial ``axis`` of [i, j, k] or, of every channel, of [c, i, j, k].

    Raises:
        ValueError: another number of axes; an axis other than 0, 1, 2; an index outside of the volume.
    """
    if volume.ndim not in (3, 4) or axis not in AXES:
        raise ValueError(f"no axis {axis} in a volume of shape {volume.shape}")
    spatial = axis + volume.ndim - 3
    if not 0 <= index < volume.shape[spatial]:
        raise ValueError(f"no slice {index} among {volume.shape[spatial]}")
    return np.take(volume, index, axis=spatial)


def slice_voxels(shape: Sequence[int], axis: int, index: int) -> Int64[np.ndarray, "h w 3"]:
    """The voxel ijk of every pixel of a slice: that of :func:`cut` on the three index volumes."""
    h, w = (size for other, size in enumerate(shape) if other != axis)
    rows, columns = np.indices((h, w))
    places = np.insert([rows, columns], axis, np.full((h, w), index), axis=0)
    return np.moveaxis(places, 0, -1).astype(np.int64)


def place_of_slice(
    shape: Sequence[int], affine: Float[np.ndarray, "4 4"], axis: int, index: int
) -> Float64[np.ndarray, "h w 3"]:
    """World mm (RAS) of the centre of every pixel of a slice."""
    affine = np.asarray(affine, np.float64)
    return np.asarray(slice_voxels(shape, axis, index) @ affine[:3, :3].T + affine[:3, 3])


def pointmap(
    mask: Bool[np.ndarray, "h w"], affine: Float[np.ndarray, "4 4"], shape: Sequence[int], axis: int, index: int
) -> Float32[np.ndarray, "h w 3"]:
    """World mm of the pixels of a mask, NaN off it; of an empty mask NaN everywhere."""
    place = place_of_slice(shape, affine, axis, index).astype(np.float32)
    return np.where(mask[..., None], place, np.float32(np.nan))


def windowed(image_hu: Float[np.ndarray, "..."], window_hu: Sequence[float] = WINDOW_HU) -> Float32[np.ndarray, "..."]:
    """Hounsfield units as [0, 1]: 0 at the window's low end and below, 1 at its high end and above."""
    low, high = window_hu
    return np.clip((np.asarray(image_hu, np.float32) - low) / (high - low), 0, 1).astype(np.float32)


def masks_of(labels: UInt8[np.ndarray, "..."], label_table: StructureTable) -> Bool[np.ndarray, "c ..."]:
    """One mask per structure of the table, in its order."""
    return np.stack([labels == structure.index for structure in label_table])


def slices_worth(
    labels: UInt8[np.ndarray, "i j k"], label_table: StructureTable, least_pixels: int, axes: Sequence[int] = AXES
) -> Iterator[tuple[int, int, list[int]]]:
    """Axis, index and pixels per structure of the slices where at least one structure has ``least_pixels`` pixels.

    Raises:
        InputError: there is none.
    """
    none = True
    for axis in axes:
        for index in range(labels.shape[axis]):
            counts = np.bincount(cut(labels, axis, index).ravel(), minlength=256)
            pixels = [int(counts[structure.index]) for structure in label_table]
            if max(pixels) >= least_pixels:
                none = False
                yield axis, index, pixels
    if none:
        found = f"no slice with {least_pixels} pixels of a structure of table {label_table.name!r}"
        raise InputError("labels", found, "at least one", "Lower --least_pixels, or leave the case out.")
