"""Where a cloud has its points: on the surfaces, round them, and all over the frame (requirement B1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, UInt8

from ..errors import InputError
from .structure_surface import Surface

_ROUNDS = 100


@dataclass(frozen=True)
class Counts:
    """How many points of each kind a cloud has.

    Attributes:
        surface: on the surfaces of all structures together.
        volume: uniform in the frame.
        near: round the surfaces of all structures together.
        quota_share: of the points on and round surfaces, the share dealt out in equal parts to the structures that are
            there; the rest goes by area. By area alone the coronaries of a heart would get two points in a hundred.
        near_sigmas_mm: standard deviations of the distance along each axis; each is used for an equal part.
    """

    surface: int = 50_000
    volume: int = 100_000
    near: int = 100_000
    quota_share: float = 0.5
    near_sigmas_mm: tuple[float, ...] = (0.5, 5.0)

    def __post_init__(self) -> None:
        for name in ("surface", "volume", "near"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} points", repr(value), "a whole number from 1", "Correct it.")
        if not 0 <= self.quota_share <= 1:
            raise InputError("quota_share", repr(self.quota_share), "a number from 0 to 1", "Correct it.")
        if not self.near_sigmas_mm or not all(0 < sigma < np.inf for sigma in self.near_sigmas_mm):
            raise InputError("near_sigmas_mm", repr(self.near_sigmas_mm), "lengths in mm above 0", "Correct them.")


def shared_out(total: int, areas: Sequence[float], quota_share: float) -> list[int]:
    """How many of ``total`` points each surface gets: its part of the quota and of the area; they add up to all."""
    weights = np.asarray(areas, np.float64)
    exact = total * (quota_share / len(weights) + (1 - quota_share) * weights / weights.sum())
    whole = np.floor(exact + 1e-9).astype(int)
    for most in np.argsort(whole - exact, kind="stable")[: total - whole.sum()]:
        whole[most] += 1
    return [int(count) for count in whole]


def on_surface(
    surface: Surface, count: int, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"]]:
    """Points uniform over a surface, world mm, and the normals there."""
    bounds = np.cumsum(surface.areas_mm2)
    chosen = np.searchsorted(bounds, rng.uniform(0, bounds[-1], count), side="right").clip(max=len(bounds) - 1)
    a, b, c = (surface.vertices_mm[surface.faces[chosen, corner]] for corner in range(3))
    u, v = rng.uniform(size=(2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    return a + u * (b - a) + v * (c - a), surface.normals[chosen]


def on_surfaces(
    surfaces: Mapping[int, Surface], count: int, quota_share: float, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"], UInt8[np.ndarray, " n"]]:
    """Points on all surfaces, world mm, with normals and the index of the structure; by structure."""
    counts = shared_out(count, [float(one.areas_mm2.sum()) for one in surfaces.values()], quota_share)
    drawn = [on_surface(one, n, rng) for one, n in zip(surfaces.values(), counts, strict=True)]
    index = np.repeat(np.asarray(list(surfaces), np.uint8), counts)
    return np.concatenate([points for points, _ in drawn]), np.concatenate([normals for _, normals in drawn]), index


def near_surfaces(
    surfaces: Mapping[int, Surface],
    counts: Counts,
    shape: Sequence[int],
    affine: Float[np.ndarray, "4 4"],
    rng: np.random.Generator,
) -> Float64[np.ndarray, "n 3"]:
    """Points scattered round all surfaces, world mm, inside of the grid; the standard deviations take turns."""
    start_mm, _, _ = on_surfaces(surfaces, counts.near, counts.quota_share, rng)
    sigmas_mm = np.resize(np.asarray(counts.near_sigmas_mm), counts.near)[:, None]
    points_mm = start_mm + sigmas_mm * rng.normal(size=start_mm.shape)
    for _ in range(_ROUNDS):
        outside = np.flatnonzero(~in_grid(points_mm, shape, affine))
        if not outside.size:
            return points_mm
        points_mm[outside] = start_mm[outside] + sigmas_mm[outside] * rng.normal(size=(outside.size, 3))
    inverse = np.linalg.inv(affine)
    voxels = points_mm @ inverse[:3, :3].T + inverse[:3, 3]
    return np.asarray(voxels.clip(-0.49, np.asarray(shape) - 0.51) @ affine[:3, :3].T + affine[:3, 3])


def in_volume(
    box_mm: Float[np.ndarray, "2 3"],
    count: int,
    shape: Sequence[int],
    affine: Float[np.ndarray, "4 4"],
    rng: np.random.Generator,
) -> Float64[np.ndarray, "n 3"]:
    """Points uniform in the part of a box, world mm, that lies in the grid.

    Raises:
        InputError: hardly any of the box does.
    """
    found: list[np.ndarray] = []
    for _ in range(_ROUNDS):
        points_mm = rng.uniform(box_mm[0], box_mm[1], (count, 3))
        found.append(points_mm[in_grid(points_mm, shape, affine)])
        if sum(map(len, found)) >= count:
            return np.concatenate(found)[:count]
    raise InputError("centre", "a frame that hardly meets the label map", "one that holds it", "Correct the centre.")


def in_grid(points_mm: Float[np.ndarray, "n 3"], shape: Sequence[int], affine: Float[np.ndarray, "4 4"]) -> np.ndarray:
    """Whether each point lies in a voxel of the grid."""
    inverse = np.linalg.inv(affine)
    voxels = points_mm @ inverse[:3, :3].T + inverse[:3, 3]
    return np.asarray(((voxels >= -0.5) & (voxels < np.asarray(shape) - 0.5)).all(axis=1))
