"""The surface of one structure of a label map, in world mm (requirement B1)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float64, Int32, UInt8
from scipy import ndimage
from skimage import measure

from ..anatomy import StructureTable
from ..space import to_ras_order
from .surface_smoothing import smoothed

PASSBAND = 10.0**-1.6
"""Of the smoothing; VTK's 10^(-4k) with k = 0.4: the best of 0.3 to 0.5 over wide and thin structures together."""

STAIRCASE = 2.0
"""A pass band that lets everything pass."""


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed surface.

    Attributes:
        vertices_mm: world mm (RAS).
        faces: rows of ``vertices_mm``, counterclockwise seen from outside.
    """

    vertices_mm: Float64[np.ndarray, "n 3"]
    faces: Int32[np.ndarray, "m 3"]

    @cached_property
    def _crosses(self) -> Float64[np.ndarray, "m 3"]:
        a, b, c = (self.vertices_mm[self.faces[:, corner]] for corner in range(3))
        return np.asarray(np.cross(b - a, c - a))

    @property
    def areas_mm2(self) -> Float64[np.ndarray, " m"]:
        """Of each triangle."""
        return np.asarray(np.linalg.norm(self._crosses, axis=1) / 2)

    @property
    def normals(self) -> Float64[np.ndarray, "m 3"]:
        """Of each triangle, outwards, of length 1; 0 for one without an area."""
        return np.asarray(self._crosses / np.maximum(np.linalg.norm(self._crosses, axis=1, keepdims=True), 1e-30))

    @property
    def volume_mm3(self) -> float:
        """What it encloses."""
        inner = self.vertices_mm - self.vertices_mm.mean(axis=0)
        return float((inner[self.faces[:, 0]] * self._crosses).sum() / 6)


def surface_of(
    mask: Bool[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"], passband: float = PASSBAND
) -> Surface:
    """The closed surface half-way between a mask's voxels and the others, its staircase smoothed.

    Every voxel centre stays on its side, whatever the smoothing. At the border of the grid the surface is closed half a
    voxel beyond the last voxel.

    Args:
        mask: with at least one voxel.
        affine: voxel ijk to world mm; may shear and mirror.
        passband: of the windowed sinc; from :data:`STAIRCASE` on the staircase is left.

    Raises:
        ValueError: the mask is empty.
    """
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if not boxes:
        raise ValueError("an empty mask has no surface")
    padded = np.pad(mask[boxes[0]], 1)
    # Of skimage's two methods only this one puts all vertices half-way; "ascent" winds counterclockwise from outside.
    start, faces, _, _ = measure.marching_cubes(
        padded.astype(np.float32), 0.5, gradient_direction="ascent", method="lorensen"
    )
    start = start.astype(np.float64)
    vertices = start
    if passband < STAIRCASE:
        vertices = smoothed(start, faces, padded, passband)
    vertices_ijk = vertices + [along.start - 1 for along in boxes[0]]
    wound = faces[:, ::-1] if np.linalg.det(affine[:3, :3]) < 0 else faces
    vertices_mm = vertices_ijk @ np.asarray(affine[:3, :3], np.float64).T + affine[:3, 3]
    return Surface(vertices_mm, np.ascontiguousarray(wound, dtype=np.int32))


def surfaces_of(
    labels: UInt8[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"], label_table: StructureTable, threads: int = 1
) -> dict[int, Surface]:
    """The surface of every structure that is there, by its index; so many structures at once.

    Marching cubes lists triangles in the order of the voxels, and what is drawn from them follows that order. So they
    are made of the label map in RAS+ order: a heart has the same surfaces however it is stored.
    """
    labels, affine = to_ras_order(labels, affine)
    boxes = ndimage.find_objects(labels, max_label=max(label_table.indices))
    there = [index for index in label_table.indices if boxes[index - 1] is not None]

    def of(index: int) -> Surface:
        box = boxes[index - 1]
        moved = np.array(affine, dtype=np.float64)
        moved[:3, 3] += moved[:3, :3] @ [along.start for along in box]
        return surface_of(labels[box] == index, moved)

    with ThreadPoolExecutor(threads) as pool:
        return dict(zip(there, pool.map(of, there), strict=True))
