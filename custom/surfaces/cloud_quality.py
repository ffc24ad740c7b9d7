"""What must be true of a cloud before anything learns from it (requirement B1).

Each check is made against the label map, or of one part of the file against another, and never by the way in which the
distances were computed. A cloud with one fault is a bad cloud.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Float32, UInt8
from scipy.spatial import cKDTree

from ..anatomy import Structure
from .mesh_distance import half_diagonal_mm, labels_at
from .point_cloud import Cloud, absent_mm

SLOPE_TOLERANCE = 0.1
"""How far the slope across a surface may be from 1."""

STEP_VOXELS = 0.2
"""How far, in voxels, distances may start from 0 at a surface; between voxel centres it would be half a voxel."""

_ASIDE_VOXELS, _REACH_VOXELS = 0.4, 3.0
"""Points this little aside of a surface point and this near are checked by their height over its plane.

The surface bends away from the plane with the square of the way aside.
"""

_ROUNDING_MM = 0.02
_FEWEST = 30
"""Fewest points for fitting a slope; a cloud with fewer beside a structure's surface is not checked by it."""


@dataclass(frozen=True)
class Quality:
    """What was found out about a cloud.

    Attributes:
        faults: a line each, naming structure and check; empty if it is good.
        inside_share: the share of volume points with a negative distance, by structure, of those that are there.
        slope: across the surface, by structure; of those with enough points to tell.
    """

    faults: tuple[str, ...]
    inside_share: dict[str, float]
    slope: dict[str, float]


