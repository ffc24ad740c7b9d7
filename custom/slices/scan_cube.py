"""The cube of a case: so many voxels a side at so many mm, in patient axes, wherever the scan's own grid lies (C1).

The axes of the cube are the scan's own directions, made orthogonal where its affine shears and turned to the order
Right, Anterior, Superior nearest to them: axis 0 is sagittal, 1 coronal and 2 axial in every case, and an oblique scan
stays oblique. Where each voxel lies in the world is the affine's to say, before and after.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8
from monai.config import KeysCollection
from monai.transforms import MapTransform
from nibabel.affines import voxel_sizes
from nibabel.orientations import io_orientation
from scipy import ndimage

from ..errors import InputError
from ..headers import loaded_affine_mm
from .nearest_label import TIE, covered, nearest_labels, on_halves

SIZE, SPACING_MM = 64, 3.0
"""The published cube: 192 mm a side."""

AIR_HU = -1024.0
"""What is written where the scan does not reach."""

CENTRES = ("grid", "heart")


@dataclass(frozen=True, eq=False)
class Cube:
    """A scan and its label map on the cube's grid.

    Attributes:
        image_hu: Hounsfield units; :data:`AIR_HU` where the scan does not reach.
        labels: index of the structure at each voxel, 0 for background.
        affine: voxel ijk of the cube to world mm (RAS).
    """

    image_hu: Float32[np.ndarray, "s s s"]
    labels: UInt8[np.ndarray, "s s s"]
    affine: Float64[np.ndarray, "4 4"]


def upright_axes(affine: Float[np.ndarray, "4 4"]) -> Float64[np.ndarray, "3 3"]:
    """Columns of length 1: the orthogonal directions nearest to an affine's, in the order R, A, S, none mirrored."""
    directions = np.asarray(affine, np.float64)[:3, :3] / voxel_sizes(affine)
    left, _, right = np.linalg.svd(directions)
    orthogonal = left @ right
    orientation = io_orientation(affine)
    axes = np.empty((3, 3))
    for source, (world, sign) in enumerate(orientation):
        axes[:, int(world)] = orthogonal[:, source] * sign
    return axes


def fits_already(shape: Sequence[int], affine: Float[np.ndarray, "4 4"], size: int, spacing_mm: float) -> bool:
    """Whether a grid is the cube's but for order and direction of its axes: then no value is interpolated."""
    edges = np.asarray(affine, np.float64)[:3, :3] / spacing_mm
    return tuple(shape) == (size,) * 3 and bool(np.allclose(edges.T @ edges, np.eye(3), atol=2 * TIE))


