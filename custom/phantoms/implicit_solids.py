"""Implicit solids for the phantoms: functions of points in mm, below zero inside, about a distance near the surface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.spatial import cKDTree

Field = Callable[[Float[np.ndarray, "n 3"]], Float[np.ndarray, " n"]]
"""Points in mm to a value in mm: negative inside, positive outside, ``FAR_MM`` where it was not worth asking."""

Numbers = float | int | np.ndarray | Sequence[Any]
"""Whatever numpy makes an array of numbers of."""

FAR_MM = 30.0
"""What a field answers outside its bounding box; more than any blend or gap used here."""

MARGIN_MM = 8.0
"""How far outside a solid its field still answers exactly."""


def _inside_box(field: Field, low_mm: np.ndarray, high_mm: np.ndarray) -> Field:
    """The same field, asked only in a box: elsewhere ``FAR_MM``. Most of a chest is far from any one solid."""

    def bounded(points_mm: np.ndarray) -> np.ndarray:
        near = np.arange(len(points_mm))
        for axis in range(3):
            along = points_mm[near, axis]
            near = near[(along >= low_mm[axis]) & (along <= high_mm[axis])]
        values = np.full(len(points_mm), FAR_MM)
        if len(near):
            values[near] = field(points_mm[near])
        return values

    return bounded


def ellipsoid(center_mm: Numbers, radii_mm: Numbers, axes: np.ndarray | None = None) -> Field:
    """An ellipsoid whose semi-axes lie along the rows of ``axes`` (default: x, y, z)."""
    center, radii = np.asarray(center_mm, float), np.asarray(radii_mm, float)
    turn = np.eye(3) if axes is None else np.asarray(axes, float)

    def field(points_mm: np.ndarray) -> np.ndarray:
        scaled = (points_mm - center) @ turn.T / radii
        reach = np.linalg.norm(scaled, axis=1)
        slope = np.linalg.norm(scaled / radii, axis=1)
        return reach * (reach - 1) / np.maximum(slope, 1e-6)

    extent = np.abs(turn.T) @ radii + MARGIN_MM
    return _inside_box(field, center - extent, center + extent)


def curve(waypoints_mm: Numbers, step_mm: float = 0.7) -> Float[np.ndarray, "n 3"]:
    """A smooth curve through the waypoints, sampled about every ``step_mm``."""
    knots = np.asarray(waypoints_mm, float)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    count = max(int(along[-1] / step_mm), 2)
    return np.asarray(CubicSpline(along, knots, bc_type="natural")(np.linspace(0, along[-1], count + 1)))


def tube(path_mm: Float[np.ndarray, "n 3"], radii_mm: Numbers) -> Field:
    """A tube round a finely sampled path; the radii are spread evenly along it and blended smoothly."""
    given = np.asarray(radii_mm, float)
    places = np.linspace(0, 1, len(given))
    radii = np.asarray(PchipInterpolator(places, given)(np.linspace(0, 1, len(path_mm))))
    tree, reach = cKDTree(path_mm), float(radii.max()) + MARGIN_MM

    def field(points_mm: np.ndarray) -> np.ndarray:
        away, nearest = tree.query(points_mm, distance_upper_bound=reach)
        known = np.append(radii, 0.0)[nearest]
        return np.where(np.isfinite(away), away - known, FAR_MM)

    return _inside_box(field, path_mm.min(0) - reach, path_mm.max(0) + reach)


def half_space(point_mm: Numbers, outward: Numbers) -> Field:
    """Everything behind the plane through a point, where ``outward`` leads out of it."""
    point, normal = np.asarray(point_mm, float), np.asarray(outward, float)
    normal = normal / np.linalg.norm(normal)
    return lambda points_mm: (points_mm - point) @ normal


def union(*fields: Field, blend_mm: float | int = 0.0) -> Field:
    """What lies in any of the solids; creases are filled smoothly over about ``blend_mm``."""

    def field(points_mm: np.ndarray) -> np.ndarray:
        value = fields[0](points_mm)
        for other in fields[1:]:
            value = _smooth_minimum(value, other(points_mm), blend_mm)
        return value

    return field


def intersection(*fields: Field, blend_mm: float | int = 0.0) -> Field:
    """What lies in all of the solids; edges are rounded over about ``blend_mm``."""

    def field(points_mm: np.ndarray) -> np.ndarray:
        value = fields[0](points_mm)
        for other in fields[1:]:
            value = -_smooth_minimum(-value, -other(points_mm), blend_mm)
        return value

    return field


def outside(field: Field) -> Field:
    """All that the solid is not."""
    return lambda points_mm: -field(points_mm)


def _smooth_minimum(first: np.ndarray, second: np.ndarray, blend_mm: float | int) -> np.ndarray:
    lower = np.minimum(first, second)
    if blend_mm <= 0:
        return lower
    overlap = np.maximum(blend_mm - np.abs(first - second), 0) / blend_mm
    return lower - overlap**2 * blend_mm / 4


def roughened(field: Field, rng: np.random.Generator, amplitude_mm: float, wave_mm: Numbers) -> Field:
    """The solid with its surface waved in and out by about ``amplitude_mm``, in waves of ``wave_mm`` (least, most)."""
    vectors, phases = waves(rng, 4, wave_mm)

    def rough(points_mm: np.ndarray) -> np.ndarray:
        values = field(points_mm)
        # Only where the waves can move the surface to: the sum of four of them is at most twice the amplitude.
        near = np.flatnonzero(np.abs(values) < 2 * amplitude_mm + MARGIN_MM / 2)
        values[near] += amplitude_mm / 2 * np.sin(points_mm[near] @ vectors.T + phases).sum(axis=1)
        return values

    return rough


def waves(rng: np.random.Generator, count: int, wave_mm: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """Wave vectors (count, 3) in radians per mm, of any direction and lengths within ``wave_mm``, and phases."""
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    least_mm, most_mm = np.asarray(wave_mm, float)
    lengths = rng.uniform(least_mm, most_mm, size=(count, 1))
    return directions * 2 * np.pi / lengths, rng.uniform(0, 2 * np.pi, count)


def relax(path_mm: np.ndarray, field: Field, height_mm: float, rounds: int = 12) -> Float[np.ndarray, "n 3"]:
    """Moves each point along the field's slope until it lies ``height_mm`` above the surface; ends included."""
    points, nudge = np.array(path_mm, float), 0.4 * np.eye(3)
    for _ in range(rounds):
        slope = np.stack([field(points + n) - field(points - n) for n in nudge], axis=1) / 0.8
        steep = np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 0.3)
        step = (height_mm - field(points))[:, None] * slope / steep**2
        points += 0.7 * np.clip(step, -2.5, 2.5)
        points[1:-1] += 0.25 * (points[:-2] + points[2:] - 2 * points[1:-1])
    return points
