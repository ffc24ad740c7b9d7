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
from jaxtyping import Float, Integer, Shaped
from nibabel.affines import voxel_sizes
from nibabel.orientations import io_orientation

from .headers import GridHeader

_ROUNDED = 1e-5
"""Spacings that differ by this share are one: affines are often stored in single precision."""

_WHOLE = 1e-6
"""And so much of a field of view is no reason for one more voxel."""


def index_to_unit(index_dhw: Integer[np.ndarray, "n 3"] | Float[np.ndarray, "n 3"], shape: Sequence[int]) -> np.ndarray:
    """Unit (x, y, z) of array positions (d, h, w) in an array of ``shape``; a single-voxel axis maps to 0."""
    span = np.maximum(np.asarray(shape, dtype=np.float64) - 1, 1)
    unit_zyx = np.where(np.asarray(shape) > 1, 2 * np.asarray(index_dhw) / span - 1, 0.0)
    return unit_zyx[:, ::-1]


def unit_to_index(points_unit: Float[np.ndarray, "n 3"], shape: Sequence[int]) -> np.ndarray:
    """Array positions (d, h, w), fractional, of unit (x, y, z); the inverse of :func:`index_to_unit`."""
    return (points_unit[:, ::-1] + 1) / 2 * (np.asarray(shape, dtype=np.float64) - 1)


