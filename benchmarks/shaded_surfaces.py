"""Shaded pictures of surfaces, drawn with arrays alone: no display, no graphics library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage
from skimage import measure

PAPER = (1.0, 1.0, 1.0)
LIGHT = np.array([-0.45, 0.5, 0.75]) / np.linalg.norm([-0.45, 0.5, 0.75])


@dataclass(frozen=True)
class Camera:
    """Where the picture is taken from.

    Attributes:
        turn_deg: about the axis from feet to head; 0 looks at the patient from the front.
        tilt_deg: from above.
        centre_mm: world point in the middle of the picture.
        half_width_mm: from the middle to the edge.
        pixel_mm: size of a pixel.
    """

    turn_deg: float
    tilt_deg: float
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    half_width_mm: float = 80.0
    pixel_mm: float = 0.3

    @property
    def axes(self) -> Float[np.ndarray, "3 3"]:
        """World directions of the picture's right, up and towards the viewer."""
        turn, tilt = np.deg2rad([self.turn_deg, self.tilt_deg])
        level = np.array([-np.sin(turn), np.cos(turn), 0.0])
        right = np.array([-np.cos(turn), -np.sin(turn), 0.0])
        viewer = np.cos(tilt) * level + np.sin(tilt) * np.array([0, 0, 1.0])
        return np.stack([right, np.cross(viewer, right), viewer])


@dataclass(frozen=True)
class Body:
    """A mask to be drawn: its colour, 0 to 1, and how much its steps are softened, in voxels."""

    mask: Bool[np.ndarray, "i j k"]
    color: tuple[float, float, float]
    soften_voxels: float = 0.65


def rendered(bodies: Sequence[Body], affine: Float[np.ndarray, "4 4"], camera: Camera) -> Float[np.ndarray, "h w 3"]:
    """The nearest surface at each pixel, lit from the viewer's upper left; the paper's white where there is none."""
    count = int(2 * camera.half_width_mm / camera.pixel_mm)
    depth = np.full((count, count), -np.inf)
    picture = np.tile(np.array(PAPER), (count, count, 1))
    for body in bodies:
        points_mm, normals = surface(body.mask, affine, body.soften_voxels, camera.pixel_mm)
        seen, facing = (points_mm - np.array(camera.centre_mm)) @ camera.axes.T, normals @ camera.axes.T
        shade = 0.42 + 0.58 * np.clip(facing @ LIGHT, 0, 1)
        gloss = 0.16 * np.clip(facing @ LIGHT, 0, 1) ** 24
        colors = np.clip(np.array(body.color) * shade[:, None] + gloss[:, None], 0, 1)
        rows = np.clip((camera.half_width_mm - seen[:, 1]) / camera.pixel_mm, 0, count - 1).astype(int)
        columns = np.clip((camera.half_width_mm + seen[:, 0]) / camera.pixel_mm, 0, count - 1).astype(int)
        order = np.argsort(seen[:, 2])
        rows, columns, near = rows[order], columns[order], seen[order, 2]
        closest = np.full_like(depth, -np.inf)
        layer = np.zeros_like(picture)
        closest[rows, columns], layer[rows, columns] = near, colors[order]
        front = closest > depth
        depth[front], picture[front] = closest[front], layer[front]
    return outlined(picture, depth)


def surface(
    mask: Bool[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"], soften_voxels: float, pixel_mm: float
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Points in world mm, at least one a pixel, over a mask's surface, and the normals there; none if it is empty."""
    if not mask.any():
        return np.zeros((0, 3)), np.zeros((0, 3))
    soft = ndimage.gaussian_filter(np.pad(mask, 2).astype(np.float32), soften_voxels)
    vertices, faces, normals, _ = measure.marching_cubes(soft, 0.42)
    steps = int(np.ceil(1.6 * np.abs(affine[:3, :3]).max() / pixel_mm))
    weights = np.array([(a, b, steps - a - b) for a in range(steps + 1) for b in range(steps + 1 - a)]) / steps
    points = np.einsum("wc,fcx->fwx", weights, vertices[faces]).reshape(-1, 3) - 2
    directions = np.einsum("wc,fcx->fwx", weights, normals[faces]).reshape(-1, 3)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-6)
    return points @ affine[:3, :3].T + affine[:3, 3], directions


def outlined(picture: Float[np.ndarray, "h w 3"], depth: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Darken what lies just behind an edge, so that one vessel crossing another is seen to cross it."""
    known = np.where(np.isfinite(depth), depth, -90.0)
    behind = np.clip(ndimage.gaussian_filter(ndimage.maximum_filter(known, 11), 2) - known, 0, 14) / 14
    behind[~np.isfinite(depth)] = 0
    return np.asarray(picture * (1 - 0.5 * behind[..., None]))
