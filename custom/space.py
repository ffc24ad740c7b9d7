"""Frames and signs; the only module that swaps axes.

Three frames are used everywhere:

- *voxel*: ``ijk``, the label map's own axes, voxel centres at integers;
- *unit*: the cube [-1, 1]^3 a field lives on, coordinates in the order (x, y, z) that ``grid_sample`` wants; x, y, z
  run along the voxel axes nearest to patient Right, Anterior and Superior, so that all cases share one orientation;
  -1 and +1 lie on the centres of the box's first and last voxel (``align_corners=True``);
- *world*: millimetres, RAS+, by the label map's affine.

An array on the unit cube is indexed ``[d, h, w]`` = (z, y, x). Inside of a structure is negative wherever a signed
distance is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from nibabel.affines import voxel_sizes
from nibabel.orientations import io_orientation


def index_to_unit(index_dhw: Integer[np.ndarray, "n 3"] | Float[np.ndarray, "n 3"], shape: Sequence[int]) -> np.ndarray:
    """Unit (x, y, z) of array positions (d, h, w) in an array of ``shape``; a single-voxel axis maps to 0."""
    span = np.maximum(np.asarray(shape, dtype=np.float64) - 1, 1)
    unit_zyx = np.where(np.asarray(shape) > 1, 2 * np.asarray(index_dhw) / span - 1, 0.0)
    return unit_zyx[:, ::-1]


def unit_to_index(points_unit: Float[np.ndarray, "n 3"], shape: Sequence[int]) -> np.ndarray:
    """Array positions (d, h, w), fractional, of unit (x, y, z); the inverse of :func:`index_to_unit`."""
    return (points_unit[:, ::-1] + 1) / 2 * (np.asarray(shape, dtype=np.float64) - 1)


@dataclass(frozen=True)
class Frame:
    """A box of voxels in a label map, and the unit cube laid over it.

    A structure that a case lacks has an empty box: ``high_ijk`` lies below ``low_ijk``.

    Attributes:
        affine: (4, 4), voxel ijk to world mm.
        shape: the whole label map's shape.
        low_ijk: first voxel of the box.
        high_ijk: last voxel of the box, inclusive.
    """

    affine: Float[np.ndarray, "4 4"]
    shape: tuple[int, int, int]
    low_ijk: tuple[int, int, int]
    high_ijk: tuple[int, int, int]

    @property
    def box_shape(self) -> tuple[int, int, int]:
        i, j, k = (high - low + 1 for low, high in zip(self.low_ijk, self.high_ijk, strict=True))
        return i, j, k

    @property
    def empty(self) -> bool:
        return min(self.box_shape) <= 0

    @property
    def unit_shape(self) -> tuple[int, int, int]:
        """The box's shape in unit order (d, h, w)."""
        order, _ = self.axes
        d, h, w = (self.box_shape[axis] for axis in order[::-1])
        return d, h, w

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Slices that cut the box out of an array of ``shape``."""
        i, j, k = (slice(low, high + 1) for low, high in zip(self.low_ijk, self.high_ijk, strict=True))
        return i, j, k

    @property
    def spacing_mm(self) -> Float[np.ndarray, "3"]:
        """Voxel size along i, j, k."""
        return np.asarray(voxel_sizes(self.affine), dtype=np.float64)

    @property
    def axes(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """For unit x, y, z: the voxel axis it runs along, and +1 or -1 for its direction."""
        orientation = io_orientation(self.affine)
        order = [int(np.flatnonzero(orientation[:, 0] == world)[0]) for world in range(3)]
        signs = [int(orientation[axis, 1]) for axis in order]
        return (order[0], order[1], order[2]), (signs[0], signs[1], signs[2])

    def to_unit_order(self, array_ijk: np.ndarray) -> np.ndarray:
        """A view of an array with voxel axes as ``[d, h, w]`` along unit z, y, x."""
        order, signs = self.axes
        turned = array_ijk.transpose(order[::-1])
        return turned[tuple(slice(None, None, sign) for sign in signs[::-1])]

    def from_unit_order(self, array_dhw: np.ndarray) -> np.ndarray:
        """The exact inverse of :meth:`to_unit_order`."""
        order, signs = self.axes
        straight = array_dhw[tuple(slice(None, None, sign) for sign in signs[::-1])]
        return straight.transpose(np.argsort(order[::-1]))

    def ijk_to_unit(self, points_ijk: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Voxel to unit; along an axis of the box that is one voxel long, 0."""
        order, signs = self.axes
        span = np.asarray(self.box_shape, dtype=np.float64) - 1
        along = np.where(span > 0, 2 * (points_ijk - np.asarray(self.low_ijk)) / np.maximum(span, 1) - 1, 0.0)
        return np.asarray(along[:, list(order)] * np.asarray(signs, dtype=np.float64))

    def unit_to_ijk(self, points_unit: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Unit to voxel, fractional; along an axis of the box that is one voxel long, that voxel."""
        order, signs = self.axes
        along = np.empty_like(points_unit)
        along[:, list(order)] = points_unit * np.asarray(signs, dtype=np.float64)
        span = np.asarray(self.box_shape, dtype=np.float64) - 1
        return np.asarray((along + 1) / 2 * span + np.asarray(self.low_ijk))

    def regridded(self, spacing_mm: float) -> Frame:
        """The frame of the same box on an isotropic grid of ``spacing_mm`` that starts at the same first voxel."""
        if self.empty:
            box_low, box_high = np.zeros(3, dtype=int), np.full(3, -1)
        step = spacing_mm / self.spacing_mm
        shape = np.floor((np.asarray(self.shape) - 1) / step + 1e-9).astype(int) + 1
        if not self.empty:
            box_low = np.ceil(np.asarray(self.low_ijk) / step - 1e-9).astype(int)
            box_high = np.minimum(np.floor(np.asarray(self.high_ijk) / step + 1e-9).astype(int), shape - 1)
        affine = self.affine @ np.diag([*step, 1.0])
        corners = (tuple(int(v) for v in corner) for corner in (shape, box_low, box_high))
        return Frame(affine, *corners)  # type: ignore[arg-type]

    def unit_axes_of(self, grid: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit z, y and x coordinates, ascending, of the box voxels of ``grid``: itself or a regridding."""
        order, signs = self.axes
        span = np.maximum(np.asarray(self.box_shape, dtype=np.float64) - 1, 1)
        step = grid.spacing_mm / self.spacing_mm
        axes = []
        for axis, sign in zip(order[::-1], signs[::-1], strict=True):
            ijk = np.arange(grid.low_ijk[axis], grid.high_ijk[axis] + 1) * step[axis]
            axes.append((sign * (2 * (ijk - self.low_ijk[axis]) / span[axis] - 1))[::sign])
        return axes[0], axes[1], axes[2]

    def unit_to_world(self, points_unit: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Unit to world mm, RAS+."""
        return np.asarray(self.unit_to_ijk(points_unit) @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, for a JSON file or a checkpoint; :meth:`from_dict` reads them back."""
        return {
            "affine": np.asarray(self.affine, dtype=np.float64).tolist(),
            "shape": list(self.shape),
            "low_ijk": list(self.low_ijk),
            "high_ijk": list(self.high_ijk),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Frame:
        shape, low, high = (tuple(int(v) for v in data[key]) for key in ("shape", "low_ijk", "high_ijk"))
        affine = np.asarray(data["affine"], dtype=np.float64)
        return cls(affine, shape, low, high)  # type: ignore[arg-type]
