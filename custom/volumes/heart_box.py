"""A label map becomes the labels in its heart's box."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..anatomy import PUBLIC_CARDIAC_CT, table
from ..headers import header_in, loaded_affine_mm
from ..space import Frame, index_to_unit
from .heart_frame import cut_out, estimated_frame, extents_of, inside_of
from .roi import find_roi

LOGGER = logging.getLogger(__name__)


class HeartBoxd(MapTransform):
    """Replace a label map [1, i, j, k] by the labels in the heart's box [1, d, h, w], its own voxels in unit order.

    The box is that of all structures and a margin. If ``typical_extents`` is given and a structure is missing, the box
    is estimated from the structures that are there: without the great vessels a heart's own box is a shorter one, in
    which a trained field would find nothing at its place. Such a box may reach beyond the volume.

    Beside it, for key ``label``: ``label_frame`` (plain lists), ``label_voxels`` [structures], ``label_extents``
    [structures, 2, 3] (unit (x, y, z), NaN where absent), ``label_inside`` [2, 3] (the box's first and last position
    (d, h, w) that lies in the volume). A map of background alone has an empty frame and a box of one voxel.

    Args:
        keys: label maps, MONAI ``MetaTensor`` with an affine.
        margin: voxels around all structures.
        label_table: name of the structure table.
        typical_extents: where structures usually lie, first and last unit (x, y, z) by their name; from a checkpoint.
        unlabelled: structures whose labels are ignored; their voxels count as background.
        slices_axis: see :func:`custom.volumes.heart_frame.estimated_frame`; the box is then always estimated.
    """

    def __init__(
        self,
        keys: KeysCollection,
        margin: int = 4,
        label_table: str = PUBLIC_CARDIAC_CT.name,
        typical_extents: Mapping[str, Sequence[Sequence[float]]] | None = None,
        unlabelled: Sequence[str] = (),
        slices_axis: int | None = None,
    ) -> None:
        super().__init__(keys)
        labels_of = table(label_table)
        self.margin, self.indices = margin, labels_of.indices
        self.unlabelled = [labels_of[name].index for name in unlabelled]
        self.slices_axis = slices_axis
        self.typical_extents = {
            labels_of[name].index: [list(end) for end in pair] for name, pair in (typical_extents or {}).items()
        }

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            labels = np.asarray(item[key][0]).astype(np.uint8)
            labels[np.isin(labels, self.unlabelled)] = 0
            frame = self._frame(labels, loaded_affine_mm(item[key]), str(item.get("case", key)))
            frame = replace(frame, header=header_in(item[key].meta))
            box = np.zeros((1, 1, 1), np.uint8) if frame.empty else cut_out(labels, frame)
            item[key] = torch.from_numpy(box)[None]
            item[f"{key}_frame"] = frame.to_dict()
            counts = np.bincount(box.ravel(), minlength=256)[list(self.indices)]
            item[f"{key}_voxels"] = torch.from_numpy(counts.astype(np.int64))
            item[f"{key}_extents"] = torch.from_numpy(self._extents(box))
            item[f"{key}_inside"] = torch.from_numpy(inside_of(frame))
        return item

    def _frame(self, labels: UInt8[np.ndarray, "i j k"], affine: np.ndarray, case: str) -> Frame:
        typical_extents = {index: np.asarray(pair, dtype=np.float64) for index, pair in self.typical_extents.items()}
        lacking = [index for index in typical_extents if not (labels == index).any()]
        if lacking or (typical_extents and self.slices_axis is not None):
            return estimated_frame(labels, affine, typical_extents, self.slices_axis)
        roi = find_roi(labels > 0, affine, self.margin)
        if roi.left_out_voxels:
            LOGGER.info("%s: %d voxels of far crumbs left out", case, roi.left_out_voxels)
        return roi.frame

    def _extents(self, box: UInt8[np.ndarray, "d h w"]) -> Float[np.ndarray, "c 2 3"]:
        found = extents_of(box, self.indices)
        nowhere = np.full((2, 3), np.nan)
        units = [
            index_to_unit(np.stack(found[index]), box.shape) if index in found else nowhere for index in self.indices
        ]
        return np.stack(units).astype(np.float32)