def cube_affine(
    labels: UInt8[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    size: int = SIZE,
    spacing_mm: float = SPACING_MM,
    centre: str = "grid",
) -> Float64[np.ndarray, "4 4"]:
    """The affine of a case's cube.

    Args:
        labels: with at least one voxel of a structure if ``centre`` is ``heart``.
        affine: its voxel ijk to world mm.
        size: voxels a side.
        spacing_mm: edge of the cube's voxels.
        centre: ``grid``, the middle of the label map's grid, which no label moves; ``heart``, the middle of the box
            round all structures along the cube's axes: for scans that are larger than the cube, whose truth then says
            where the cube is. A grid that fits already stays where it is.
    """
    axes, affine = upright_axes(affine), np.asarray(affine, np.float64)
    grid_middle = (np.asarray(labels.shape, np.float64) - 1) / 2
    middle_mm = affine[:3, :3] @ grid_middle + affine[:3, 3]
    if centre == "heart" and not fits_already(labels.shape, affine, size, spacing_mm):
        along = _world(np.argwhere(labels > 0), affine) @ axes
        middle_mm = axes @ ((along.min(axis=0) + along.max(axis=0)) / 2)
    result = np.eye(4)
    result[:3, :3] = axes * spacing_mm
    result[:3, 3] = middle_mm - result[:3, :3] @ np.full(3, (size - 1) / 2)
    return result


def make_cube(
    image_hu: Float[np.ndarray, "i j k"],
    labels: UInt8[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    size: int = SIZE,
    spacing_mm: float = SPACING_MM,
    centre: str = "grid",
) -> Cube:
    """A scan and its label map on the cube's grid: labels of the nearest voxel, the image linear.

    Where a voxel of the cube lies midway between voxels of the scan,
    :func:`custom.slices.nearest_label.nearest_labels` says which label it has.

    A grid that is the cube's already, in any order and direction of its axes, keeps every value. A cube voxel whose
    centre lies in no voxel of the scan is background and air.

    Args:
        image_hu, labels: on one grid.
        affine: its voxel ijk to world mm; may shear and mirror.
        size, spacing_mm, centre: of :func:`cube_affine`.

    Raises:
        InputError: no structure in the labels; a structure that reaches out of the cube.
    """
    if not labels.any():
        raise InputError("labels", "background alone", "at least one structure", "Leave the case out.")
    affine = np.asarray(affine, np.float64)
    target = cube_affine(labels, affine, size, spacing_mm, centre)
    _refuse_cut(labels, affine, target, size)
    places = _places(labels.shape, affine, target, size)
    inside = covered(places, (labels.shape[0], labels.shape[1], labels.shape[2]))
    nearest = nearest_labels(labels, places)
    image = ndimage.map_coordinates(np.asarray(image_hu, np.float32), places, order=1, mode="nearest")
    cube = (size,) * 3
    return Cube(
        np.where(inside, image, np.float32(AIR_HU)).reshape(cube).astype(np.float32),
        np.where(inside, nearest, 0).reshape(cube).astype(np.uint8),
        target,
    )


def _world(points_ijk: np.ndarray, affine: np.ndarray) -> Float64[np.ndarray, "n 3"]:
    return np.asarray(points_ijk @ affine[:3, :3].T + affine[:3, 3], np.float64)


def _places(shape: Sequence[int], affine: np.ndarray, target: np.ndarray, size: int) -> Float64[np.ndarray, "3 n"]:
    """Where each voxel centre of the cube lies in the source grid, in its voxels."""
    change = np.linalg.inv(affine) @ target
    ijk = np.indices((size,) * 3).reshape(3, -1)
    places = change[:3, :3] @ ijk + change[:3, 3:]
    return on_halves(places)


def _refuse_cut(labels: np.ndarray, affine: np.ndarray, target: np.ndarray, size: int) -> None:
    inverse = np.linalg.inv(target)
    found = np.argwhere(labels > 0)
    places = _world(found, inverse @ affine)
    out = int(((places < -0.5 - TIE) | (places > size - 0.5 + TIE)).any(axis=1).sum())
    if out:
        side_mm = size * voxel_sizes(target)[0]
        what = f"{out} of {len(found)} labelled voxels out of the cube of {side_mm:g} mm"
        remedy = "Use --centre heart, a larger --size or --spacing_mm, or leave the case out."
        raise InputError("labels", what, "all of them in it", remedy)


class MakeCubed(MapTransform):
    """:func:`make_cube` of an image and a label map as MONAI loads them: [i, j, k] or [1, i, j, k] with an affine.

    The image becomes [1, s, s, s] in HU, the labels [1, s, s, s], and ``affine_key`` holds the cube's affine.

    Args:
        keys: of the image and of the label map, in this order.
        size, spacing_mm, centre: of :func:`make_cube`.
        affine_key: where the affine goes.

    Raises:
        InputError: as :func:`make_cube`; keys other than two.
    """

    def __init__(
        self,
        keys: KeysCollection = ("image", "label"),
        size: int = SIZE,
        spacing_mm: float = SPACING_MM,
        centre: str = "grid",
        affine_key: str = "affine",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 2:
            raise InputError("keys", str(self.keys), "the image's and the label map's", "Give both.")
        self.settings: dict[str, Any] = {"size": size, "spacing_mm": spacing_mm, "centre": centre}
        self.affine_key = affine_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        made = dict(data)
        image, label = (np.asarray(made[key]) for key in self.keys)
        image, label = (volume[0] if volume.ndim == 4 else volume for volume in (image, label))
        affine = loaded_affine_mm(made[self.keys[1]])
        cube = make_cube(image, label.astype(np.uint8), affine, **self.settings)
        made |= {self.keys[0]: cube.image_hu[None], self.keys[1]: cube.labels[None], self.affine_key: cube.affine}
        return made
