"""The staircase of a label map taken off its surface, the voxels kept on their sides (requirement B1).

A mask is not blurred: a vessel of one voxel would be lost. Its surface is filtered instead, by a windowed sinc of the
mesh's Laplacian (Taubin, Zhang, Golub: *Optimal surface smoothing as filter design*, ECCV 1996), which shrinks nothing.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from scipy import ndimage, sparse

SAFE_VOXELS = 0.28
"""How far each vertex of marching cubes may move without any voxel centre changing sides.

Its vertices lie half-way between two voxel centres; of a corner of a cell at 0, all half-ways lie beyond the plane
x + y + z = 1/2, so that no point of the surface is nearer to a voxel centre than 1/(2 sqrt 3) = 0.2887 voxels.
"""

_FARTHEST_VOXELS = 0.49
"""How far any vertex may move: a cut through a voxel is at most half of it away from where marching cubes put it."""

_REACH = 2
"""Voxels round a wrong centre within which all vertices are held; a triangle is no longer than that."""

_ROUNDS = 8

_SWELLS, _VOLUME_SHARE = 3, 0.01
"""How often the volume is restored at most, and what is near enough."""

_WHOLE = 0.999
"""The gain that counts as passing whole."""

_OFF_AXIS = (1.3e-4, 1.9e-4)
"""The lines along which sides are counted pass by the voxel centres this far, so as not to run through vertices."""


def passband_coefficients(passband: float, iterations: int) -> Float64[np.ndarray, " n"]:
    """Chebyshev coefficients of a low-pass filter on the Laplacian's spectrum [0, 2], with a Hamming window.

    The cut-off is moved up until ``passband`` itself passes whole, and frequency 0 passes unchanged to the last bit:
    nothing wide is shrunk, shifted or scaled.

    Args:
        passband: what passes, in (0, 1).
        iterations: the polynomial's degree.
    """
    order = np.arange(iterations + 1)
    window = 0.54 + 0.46 * np.cos(order * np.pi / (iterations + 1))
    waves = np.cos(order * np.arccos(1 - passband / 2))
    for cut_off in np.linspace(passband, 2, 1000):
        angle = np.arccos(1 - cut_off / 2)
        coefficients = window * np.concatenate([[angle], 2 * np.sin(order[1:] * angle) / order[1:]])
        coefficients /= coefficients.sum()
        if coefficients @ waves >= _WHOLE:
            return np.asarray(coefficients)
    raise ValueError(f"no low-pass filter of degree {iterations} passes {passband}")


def windowed_sinc(
    vertices: Float64[np.ndarray, "n 3"], faces: Int[np.ndarray, "m 3"], passband: float, iterations: int = 20
) -> Float64[np.ndarray, "n 3"]:
    """The vertices low-pass filtered over the mesh; the same in any affine frame."""
    rows, columns = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()  # of a closed mesh, each edge both ways
    count = len(vertices)
    beside = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    mean = sparse.diags(1 / np.maximum(np.asarray(beside.sum(axis=1)).ravel(), 1)) @ beside
    coefficients = passband_coefficients(passband, iterations)
    before, now = vertices, (vertices + mean @ vertices) / 2
    smooth = coefficients[0] * before + coefficients[1] * now
    for weight in coefficients[2:]:
        before, now = now, now + mean @ now - before
        smooth += weight * now
    return np.asarray(smooth)


def smoothed(
    start: Float64[np.ndarray, "n 3"], faces: Int[np.ndarray, "m 3"], mask: Bool[np.ndarray, "a b c"], passband: float
) -> Float64[np.ndarray, "n 3"]:
    """The vertices of marching cubes smoothed, on their sides, round as much as the mask has voxels.

    Marching cubes cuts corners, and a low-pass filter narrows a thin tube; the surface is swelled evenly along its
    normals until it holds the mask's volume again, as far as the voxels beside it allow.

    Args:
        start: where marching cubes put them, in voxels of ``mask``.
        faces: counterclockwise seen from outside.
        mask: its border voxels are all outside.
        passband: of the windowed sinc.
    """
    wanted = float(np.count_nonzero(mask))
    vertices = windowed_sinc(start, faces, passband)
    for _ in range(_SWELLS):
        vertices = keeping_sides(start, _swelled(vertices, faces, wanted), faces, mask)
        if abs(_volume(vertices, faces) - wanted) <= _VOLUME_SHARE * wanted:
            break
    return vertices


def _volume(vertices: Float64[np.ndarray, "n 3"], faces: Int[np.ndarray, "m 3"]) -> float:
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def _swelled(
    vertices: Float64[np.ndarray, "n 3"], faces: Int[np.ndarray, "m 3"], wanted: float
) -> Float64[np.ndarray, "n 3"]:
    """The vertices moved along their normals, all as far, to where the volume is about the one wanted."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    cross = np.cross(b - a, c - a)
    area = np.linalg.norm(cross, axis=1).sum() / 2
    normals = np.zeros_like(vertices)
    for corner in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(faces[:, corner], cross[:, axis], len(vertices))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    step = (wanted - _volume(vertices, faces)) / max(area, 1e-12)
    return vertices + normals * np.clip(step, -_FARTHEST_VOXELS, _FARTHEST_VOXELS)


