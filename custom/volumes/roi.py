"""The region of interest of one structure: its bounding box and a margin, with the way back (requirement A1.1)."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
import torch
from jaxtyping import Bool, Float
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..anatomy import PUBLIC_CARDIAC_CT, table
from ..headers import GridHeader, header_in, loaded_affine_mm
from ..space import Frame
from .components import connected
from .resampling import resize

LOGGER = logging.getLogger(__name__)

MAJOR_FRACTION = 0.05
"""A component of at least this share of the largest one always counts towards the box."""


@dataclass(frozen=True)
class Roi:
    """One structure of one case.

    Attributes:
        frame: where the box lies in the label map.
        mask: the structure inside the box, voxel axes.
        left_out_voxels: voxels of far crumbs outside of the box (see :func:`bounding_box`).
    """

    frame: Frame
    mask: Bool[np.ndarray, "i j k"]
    left_out_voxels: int = 0


def bounding_box(mask: Bool[np.ndarray, "i j k"], margin: int = 10) -> tuple[np.ndarray, np.ndarray] | None:
    """First and last voxel (inclusive) of the structure's box, ``margin`` voxels wider, cut at the volume's edge.

    A far crumb of noise must not blow the box up, and a cut-off vessel must not fall out of it. So the box starts from
    all 26-connected components of at least 5 % of the largest one's volume; a smaller component is taken in if it
    reaches into the box with its margin, and the box grows by it, until no more join. What remains is a far crumb.

    Returns:
        ``None`` for an empty mask.
    """
    labels, count = connected(mask, connectivity=26)
    if count == 0:
        return None
    statistics = cc3d.statistics(np.ascontiguousarray(labels))
    sizes = statistics["voxel_counts"][1:].astype(np.int64)
    boxes = np.asarray([[[s.start, s.stop - 1] for s in box] for box in statistics["bounding_boxes"][1:]])
    inside = sizes >= MAJOR_FRACTION * sizes.max()
    while True:
        low, high = boxes[inside, :, 0].min(axis=0) - margin, boxes[inside, :, 1].max(axis=0) + margin
        reached = inside | ((boxes[:, :, 0] <= high) & (boxes[:, :, 1] >= low)).all(axis=1)
        if (reached == inside).all():
            break
        inside = reached
    return np.maximum(low, 0), np.minimum(high, np.asarray(mask.shape) - 1)


def find_roi(
    mask: Bool[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    margin: int = 10,
    header: GridHeader | None = None,
) -> Roi:
    """The region of interest of ``mask``; its frame is empty if the mask is, and carries the ``header``."""
    box = bounding_box(mask, margin) or (np.zeros(3, dtype=int), np.full(3, -1))
    low, high = (tuple(int(v) for v in corner) for corner in box)
    frame = Frame(np.asarray(affine, dtype=np.float64), mask.shape, low, high, header)  # type: ignore[arg-type]
    crop = np.ascontiguousarray(mask[frame.box])
    return Roi(frame, crop, int(mask.sum()) - int(crop.sum()))


def to_cube(roi: Roi, resolution: int) -> Float[np.ndarray, "d h w"]:
    """The structure's occupancy, 0 to 1, on ``resolution``^3 points of the unit cube."""
    return resize(roi.frame.to_unit_order(roi.mask).astype(np.float32), (resolution,) * 3)


def paste(crop: np.ndarray, frame: Frame) -> np.ndarray:
    """An array of the box, voxel axes, put back into zeros of the whole label map's shape."""
    whole = np.zeros(frame.shape, dtype=crop.dtype)
    whole[frame.box] = crop
    return whole


class StructureCubed(MapTransform):
    """Replace a label map [1, i, j, k] by one structure's occupancy cube [1, R, R, R], uint8 with 255 = inside.

    The frame goes to ``<key>_frame`` as plain lists. A case without the structure gets an empty cube and an empty
    frame.

    Args:
        keys: label maps, MONAI ``MetaTensor`` with an affine.
        structure: name or index in ``label_table``.
        resolution: voxels a side of the cube (A1.1: 128 for training by default).
        margin: voxels around the bounding box (A1.1: 10).
        label_table: name of the structure table.
    """

    def __init__(
        self,
        keys: KeysCollection,
        structure: str | int,
        resolution: int = 128,
        margin: int = 10,
        label_table: str = PUBLIC_CARDIAC_CT.name,
    ) -> None:
        super().__init__(keys)
        self.index = table(label_table)[structure].index
        self.resolution = resolution
        self.margin = margin

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            labels = item[key]
            mask = np.asarray(labels[0]) == self.index
            roi = find_roi(mask, loaded_affine_mm(labels), self.margin, header_in(labels.meta))
            cube = np.zeros((self.resolution,) * 3, np.uint8)
            if not roi.frame.empty:
                cube = np.rint(255 * to_cube(roi, self.resolution)).astype(np.uint8)
            if roi.left_out_voxels:
                LOGGER.info("%s: %d voxels of far crumbs left out", item.get("case", key), roi.left_out_voxels)
            item[f"{key}_frame"] = roi.frame.to_dict()
            item[key] = torch.from_numpy(cube)[None]
        return item
