"""Answers that need no network: what a number is worth shows only beside them (C4).

All of them see what the network sees, one slice and where it lies, and the training patients; none sees the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import pi, sqrt
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from ...anatomy import StructureTable
from ...errors import InputError
from ...slices.case_volume import CaseVolume
from ...slices.cut_slices import cut
from ...slices.slice_datalist import find_volumes, read_listing

THRESHOLDS = tuple(step / 20 for step in range(1, 20))
"""Shares of the patients that are tried as the border of the mean shape."""


class TrainingShapes:
    """The training patients' label maps, each in its own cube.

    Args:
        labels: of all cases.
        label_table: which number is which structure.
    """

    def __init__(self, labels: UInt8[np.ndarray, "n s s s"], label_table: StructureTable) -> None:
        self.labels, self.label_table = labels, label_table

    def of(self, structure: str) -> Bool[np.ndarray, "m s s s"]:
        """The structure in each case that has it.

        Raises:
            InputError: no case has it.
        """
        masks = self.labels == self.label_table[structure].index
        masks = masks[masks.any(axis=(1, 2, 3))]
        if not len(masks):
            raise InputError(structure, "in no training case", "in at least one", "Leave it out of the structures.")
        return masks


def read_shapes(cache_dir: str | Path, split: str = "training") -> TrainingShapes:
    """Those of a cache; ``InputError`` as :func:`custom.slices.slice_datalist.find_volumes`, or cubes of two sizes."""
    label_table, _ = read_listing(cache_dir)
    labels = [CaseVolume.read(item["sdf"]).labels for item in find_volumes(cache_dir, split)]
    sizes = {one.shape[0] for one in labels}
    if len(sizes) > 1:
        found = f"cubes of {' and '.join(map(str, sorted(sizes)))} voxels"
        raise InputError(cache_dir, found, "cubes of one size", "Make the slices again.")
    return TrainingShapes(np.stack(labels), label_table)


def extruded_slice(mask: Bool[np.ndarray, "s s"], axis: int, index: int) -> Bool[np.ndarray, "s s s"]:
    """The mask, extended along its axis: as deep as a circle of its area is wide, the slice in the middle.

    The depth is rounded to an odd number of voxels, and what reaches out of the cube is cut off. An empty mask stays
    empty; one pixel becomes one voxel.
    """
    reach = round((2 * sqrt(float(mask.sum()) / pi) - 1) / 2)
    deep = np.abs(np.arange(mask.shape[0]) - index) <= max(reach, 0)
    volume = np.expand_dims(mask, axis) & deep.reshape([-1 if one == axis else 1 for one in range(3)])
    return np.asarray(volume)


def shifted(volume: Bool[np.ndarray, "s s s"], steps: Sequence[int]) -> Bool[np.ndarray, "s s s"]:
    """The volume, moved by so many voxels along each axis; what leaves the cube is lost, nothing comes in."""
    source, target = [], []
    for size, step in zip(volume.shape, steps, strict=True):
        source.append(slice(max(-step, 0), size - max(step, 0)))
        target.append(slice(max(step, 0), size - max(-step, 0)))
    made = np.zeros_like(volume)
    if all(abs(step) < size for size, step in zip(volume.shape, steps, strict=True)):
        made[tuple(target)] = volume[tuple(source)]
    return made


class MeanShape:
    """The same shape for every patient: where at least a share of the training cases has the structure.

    The share is the one of :data:`THRESHOLDS` whose shape has the best mean Dice on the training cases.

    Args:
        shapes: of the training.
    """

    def __init__(self, shapes: TrainingShapes) -> None:
        self.shapes = shapes
        self.of = lru_cache(maxsize=None)(self._of)

    def _of(self, structure: str) -> Bool[np.ndarray, "s s s"]:
        masks = self.shapes.of(structure)
        share = masks.mean(axis=0, dtype=np.float32)
        return np.asarray(max((share >= np.float32(least) for least in THRESHOLDS), key=lambda one: _fit(one, masks)))

    def __call__(
        self, mask: Bool[np.ndarray, "s s"], axis: int, index: int, structure: str
    ) -> Bool[np.ndarray, "s s s"]:
        return self.of(structure)


class PlacedMeanShape(MeanShape):
    """The mean shape, moved within the slice's plane until its middle in that plane is the mask's.

    The middle is of the mean shape's own slice there, or of all of it where that slice is empty. Steps are whole
    voxels; an empty mask moves nothing.
    """

    def __call__(
        self, mask: Bool[np.ndarray, "s s"], axis: int, index: int, structure: str
    ) -> Bool[np.ndarray, "s s s"]:
        volume = self.of(structure)
        own = cut(volume, axis, index)
        own = own if own.any() else np.asarray(volume.any(axis=axis))
        if not mask.any() or not own.any():
            return volume
        steps = np.rint(np.argwhere(mask).mean(axis=0) - np.argwhere(own).mean(axis=0)).astype(int).tolist()
        steps.insert(axis, 0)
        return shifted(volume, steps)


class NearestCase:
    """The training case one of whose slices across the same axis overlaps most (IoU) with the one given.

    The case's shape is moved along the axis so that its slice lies where the given one does. Of equals the one
    is taken that moves least, and of these the first.

    Args:
        shapes: of the training.
    """

    def __init__(self, shapes: TrainingShapes) -> None:
        self.shapes = shapes

    def __call__(
        self, mask: Bool[np.ndarray, "s s"], axis: int, index: int, structure: str
    ) -> Bool[np.ndarray, "s s s"]:
        masks = self.shapes.of(structure)
        overlap = slice_ious(mask, masks, axis)
        equals = np.argwhere(overlap == overlap.max())
        case, at = equals[np.abs(equals[:, 1] - index).argmin()].tolist()
        steps = [0, 0, 0]
        steps[axis] = index - at
        return shifted(masks[case], steps)


def slice_ious(
    mask: Bool[np.ndarray, "s s"], masks: Bool[np.ndarray, "n s s s"], axis: int
) -> Float32[np.ndarray, "n s"]:
    """Intersection over union of a mask with every slice across an axis of every volume; 0 where both are empty."""
    rows = np.moveaxis(masks, axis + 1, 1).reshape(*masks.shape[:2], -1)
    both = rows[:, :, mask.ravel()].sum(axis=2, dtype=np.float32)
    either = rows.sum(axis=2, dtype=np.float32) + np.float32(mask.sum()) - both
    return np.asarray(both / np.maximum(either, 1), np.float32)


def _fit(shape: Bool[np.ndarray, "s s s"], masks: Bool[np.ndarray, "n s s s"]) -> float:
    """Mean Dice of one shape with every mask, none of them empty."""
    both = masks[:, shape].sum(axis=1, dtype=np.float64)
    return float((2 * both / (masks.sum(axis=(1, 2, 3), dtype=np.float64) + shape.sum())).mean())
