"""Points for a heart of which not everything is labelled: what is not known is not answered (requirement A3, B5)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..anatomy import PUBLIC_CARDIAC_CT, table
from ..errors import InputError
from ..space import Frame, index_to_unit, unit_to_index
from .whole_heart_points import RandHeartPointsd, label_shares

UNKNOWN = -1.0
"""The target of a head at a point where nothing is known of its structure."""

MISSING_STRUCTURES = ("empty", "unknown")


class LabelledSlicesd(MapTransform):
    """Keep of a label box [1, d, h, w] the slices that hold a label, one behind the other.

    Adds ``<key>_slices``, their positions, ``<key>_along``, the axis of the box (0 to 2 for d, h, w) they are counted
    on, and ``<key>_shape``, the box's shape. A box without any label stays as it is.

    Args:
        keys: label boxes, their frame in ``<key>_frame``.
        axis: voxel axis along which the label map was labelled slice by slice; ``None``: every voxel is labelled.
    """

    def __init__(self, keys: KeysCollection, axis: int | None = None) -> None:
        super().__init__(keys)
        self.axis = axis

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        if self.axis is None:
            return item
        for key in self.key_iterator(item):
            order, _ = Frame.from_dict(item[f"{key}_frame"]).axes
            along = order[::-1].index(self.axis)
            labels = np.asarray(item[key][0])
            others = tuple(other for other in range(3) if other != along)
            slices = np.flatnonzero(labels.any(axis=others))
            if slices.size:
                item[key] = torch.from_numpy(np.ascontiguousarray(labels.take(slices, axis=along)))[None]
                item[f"{key}_slices"] = torch.from_numpy(slices)
                item[f"{key}_along"] = torch.tensor(along)
                item[f"{key}_shape"] = torch.tensor(labels.shape)
        return item


class RandLabelledPointsd(RandHeartPointsd):
    """:class:`custom.sampling.whole_heart_points.RandHeartPointsd`, with the target :data:`UNKNOWN` for what is not
    known.

    Not known are: a structure in ``unlabelled``; one without a voxel in this case, with ``missing_structures`` at
    ``unknown``; any structure at a point beyond the volume. Where only some slices are labelled, points lie in them.

    Args:
        keys: the one key of the label box.
        points_per_structure, shell_points, band_points, background_points, seed, label_table: see there.
        missing_structures: ``empty``: a structure without a voxel in a case is not there; ``unknown``: it was not
            labelled.
        unlabelled: names of structures of which nothing is known in any case.

    Raises:
        InputError: another word for ``missing_structures``, or a structure the table does not have.
    """

    def __init__(
        self,
        keys: KeysCollection,
        points_per_structure: int,
        shell_points: int,
        band_points: int,
        background_points: int,
        seed: int = 0,
        label_table: str = PUBLIC_CARDIAC_CT.name,
        missing_structures: str = "empty",
        unlabelled: Sequence[str] = (),
    ) -> None:
        super().__init__(keys, points_per_structure, shell_points, band_points, background_points, seed, label_table)
        if missing_structures not in MISSING_STRUCTURES:
            raise InputError(
                "--missing_structures",
                repr(missing_structures),
                f"one of {', '.join(MISSING_STRUCTURES)}",
                "Choose one of them.",
            )
        self.missing_structures = missing_structures
        left_out = {table(label_table)[name].index for name in unlabelled}
        self.labelled = np.asarray([index not in left_out for index in self.indices])

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        (key,) = self.key_iterator(dict(data))
        labels = np.asarray(data[key])[0]
        item = super().__call__(data)
        shape = labels.shape
        index_dhw = unit_to_index(item["image"].numpy().T.astype(np.float64), shape)
        target = item["label"].numpy()
        if f"{key}_slices" in data:
            along, shape = int(data[f"{key}_along"]), tuple(int(size) for size in data[f"{key}_shape"])
            index_dhw[:, along] = np.rint(index_dhw[:, along])
            target = label_shares(labels, index_dhw, self.indices)
            index_dhw[:, along] = np.asarray(data[f"{key}_slices"])[index_dhw[:, along].astype(np.int64)]
            item["image"] = torch.from_numpy(index_to_unit(index_dhw, shape).astype(np.float32).T.copy())
        known = self.known(np.asarray(data[f"{key}_voxels"]))[:, None] & within(
            index_dhw, np.asarray(data[f"{key}_inside"])
        )
        item["label"] = torch.from_numpy(np.where(known, target, np.float32(UNKNOWN)))
        for left in ("slices", "along", "shape", "voxels", "inside", "extents"):
            item.pop(f"{key}_{left}", None)
        return item

    def known(self, voxels: Integer[np.ndarray, " c"]) -> Bool[np.ndarray, " c"]:
        """Of which structures something is known in a case that has so many voxels of each."""
        return self.labelled & ((voxels > 0) | (self.missing_structures == "empty"))


def within(index_dhw: Float[np.ndarray, "n 3"], inside: Integer[np.ndarray, "2 3"]) -> Bool[np.ndarray, " n"]:
    """Which positions lie between the first and the last that are in the volume, half a voxel around them included."""
    return np.asarray(((index_dhw >= inside[0] - 0.5) & (index_dhw <= inside[1] + 0.5)).all(axis=1))