def _ras_axes(affine: Float[np.ndarray, "a b"]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """For world R, A, S: the voxel axis nearest to it, and +1 or -1 for its direction."""
    orientation = io_orientation(affine)
    order = [int(np.flatnonzero(orientation[:, 0] == world)[0]) for world in range(3)]
    signs = [int(orientation[axis, 1]) for axis in order]
    return (order[0], order[1], order[2]), (signs[0], signs[1], signs[2])


def to_ras_order(
    array: Shaped[np.ndarray, "*channels i j k"], affine: Float[np.ndarray, "4 4"]
) -> tuple[Shaped[np.ndarray, "*channels x y z"], Float[np.ndarray, "4 4"]]:
    """A view whose axes run nearest to patient Right, Anterior and Superior, and its affine: whatever is computed of
    the two is the same for every order in which a volume can be stored.

    Both come back as they are if they run so already.
    """
    order, signs = _ras_axes(affine)
    if order == (0, 1, 2) and signs == (1, 1, 1):
        return array, affine
    turn = np.zeros((4, 4))
    turn[3, 3] = 1.0
    for world, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        turn[axis, world], turn[axis, 3] = sign, array.shape[axis - 3] - 1 if sign < 0 else 0
    return _turned(array, order)[_flips(signs)], affine @ turn


def from_ras_order(
    array: Shaped[np.ndarray, "*channels x y z"], affine: Float[np.ndarray, "4 4"]
) -> Shaped[np.ndarray, "*channels i j k"]:
    """The inverse of :func:`to_ras_order`, a view; the affine is that of the volume as it is stored."""
    order, signs = _ras_axes(affine)
    i, j, k = (int(axis) for axis in np.argsort(order))
    return _turned(array[_flips(signs)], (i, j, k))


def _flips(signs: tuple[int, int, int]) -> tuple[Any, ...]:
    return (..., *(slice(None, None, sign) for sign in signs))


def _turned(array: np.ndarray, order: tuple[int, int, int]) -> np.ndarray:
    """The last three axes in another order."""
    channels = array.ndim - 3
    return array.transpose(*range(channels), *(channels + axis for axis in order))


@dataclass(frozen=True)
class Frame:
    """A box of voxels in a label map, and the unit cube laid over it.

    A structure that a case lacks has an empty box: ``high_ijk`` lies below ``low_ijk``.

    Attributes:
        affine: (4, 4), voxel ijk to world mm.
        shape: the whole label map's shape.
        low_ijk: first voxel of the box.
        high_ijk: last voxel of the box, inclusive.
        header: of the file that the label map came from, for what is written on the same grid; ``None``: not known.
    """

    affine: Float[np.ndarray, "4 4"]
    shape: tuple[int, int, int]
    low_ijk: tuple[int, int, int]
    high_ijk: tuple[int, int, int]
    header: GridHeader | None = None

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
        return _ras_axes(self.affine)

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
        """The frame of the same box on an isotropic grid of ``spacing_mm`` over the whole field of view.

        The grid has the label map's middle and reaches to the outer faces of its voxels, or less than half a new voxel
        beyond them. Its box holds the new voxels whose centres lie in the box's voxels. At the label map's own spacing
        the frame is this very one; otherwise it has no header.
        """
        step = self._step(spacing_mm)
        if (step == 1).all():
            return self
        size = np.asarray(self.shape) / step
        shape = np.maximum(np.ceil(size - _WHOLE * np.maximum(size, 1)).astype(int), 1)
        first = (np.asarray(self.shape) - 1) / 2 - (shape - 1) / 2 * step
        low, high = np.zeros(3, dtype=int), np.full(3, -1)
        if not self.empty:
            low = np.ceil((np.asarray(self.low_ijk) - 0.5 - first) / step - 1e-9).astype(int)
            high = np.floor((np.asarray(self.high_ijk) + 0.5 - first) / step + 1e-9).astype(int)
        change = np.diag([*step, 1.0])
        change[:3, 3] = first
        corners = (tuple(int(v) for v in corner) for corner in (shape, low, high))
        return Frame(self.affine @ change, *corners)  # type: ignore[arg-type]

    def _step(self, spacing_mm: float | Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
        """Voxels of this grid that one of ``spacing_mm`` is long; exactly 1 where the two differ by rounding alone."""
        step = spacing_mm / self.spacing_mm
        return np.asarray(np.where(np.abs(step - 1) <= _ROUNDED, 1.0, step))

    def unit_axes_of(self, grid: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit z, y and x coordinates, ascending, of the box voxels of ``grid``: itself or a regridding.

        A voxel whose centre lies beyond that of the box's outermost one takes its coordinate, -1 or 1; along an axis of
        the box that is one voxel long all are 0. Places are counted from the middle, so that the same anatomy stored in
        another voxel order has the same coordinates to the bit.
        """
        order, signs = self.axes
        step = self._step(grid.spacing_mm)
        axes = []
        for axis, sign in zip(order[::-1], signs[::-1], strict=True):
            low, high = self.low_ijk[axis], self.high_ijk[axis]
            from_middle = np.arange(grid.low_ijk[axis], grid.high_ijk[axis] + 1) - (grid.shape[axis] - 1) / 2
            from_box = from_middle * step[axis] + ((self.shape[axis] - 1) - (low + high)) / 2
            unit = np.clip(2 * from_box / max(high - low, 1), -1, 1) if high > low else np.zeros(len(from_box))
            axes.append((sign * unit)[::sign])
        return axes[0], axes[1], axes[2]

    def unit_to_world(self, points_unit: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Unit to world mm, RAS+."""
        return np.asarray(self.unit_to_ijk(points_unit) @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, for a JSON file or a checkpoint; :meth:`from_dict` reads them back."""
        plain: dict[str, Any] = {
            "affine": np.asarray(self.affine, dtype=np.float64).tolist(),
            "shape": list(self.shape),
            "low_ijk": list(self.low_ijk),
            "high_ijk": list(self.high_ijk),
        }
        return plain if self.header is None else {**plain, "header": self.header.to_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Frame:
        shape, low, high = (tuple(int(v) for v in data[key]) for key in ("shape", "low_ijk", "high_ijk"))
        affine = np.asarray(data["affine"], dtype=np.float64)
        header = GridHeader.from_dict(data["header"]) if data.get("header") is not None else None
        return cls(affine, shape, low, high, header)  # type: ignore[arg-type]


def same_grid(affine: np.ndarray, other: np.ndarray, shape: Sequence[int]) -> bool:
    """Whether two affines put every voxel of a volume at the same place in the world, to a tenth of the smallest voxel
    edge: other programs round."""
    far = np.asarray(shape, dtype=np.float64) - 1
    corners = np.array([[i, j, k, 1.0] for i in (0, far[0]) for j in (0, far[1]) for k in (0, far[2])])
    apart_mm = np.linalg.norm((corners @ (affine - other).T)[:, :3], axis=1)
    return bool(apart_mm.max() <= 0.1 * np.linalg.norm(affine[:3, :3], axis=0).min())


@dataclass(frozen=True)
class VoxelOrder:
    """How the axes of an array are turned and swapped to become those of another array of the same voxels.

    Attributes:
        turned: which axes of the array are read backwards.
        axes: of the array, in the order of the other's.
    """

    turned: tuple[bool, bool, bool]
    axes: tuple[int, int, int]

    def of(self, array: Shaped[np.ndarray, "i j k"]) -> Shaped[np.ndarray, "a b c"]:
        """The array in the other order; itself if that is its own."""
        if self.axes == (0, 1, 2) and not any(self.turned):
            return array
        straight = array[tuple(slice(None, None, -1 if back else 1) for back in self.turned)]
        return np.asfortranarray(straight.transpose(self.axes))


def voxel_order(
    shape: Sequence[int],
    affine: Float[np.ndarray, "4 4"],
    target_shape: Sequence[int],
    target_affine: Float[np.ndarray, "4 4"],
) -> VoxelOrder | None:
    """The way from one grid to another one that holds the same voxels, see :func:`same_grid`, in another order.

    Args:
        shape, affine: of the one; voxel ijk to world mm.
        target_shape, target_affine: of the other.

    Returns:
        ``None`` if the two differ in more than the order and direction of their axes.
    """
    change = np.linalg.solve(np.asarray(target_affine, np.float64)[:3, :3], np.asarray(affine, np.float64)[:3, :3])
    towards = [int(axis) for axis in np.abs(change).argmax(axis=0)]  # for each axis of the one, the other's
    i, j, k = (int(axis) for axis in np.argsort(towards))
    if sorted(towards) != [0, 1, 2] or tuple(shape[axis] for axis in (i, j, k)) != tuple(target_shape):
        return None
    turn = np.diag([0.0, 0, 0, 1])
    for axis, other in enumerate(towards):
        backwards = change[other, axis] < 0
        turn[axis, other], turn[axis, 3] = (-1, shape[axis] - 1) if backwards else (1, 0)
    if not same_grid(np.asarray(affine, np.float64) @ turn, np.asarray(target_affine), target_shape):
        return None
    x, y, z = (bool(change[other, axis] < 0) for axis, other in enumerate(towards))
    return VoxelOrder((x, y, z), (i, j, k))