def keeping_sides(
    start: Float64[np.ndarray, "n 3"],
    moved: Float64[np.ndarray, "n 3"],
    faces: Int[np.ndarray, "m 3"],
    mask: Bool[np.ndarray, "a b c"],
) -> Float64[np.ndarray, "n 3"]:
    """The moved vertices, held back where a voxel centre would otherwise have changed sides.

    Args:
        start: where marching cubes put them, in voxels of ``mask``.
        moved: where smoothing put them.
        faces: counterclockwise seen from outside.
        mask: its border voxels are all outside.

    Returns:
        Vertices of a surface that has every voxel of the mask inside and every other outside.
    """
    shift = moved - start
    length = np.maximum(np.linalg.norm(shift, axis=1, keepdims=True), 1e-12)
    safe = shift * np.minimum(1, SAFE_VOXELS / length)
    shift = shift * np.minimum(1, _FARTHEST_VOXELS / length)
    held = np.zeros(len(start), dtype=bool)
    at = tuple(np.rint(start).astype(np.int64).T)
    for _ in range(_ROUNDS):
        vertices = start + np.where(held[:, None], safe, shift)
        wrong = (windings(vertices, faces, mask.shape) != mask).astype(np.uint8)
        if not wrong.any():
            return vertices
        held |= ndimage.maximum_filter(wrong, 2 * _REACH + 1)[at] > 0
    return start + safe


def windings(
    vertices: Float64[np.ndarray, "n 3"], faces: Int[np.ndarray, "m 3"], shape: tuple[int, ...]
) -> Int[np.ndarray, "a b c"]:
    """How often a closed surface winds round each voxel centre: 1 inside, 0 outside, if it does not cut itself.

    Counted along lines of the last axis: each voxel below a triangle is in by one more if the triangle looks up.
    """
    corners = vertices[faces]
    flat = corners[:, :, :2] - np.asarray(_OFF_AXIS)
    first = np.ceil(flat.min(axis=1)).astype(np.int64)
    count = np.floor(flat.max(axis=1)).astype(np.int64) - first + 1
    steps = np.zeros(shape, dtype=np.int32)
    for a in range(int(count[:, 0].max(initial=0))):
        for b in range(int(count[:, 1].max(initial=0))):
            some = np.flatnonzero((count[:, 0] > a) & (count[:, 1] > b))
            line = first[some] + (a, b)
            hit, at, up = _crossings(flat[some] - line[:, None], corners[some, :, 2])
            np.add.at(steps, (*line[hit].T, np.floor(at).astype(np.int64)), up)
    return np.asarray(np.cumsum(steps[:, :, ::-1], axis=2)[:, :, ::-1])


def _crossings(
    flat: Float[np.ndarray, "m 3 2"], height: Float[np.ndarray, "m 3"]
) -> tuple[Int[np.ndarray, " h"], Float[np.ndarray, " h"], Int[np.ndarray, " h"]]:
    """Which triangles the upright line through 0 meets, at what height, and +1 if they look up, -1 if down."""
    x, y = flat[:, :, 0], flat[:, :, 1]
    # Twice the signed area of 0 and the side opposite to each corner.
    weights = np.stack([x[:, j] * y[:, k] - x[:, k] * y[:, j] for j, k in ((1, 2), (2, 0), (0, 1))], axis=1)
    hit = np.flatnonzero((weights > 0).all(axis=1) | (weights < 0).all(axis=1))
    area = weights[hit].sum(axis=1)
    return hit, (weights[hit] * height[hit]).sum(axis=1) / area, np.sign(area).astype(np.int32)