def examine(cloud: Cloud, labels: UInt8[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"]) -> Quality:
    """Check a cloud against the label map it was made of.

    The checks: *numbers* (all finite, normals of length 1, scale above 0); *grid* (the label map's own); *presence* (of
    the structures the label map has, and of no other); and for each structure *bound* (no distance beyond the grid's
    diagonal; the fixed one for an absent structure), *sign* (that of the label at the nearest voxel, for every point
    further from the surface than half a voxel's diagonal), *sign share* (as many volume points inside as its label
    has, but for those at the surface; near points on both sides), *zero* (no point is further from the surface than
    from a point on it) and *slope* (1 across the surface without a jump; nowhere more than 1 between neighbours).
    """
    faults = list(_whole(cloud, labels, affine))
    shares: dict[str, float] = {}
    slopes: dict[str, float] = {}
    if not faults:
        here = {name: labels_at(points, labels, affine) for name, points, _ in _sets(cloud)}
        steep = _steep(cloud)
        for channel, structure in enumerate(cloud.table):
            faults += _bound(cloud, channel, structure)
            if steep[channel]:
                faults.append(f"{structure.name}: slope: above 1 between {steep[channel]} pairs of neighbouring points")
            if cloud.present[channel]:
                faults += _signs(cloud, channel, structure, here)
                shares[structure.name] = round(float((cloud.volume_sdf_mm[:, channel] < 0).mean()), 6)
                faults += _at_surface(cloud, channel, structure, slopes)
    return Quality(tuple(faults), shares, slopes)


def _sets(cloud: Cloud) -> Iterator[tuple[str, Float32[np.ndarray, "n 3"], Float32[np.ndarray, "n c"]]]:
    yield "volume", cloud.volume_points_mm, cloud.volume_sdf_mm
    yield "near", cloud.near_points_mm, cloud.near_sdf_mm


def _whole(cloud: Cloud, labels: UInt8[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"]) -> Iterator[str]:
    for field in fields(Cloud):
        value = np.asarray(getattr(cloud, field.name))
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            yield f"numbers: NaN or infinite in {field.name}"
    if not cloud.scale_mm > 0:
        yield f"numbers: a scale of {cloud.scale_mm} mm"
    if np.abs(np.linalg.norm(cloud.surface_normals, axis=1) - 1).max(initial=0) > 1e-3:
        yield "numbers: normals that are not of length 1"
    if cloud.shape != labels.shape or not np.allclose(cloud.affine, affine, atol=1e-3):
        yield f"grid: {cloud.shape} is not the label map's, {labels.shape}, or its affine is another"
    held = np.bincount(labels.ravel(), minlength=256) > 0
    for channel, structure in enumerate(cloud.table):
        shown = bool((cloud.surface_class == structure.index).any())
        if not bool(cloud.present[channel]) == shown == bool(held[structure.index]):
            said = "present" if cloud.present[channel] else "absent"
            points, holds = "surface points" if shown else "no surface points", held[structure.index]
            yield f"{structure.name}: presence: {said}, {points}; the label map {'has' if holds else 'lacks'} it"


def _bound(cloud: Cloud, channel: int, structure: Structure) -> Iterator[str]:
    furthest_mm = 2 * half_diagonal_mm(cloud.affine @ np.diag([*(np.asarray(cloud.shape) + 1.0), 1.0]))
    for name, _, sdf_mm in _sets(cloud):
        away = np.abs(sdf_mm[:, channel])
        if cloud.present[channel] and away.max(initial=0) > furthest_mm:
            yield f"{structure.name}: bound: {name} distances to {away.max():.0f} mm in a grid of {furthest_mm:.0f} mm"
        elif not cloud.present[channel] and not np.allclose(sdf_mm[:, channel], absent_mm(cloud.scale_mm), rtol=1e-3):
            yield f"{structure.name}: bound: {name} distances other than the fixed one of an absent structure"


def _signs(cloud: Cloud, channel: int, structure: Structure, here: dict[str, np.ndarray]) -> Iterator[str]:
    half_mm = half_diagonal_mm(cloud.affine) * 1.001 + 1e-3
    for name, _, sdf_mm in _sets(cloud):
        inside, own = sdf_mm[:, channel] < 0, here[name] == structure.index
        off = np.abs(sdf_mm[:, channel]) > half_mm
        wrong = int((off & (inside != own)).sum())
        if wrong:
            yield f"{structure.name}: sign: {wrong} of {off.sum()} {name} points are not on their label's side"
        if name == "volume" and abs(int(inside.sum()) - int(own.sum())) > max(int((~off).sum()), 3):
            yield f"{structure.name}: sign share: {inside.mean():.2%} of the volume inside, {own.mean():.2%} labelled"
        if name == "near" and len(inside) >= 100 * len(cloud.table) and (inside.all() or not inside.any()):
            yield f"{structure.name}: sign share: all near points are {'inside' if inside.all() else 'outside'}"


def _steep(cloud: Cloud) -> np.ndarray:
    """How often, by channel, two neighbouring points differ by more than they are apart."""
    points = np.concatenate([cloud.volume_points_mm, cloud.near_points_mm]).astype(np.float64)
    sdf_mm = np.concatenate([cloud.volume_sdf_mm, cloud.near_sdf_mm])
    if len(points) < 2:
        return np.zeros(sdf_mm.shape[1], np.int64)
    apart, beside = cKDTree(points).query(points, k=2)
    return np.asarray((np.abs(sdf_mm - sdf_mm[beside[:, 1]]) > apart[:, 1:] + _ROUNDING_MM).sum(axis=0))


def _at_surface(cloud: Cloud, channel: int, structure: Structure, slopes: dict[str, float]) -> Iterator[str]:
    own = cloud.surface_class == structure.index
    surface_mm, normals = cloud.surface_points_mm[own].astype(np.float64), cloud.surface_normals[own]
    voxel_mm = float(np.linalg.norm(cloud.affine[:3, :3], axis=0).min())
    reach_mm = 6 * half_diagonal_mm(cloud.affine)
    points, sdf_mm = cloud.near_points_mm.astype(np.float64), cloud.near_sdf_mm[:, channel].astype(np.float64)
    away, nearest = cKDTree(surface_mm).query(points, distance_upper_bound=reach_mm)
    close = np.isfinite(away)
    points, sdf_mm, away, nearest = points[close], sdf_mm[close], away[close], nearest[close]
    beyond = int((np.abs(sdf_mm) > away + _ROUNDING_MM).sum())
    if beyond:
        yield f"{structure.name}: zero: {beyond} near points are further from the surface than from a point on it"
    rise = ((points - surface_mm[nearest]) * normals[nearest]).sum(axis=1)
    aside = np.sqrt(np.maximum(away**2 - rise**2, 0))
    beside = (aside < _ASIDE_VOXELS * voxel_mm) & (np.abs(rise) < _REACH_VOXELS * voxel_mm)
    if beside.sum() < _FEWEST:
        return
    slope, step = _line(rise[beside], sdf_mm[beside])
    slopes[structure.name] = round(slope, 4)
    if abs(slope - 1) > SLOPE_TOLERANCE:
        yield f"{structure.name}: slope: {slope:.2f} across the surface instead of 1"
    elif abs(step) > STEP_VOXELS * voxel_mm:
        yield f"{structure.name}: slope: a jump of {2 * step:.2f} mm at the surface (half a voxel each side?)"


def _line(rise_mm: Float[np.ndarray, " n"], sdf_mm: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Slope, and step on either side of 0, of distance over height.

    What bends off is left out: where points on the surface are sparse, the nearest one may lie on the wrong wall.
    """
    design = np.stack([rise_mm, np.sign(rise_mm)], axis=1)
    far = np.abs(rise_mm) >= np.median(np.abs(rise_mm))
    slope, step = float(np.median(sdf_mm[far] / rise_mm[far])), 0.0
    for _ in range(5):
        off = np.abs(sdf_mm - design @ (slope, step))
        kept = off <= 2.5 * max(float(np.median(off)), 1e-3)
        slope, step = (float(value) for value in np.linalg.lstsq(design[kept], sdf_mm[kept], rcond=None)[0])
    return slope, step
