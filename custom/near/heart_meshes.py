"""Surfaces of a heart's structures, in files that any viewer opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from skimage import measure

from ..files import write_file
from ..rules.priority_decision import PriorityDecision
from ..space import Frame

FORMATS = ("ply", "stl")

LEAST = 1e-3
"""How far on the side its label says a voxel counts at least."""


def margins(
    labels: UInt8[np.ndarray, "i j k"],
    probability: Float[np.ndarray, "c i j k"],
    decision: PriorityDecision,
    index: int,
) -> Float[np.ndarray, "i j k"]:
    """By how much a structure is reached at each voxel: above 0 where it is the label, below elsewhere.

    P_c - t_c, or less where a structure of higher priority comes nearer to its own threshold: the surface runs between
    the voxels as the field does, and never disagrees with the labels, whatever decided them.
    """
    wanted = decision.indices.index(index)
    margin = None
    for channel in decision.order:
        beyond = probability[channel] - np.float32(decision.thresholds[channel])
        if channel == wanted:
            margin = beyond if margin is None else np.minimum(beyond, margin)
            break
        margin = -beyond if margin is None else np.minimum(margin, -beyond)
    assert margin is not None
    own = labels == index
    return np.where(own, np.maximum(margin, LEAST), np.minimum(margin, -LEAST)).astype(np.float32)


def mesh_of(
    margin: Float[np.ndarray, "i j k"], canvas: Frame
) -> tuple[Float[np.ndarray, "n 3"], Int[np.ndarray, "m 3"]]:
    """The surface where a margin on a canvas's box passes 0, closed at the box's edge.

    Returns:
        Vertices in world mm (RAS), and faces, counterclockwise seen from outside.
    """
    # One more voxel all around, as far outside as it can be: at the edge the surface is closed half-way to it.
    padded = np.pad(margin, 1, constant_values=-float(np.abs(margin).max()))
    vertices, faces, _, _ = measure.marching_cubes(padded, 0.0, gradient_direction="ascent")
    vertices_ijk = vertices.astype(np.float64) - 1 + np.asarray(canvas.low_ijk)
    if np.linalg.det(canvas.affine[:3, :3]) < 0:
        faces = faces[:, ::-1]
    vertices_mm = vertices_ijk @ canvas.affine[:3, :3].T + canvas.affine[:3, 3]
    return vertices_mm, np.ascontiguousarray(faces, dtype=np.int32)


def write_mesh(
    path: Path,
    vertices_mm: Float[np.ndarray, "n 3"],
    faces: Int[np.ndarray, "m 3"],
    color: tuple[int, int, int],
) -> None:
    """Write a binary PLY (with the colour on every vertex) or STL, by the suffix, whole or not at all.

    Raises:
        InputError: the place cannot be written.
    """
    write_file(path, _ply(vertices_mm, faces, color) if path.suffix == ".ply" else _stl(vertices_mm, faces))


def _ply(vertices_mm: np.ndarray, faces: np.ndarray, color: tuple[int, int, int]) -> bytes:
    point = np.dtype([("at", "<f4", 3), ("color", "u1", 3)])
    points = np.empty(len(vertices_mm), point)
    points["at"], points["color"] = vertices_mm, color
    face = np.empty(len(faces), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    face["count"], face["corners"] = 3, faces
    lines = ["ply", "format binary_little_endian 1.0", "comment world mm, RAS", f"element vertex {len(points)}"]
    lines += [f"property float {axis}" for axis in "xyz"] + [
        f"property uchar {name}" for name in ("red", "green", "blue")
    ]
    lines += [f"element face {len(face)}", "property list uchar int vertex_indices", "end_header"]
    return ("\n".join(lines) + "\n").encode("ascii") + points.tobytes() + face.tobytes()


def _stl(vertices_mm: np.ndarray, faces: np.ndarray) -> bytes:
    corners = vertices_mm[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    facet = np.zeros(len(faces), np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("nothing", "<u2")]))
    facet["normal"], facet["corners"] = normal / length, corners
    return b"world mm, RAS".ljust(80) + np.uint32(len(faces)).astype("<u4").tobytes() + facet.tobytes()
