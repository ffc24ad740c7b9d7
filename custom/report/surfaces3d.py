"""Surfaces of a case before and after as triangles, few enough and packed small enough for a page."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import fast_simplification
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage, sparse
from skimage import measure

from ..anatomy import StructureTable

TRIANGLES = 30_000
"""Of all structures of one version of a case."""

MARK_TRIANGLES = 8_000
"""Of all that was removed, and again of all that was added and of all that was renamed."""

_FEWEST = 800
"""No structure is given less, so that a vessel keeps its shape beside the chambers; a smaller surface has fewer."""

_COARSE_MM = 1.0
"""Of a fine grid as many voxels are taken in one step as fit in this; thin structures are always taken in full."""

_STEPS_OF_SMOOTHING = 10
_SHRINK, _SWELL = 0.5, -0.53
"""Taubin's pair: the second undoes the shrinking that the first causes."""

Version = Literal["before", "after", "both", "truth", "removed", "added", "renamed"]


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface.

    Attributes:
        name: the structure's; empty for a mark.
        version: in which it is shown; ``both`` for a structure that did not change before and after; ``removed``,
            ``added`` and ``renamed`` are marks.
        vertices_mm: world mm (RAS).
        faces: rows of ``vertices_mm``, counterclockwise seen from outside.
    """

    name: str
    version: Version
    vertices_mm: Float[np.ndarray, "n 3"]
    faces: Int[np.ndarray, "m 3"]


def case_meshes(
    before: UInt8[np.ndarray, "i j k"],
    after: UInt8[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    table: StructureTable,
    truth: UInt8[np.ndarray, "i j k"] | None = None,
) -> list[Mesh]:
    """The surfaces of every structure in both versions and in the truth, and the marks; none for what is empty.

    At most :data:`TRIANGLES` a version and :data:`MARK_TRIANGLES` a mark, shared by the square root of what each
    surface has, whatever the grid. A mark shows where a version reaches at least two voxels beyond the other one: not
    the voxel by which every surface shifts. ``renamed`` is what one structure left and another joined.
    """
    meshes: list[Mesh] = []
    coarse = max(int(_COARSE_MM / np.linalg.norm(affine[:3, :3], axis=0).max()), 1)
    removed, added = np.zeros(before.shape, dtype=bool), np.zeros(before.shape, dtype=bool)
    old, new = (ndimage.find_objects(labels, max_label=max(table.indices)) for labels in (before, after))
    for structure in table:
        box = _around((old[structure.index - 1], new[structure.index - 1]), before.shape)
        if box is None:
            continue
        one, other = before[box] == structure.index, after[box] == structure.index
        same = bool(np.array_equal(one, other))
        versions: tuple[tuple[Version, Bool[np.ndarray, "a b c"]], ...]
        versions = (("both", one),) if same else (("before", one), ("after", other))
        corner = [along.start for along in box]
        for version, mask in versions:
            vertices, faces = _surface(mask, 1 if structure.thin else coarse)
            if len(faces):
                meshes.append(Mesh(structure.name, version, _world(vertices + corner, affine), _wound(faces, affine)))
        if not same:
            removed[box] |= _beyond(one, other)
            added[box] |= _beyond(other, one)
    meshes = _thinned([*meshes, *([] if truth is None else _true_meshes(truth, affine, table, coarse))])
    renamed = (removed | added) & (before > 0) & (after > 0)
    marks: tuple[tuple[Version, Bool[np.ndarray, "i j k"]], ...]
    marks = (("removed", removed & (after == 0)), ("added", added & (before == 0)), ("renamed", renamed))
    return [*meshes, *(mesh for version, mask in marks for mesh in _mark(version, mask, affine))]


def _true_meshes(
    truth: UInt8[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"], table: StructureTable, coarse: int
) -> list[Mesh]:
    """The surfaces of every structure in the truth."""
    meshes = []
    boxes = ndimage.find_objects(truth, max_label=max(table.indices))
    for structure in table:
        box = _around((boxes[structure.index - 1],), truth.shape)
        if box is not None:
            vertices, faces = _surface(truth[box] == structure.index, 1 if structure.thin else coarse)
            corner = [along.start for along in box]
            if len(faces):
                meshes.append(Mesh(structure.name, "truth", _world(vertices + corner, affine), _wound(faces, affine)))
    return meshes


def _around(boxes: Sequence[tuple[slice, ...] | None], shape: Sequence[int]) -> tuple[slice, slice, slice] | None:
    """The box around both, two voxels wider as far as the grid reaches; ``None`` if there is neither."""
    known = [box for box in boxes if box is not None]
    if not known:
        return None
    i, j, k = (
        slice(max(min(box[a].start for box in known) - 2, 0), min(max(box[a].stop for box in known) + 2, shape[a]))
        for a in range(3)
    )
    return i, j, k


def _beyond(mask: Bool[np.ndarray, "a b c"], other: Bool[np.ndarray, "a b c"]) -> Bool[np.ndarray, "a b c"]:
    """Where ``mask`` leaves ``other`` by two voxels or more, with the voxels in between."""
    alone = mask & ~other
    far = alone & ~_grown(other)
    return alone & _grown(far) if far.any() else far


def _grown(mask: Bool[np.ndarray, "a b c"]) -> Bool[np.ndarray, "a b c"]:
    """The mask and its 26 neighbours."""
    return np.asarray(ndimage.maximum_filter(mask.view(np.uint8), 3) > 0)


def _mark(version: Version, mask: Bool[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"]) -> list[Mesh]:
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return []
    vertices, faces = _surface(mask[found[0]])
    vertices, faces = _fewer(vertices + [along.start for along in found[0]], faces, MARK_TRIANGLES)
    return [Mesh("", version, _world(vertices, affine), _wound(faces, affine))]


def _surface(
    mask: Bool[np.ndarray, "a b c"], coarse: int = 1
) -> tuple[Float[np.ndarray, "n 3"], Int[np.ndarray, "m 3"]]:
    """The closed surface of a mask, in voxels, its steps smoothed; no triangle if it is empty.

    The mask itself is not blurred: a vessel of one voxel would be lost. Taken ``coarse`` voxels in one step, what is
    smaller may be lost, unless it is all there is.
    """
    if not mask.any():
        return np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
    if not np.pad(mask, coarse)[::coarse, ::coarse, ::coarse].any():
        coarse = 1
    # "ascent" winds the triangles counterclockwise seen from outside, whatever its name promises.
    vertices, faces, _, _ = measure.marching_cubes(
        np.pad(mask, coarse).astype(np.float32), 0.5, step_size=coarse, gradient_direction="ascent"
    )
    vertices, faces = vertices.astype(np.float64) - coarse, faces.astype(np.int64)
    rows, columns = faces[:, [0, 1, 2, 1, 2, 0]].ravel(), faces[:, [1, 2, 0, 0, 1, 2]].ravel()
    beside = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(vertices), len(vertices)))
    beside.data[:] = 1  # an edge belongs to two triangles
    degree = np.maximum(np.asarray(beside.sum(axis=1)), 1)
    for step in range(2 * _STEPS_OF_SMOOTHING):
        vertices = vertices + (_SWELL if step % 2 else _SHRINK) * (beside @ vertices / degree - vertices)
    return vertices, faces


def _thinned(meshes: Sequence[Mesh]) -> list[Mesh]:
    """The meshes with each version's triangles reduced to :data:`TRIANGLES` in all."""
    thinned: dict[tuple[str, str], Mesh] = {}
    for shown in (("before", "both"), ("after", "both"), ("truth",)):
        own = [mesh for mesh in meshes if mesh.version in shown]
        weights = np.sqrt([len(mesh.faces) for mesh in own])
        for mesh, weight in zip(own, weights, strict=True):
            share = int((TRIANGLES - _FEWEST * len(own)) * weight / weights.sum())
            vertices, faces = _fewer(mesh.vertices_mm, mesh.faces, _FEWEST + max(share, 0))
            key = (mesh.name, mesh.version)
            if key not in thinned or len(faces) < len(thinned[key].faces):
                thinned[key] = replace(mesh, vertices_mm=vertices, faces=faces)
    return [thinned[mesh.name, mesh.version] for mesh in meshes]


