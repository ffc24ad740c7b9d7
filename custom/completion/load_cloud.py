"""Load a case's cloud and label map as arrays in the frame: targets, and voxels of validation."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from monai.transforms import Transform

from ..anatomy import PUBLIC_CARDIAC_CT, table
from ..data.label_maps import read_label_map
from ..errors import InputError
from ..space import to_ras_order
from ..surfaces.point_cloud import Cloud


def lattice(
    labels: UInt8[np.ndarray, "i j k"], positions: Int64[np.ndarray, " v"], most: int
) -> tuple[Int64[np.ndarray, "n 3"], UInt8[np.ndarray, " n"]]:
    """Every s-th voxel along each axis, of the smallest s that leaves at most ``most``, and the label there.

    Args:
        labels: of the whole grid.
        positions: by value of a label, its number from 1 in the table; 0 for background.
        most: at least 1.
    """
    step = max(1, math.floor((labels.size / most) ** (1 / 3)))
    while math.prod(-(-size // step) for size in labels.shape) > most and step < max(labels.shape):
        step += 1
    part = labels[::step, ::step, ::step]
    ijk = np.stack(np.unravel_index(np.arange(part.size), part.shape), axis=1) * step
    return ijk, positions[part.ravel()].astype(np.uint8)


class LoadCompletiond(Transform):
    """Read the cloud of an item, and lay a lattice over its label map.

    Adds ``cloud``, the arrays of :meth:`custom.surfaces.point_cloud.Cloud.in_frame`, and ``label_valid`` [structures],
    bool: labelled by the item's word and present in the label map. A structure that a label map lacks is unknown, not
    absent: hearts have all of them. With a lattice ``lattice`` [3, n], points of the frame, and ``lattice_labels``
    [n], numbers from 1 of the structure at each: the label map's own voxels, which no distance was made of.

    Args:
        label_table: name of the table.
        lattice_points: most points of the lattice; 0 for none.
        scale_mm: of the frame that all clouds share; 0 takes each as it is.

    Raises:
        InputError: a cloud of another table or frame, or nothing labelled in the case.
    """

    def __init__(
        self, label_table: str = PUBLIC_CARDIAC_CT.name, lattice_points: int = 0, scale_mm: float | int = 0
    ) -> None:
        self.table, self.lattice_points, self.scale_mm = table(label_table), lattice_points, float(scale_mm)
        self.positions = np.zeros(256, dtype=np.int64)
        self.positions[list(self.table.indices)] = np.arange(1, len(self.table) + 1)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        path = item["cloud"]
        cloud = Cloud.read(path)
        if cloud.label_table != self.table.name:
            found, wanted = f"a cloud of the table {cloud.label_table}", f"one of {self.table.name}"
            raise InputError(path, found, wanted, f"Give --label_table {cloud.label_table}.")
        if self.scale_mm and cloud.scale_mm != self.scale_mm:
            found, wanted = f"a frame of {cloud.scale_mm:g} mm", f"one of {self.scale_mm:g} mm, as of the others"
            raise InputError(path, found, wanted, "Make all clouds with the same settings.")
        item["cloud"] = cloud.in_frame()
        item["label_valid"] = np.asarray(cloud.present) & np.asarray(item["labelled"])
        if not item["label_valid"].any():
            found, remedy = "no structure that is labelled there", "Take the case out, or correct what is labelled."
            raise InputError(path, found, "at least one", remedy)
        if self.lattice_points:
            item["lattice"], item["lattice_labels"] = self._lattice(item, cloud)
        return item

    def _lattice(
        self, item: Mapping[Hashable, Any], cloud: Cloud
    ) -> tuple[Float32[np.ndarray, "3 n"], UInt8[np.ndarray, " n"]]:
        given = read_label_map(item["label"], self.table)
        whole, affine = to_ras_order(given.labels, given.affine)
        ijk, labels = lattice(whole, self.positions, self.lattice_points)
        points = cloud.to_frame(ijk @ affine[:3, :3].T + affine[:3, 3])
        inside = np.abs(points).max(axis=1) <= 1
        return np.ascontiguousarray(points[inside].T), labels[inside]
