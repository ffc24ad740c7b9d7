"""Gaps between the fragments of a vessel, the ends that face each other, and the tube from one to the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import KDTree

TIP_MM = 4.0
"""How far from the gap a fragment's own course and width are read."""

WIDER_MM = 0.2
"""What a radius read from voxels is short of the tube's that holds their centres."""

Point = Float[np.ndarray, "3"]
Points = Float[np.ndarray, "_ 3"]


@dataclass(frozen=True, eq=False)
class End:
    """The end of a fragment: its middle and its radius, in mm of the grid's own axes."""

    middle_mm: Point
    radius_mm: float


@dataclass(frozen=True, eq=False)
class Gap:
    """The shortest way from one fragment to another: its length, and per fragment its number and nearest voxel."""

    length_mm: float
    one: int
    one_tip_mm: Point
    other: int
    other_tip_mm: Point


def gaps_between(voxels_mm: Mapping[int, Points], reach_mm: float, loose: Collection[int]) -> list[Gap]:
    """Every gap of at most ``reach_mm`` between two fragments, the shortest first; at least one of the two is loose."""
    # The library leaves out what lies at the bound itself.
    bound_mm = reach_mm * (1 + 1e-9) + 1e-9
    trees = {part: KDTree(places) for part, places in voxels_mm.items()}
    parts, gaps = sorted(voxels_mm), []
    for at, one in enumerate(parts):
        for other in parts[at + 1 :]:
            if one not in loose and other not in loose:
                continue
            distances, nearest = trees[one].query(voxels_mm[other], distance_upper_bound=bound_mm)
            place = int(distances.argmin())
            if np.isfinite(distances[place]):
                tips = voxels_mm[one][nearest[place]], voxels_mm[other][place]
                gaps.append(Gap(float(distances[place]), one, tips[0], other, tips[1]))
    return sorted(gaps, key=lambda gap: (gap.length_mm, gap.one, gap.other))


def fragment_end(places_mm: Points, tip_mm: Point, spacing_mm: Point) -> End:
    """The end of a fragment around ``tip_mm``: where its voxels within ``TIP_MM`` have their middle, and the radius
    of the round tube of their volume and length. Of fewer than four voxels the radius is half a voxel's diagonal."""
    near = places_mm[np.linalg.norm(places_mm - tip_mm, axis=1) <= TIP_MM]
    if not len(near):
        near = tip_mm[None]
    middle = near.mean(axis=0)
    least_mm = float(np.linalg.norm(spacing_mm) / 2)
    if len(near) < 4:
        return End(middle, least_mm)
    course = np.linalg.svd(near - middle, full_matrices=False)[2][0]
    along = (near - middle) @ course
    length_mm = float(along.max() - along.min() + spacing_mm.mean())
    radius_mm = np.sqrt(len(near) * spacing_mm.prod() / (np.pi * length_mm)) + WIDER_MM
    return End(middle, max(float(radius_mm), least_mm))


def tube(
    shape: tuple[int, int, int], spacing_mm: Point, course_mm: Points, first_mm: float, last_mm: float
) -> Bool[np.ndarray, "i j k"]:
    """The voxels within a radius of a polyline that tapers from ``first_mm`` to ``last_mm`` along it.

    The radius is half a voxel's diagonal at least, or a line could slip between the voxel centres. What lies outside
    of the grid is cut off.
    """
    fine = _densely(course_mm, float(spacing_mm.min()) / 4)
    share = np.linspace(0, 1, len(fine))
    radii = np.maximum(first_mm + share * (last_mm - first_mm), np.linalg.norm(spacing_mm) / 2)
    reach = float(radii.max())
    low = np.maximum(np.floor((fine.min(axis=0) - reach) / spacing_mm), 0).astype(int)
    high = np.minimum(np.ceil((fine.max(axis=0) + reach) / spacing_mm) + 1, shape).astype(int)
    filled = np.zeros(shape, dtype=bool)
    if (high <= low).any():
        return filled
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(*[np.arange(a, b) for a, b in zip(low, high, strict=True)], indexing="ij"), -1)
    distance, nearest = KDTree(fine).query(grid.reshape(-1, 3) * spacing_mm, distance_upper_bound=reach + 1e-6)
    inside = distance <= np.append(radii, 0.0)[nearest] + 1e-9
    filled[box] = inside.reshape(grid.shape[:3])
    return filled


def _densely(course_mm: Points, step_mm: float) -> Points:
    """The polyline at even steps of at most ``step_mm``; a single point stays one."""
    lengths = np.linalg.norm(np.diff(course_mm, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    places = np.linspace(0.0, along[-1], max(int(np.ceil(along[-1] / step_mm)), 1) + 1)
    return np.stack([np.interp(places, along, course_mm[:, axis]) for axis in range(3)], axis=1)