def _fewer(
    vertices: Float[np.ndarray, "n 3"], faces: Int[np.ndarray, "m 3"], most: int
) -> tuple[Float[np.ndarray, "p 3"], Int[np.ndarray, "q 3"]]:
    """The surface with at most about so many triangles."""
    if len(faces) <= most:
        return vertices, faces
    points, triangles = fast_simplification.simplify(
        np.ascontiguousarray(vertices), np.ascontiguousarray(faces), target_count=most
    )
    return np.asarray(points, dtype=np.float64), np.asarray(triangles, dtype=np.int64)


def _world(vertices_ijk: Float[np.ndarray, "n 3"], affine: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "n 3"]:
    return np.asarray(vertices_ijk @ affine[:3, :3].T + affine[:3, 3])


def _wound(faces: Int[np.ndarray, "m 3"], affine: Float[np.ndarray, "4 4"]) -> Int[np.ndarray, "m 3"]:
    """The triangles turned if the affine mirrors: outside stays outside."""
    return faces[:, ::-1] if np.linalg.det(affine[:3, :3]) < 0 else faces


def packed(meshes: Sequence[Mesh]) -> dict[str, Any]:
    """The meshes as plain values for JSON: a list of what there is, and one gzip of 16-bit numbers in base64.

    The numbers are, mesh by mesh, the vertices as steps of ``step_mm`` from ``low_mm`` (x of all, then y, then z), each
    as the difference from the one before; then the triangles, sorted: all first corners, each as the difference from
    the one before, all second and all third corners as differences from the first. All low bytes come before all high
    bytes. So they pack to three fifths. Equal meshes give equal values.
    """
    low_mm, step_mm = np.zeros(3), 0.01
    if meshes:
        points_mm = np.concatenate([mesh.vertices_mm for mesh in meshes])
        low_mm = np.floor(points_mm.min(axis=0))
        step_mm = max(step_mm, float((points_mm.max(axis=0) - low_mm).max()) / 65535)
    numbers = []
    for mesh in meshes:
        if len(mesh.vertices_mm) > 65536:
            raise ValueError(f"{len(mesh.vertices_mm)} vertices do not fit 16 bits")
        steps = np.rint((mesh.vertices_mm - low_mm) / step_mm).astype(np.int64)
        numbers += [np.diff(steps.T.ravel(), prepend=0), _sorted_corners(mesh.faces)]
    stream = np.concatenate([*numbers, np.zeros(0, dtype=np.int64)]).astype("<u2").view(np.uint8).reshape(-1, 2)
    parts = [
        {"name": mesh.name, "version": mesh.version, "vertices": len(mesh.vertices_mm), "faces": len(mesh.faces)}
        for mesh in meshes
    ]
    data = base64.b64encode(gzip.compress(stream.T.tobytes(), 9, mtime=0)).decode("ascii")
    return {"low_mm": low_mm.tolist(), "step_mm": round(step_mm, 6), "parts": parts, "data": data}


def _sorted_corners(faces: Int[np.ndarray, "m 3"]) -> Int[np.ndarray, "n"]:
    """The lowest corner first, the triangles in ascending order, as differences; each keeps its sense of rotation."""
    turned = np.take_along_axis(faces, (np.arange(3) + faces.argmin(axis=1)[:, None]) % 3, axis=1)
    first, second, third = turned[np.lexsort(turned.T[::-1])].T
    return np.concatenate([np.diff(first, prepend=0), second - first, third - first])
