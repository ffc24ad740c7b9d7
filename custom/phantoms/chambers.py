"""The chambers of a phantom heart: analytic solids in a mean chest, mm, RAS+ (x right, y anterior, z superior)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from .implicit_solids import Field, Numbers, curve, ellipsoid, half_space, intersection, outside, roughened, tube, union


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


@dataclass(frozen=True)
class LongAxis:
    """The left ventricle's own frame: the cardiologist's long axis and the septum's side.

    Attributes:
        base_mm: centre of the base plane.
        axes: rows: towards the septum and the right ventricle, towards the anterior wall, towards the apex.
    """

    base_mm: Float[np.ndarray, "3"]
    axes: Float[np.ndarray, "3 3"]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> LongAxis:
        """Apex to the left, front and below; right ventricle in front and to the right."""
        apexward = _unit(np.array([-0.62, 0.55, -0.56]) + rng.normal(0, 0.04, 3))
        septal = np.array([0.63, 0.77, 0.0])
        septal = _unit(septal - septal @ apexward * apexward)
        return cls(np.array([-10.0, -6.0, -6.0]), np.stack([septal, np.cross(septal, apexward), apexward]))

    def at(self, septal_mm: Numbers, anterior_mm: Numbers, apical_mm: Numbers) -> np.ndarray:
        """Chest points (..., 3) of coordinates in this frame; scalars and arrays broadcast."""
        local = np.stack(np.broadcast_arrays(septal_mm, anterior_mm, apical_mm), axis=-1).astype(float)
        return np.asarray(self.base_mm + local @ self.axes)

    def around(self, angle_deg: Numbers, radius_mm: Numbers, apical_mm: Numbers) -> np.ndarray:
        """Chest points at an angle about the long axis: 0 mid septum, 90 anterior wall, 180 lateral, 270 inferior."""
        angle = np.deg2rad(np.asarray(angle_deg, float))
        return self.at(np.asarray(radius_mm) * np.cos(angle), np.asarray(radius_mm) * np.sin(angle), apical_mm)


@dataclass(frozen=True)
class Chambers:
    """The fields of the four chambers and the wall, and what the vessels need to find their way.

    ``epicardium`` is the left ventricle with its wall, closed at the base plane.
    """

    frame: LongAxis
    epi_radius_mm: float
    epi_length_mm: float
    epicardium: Field
    fields: dict[str, Field] = field(default_factory=dict)


def make_chambers(rng: np.random.Generator) -> Chambers:
    """Draws the size and shape of every chamber."""
    frame = LongAxis.drawn(rng)
    radius, length = 22.6 * rng.uniform(0.95, 1.05), 71 * rng.uniform(0.95, 1.05)
    wall = 7.6 * rng.uniform(0.9, 1.12)
    oval = rng.uniform(0.95, 1.05)
    smooth_outer = ellipsoid(frame.at(0, 0, 4), (radius * oval + wall, radius / oval + wall, length + wall), frame.axes)
    inner = ellipsoid(frame.at(0, 0, 4), (radius * oval, radius / oval, length), frame.axes)
    outer = roughened(smooth_outer, rng, 0.5, (35, 70))
    epicardium = intersection(outer, half_space(frame.base_mm, -frame.axes[2]))
    cavity = intersection(
        roughened(inner, rng, 0.8, (12, 30)), half_space(frame.at(0, 0, -2), -frame.axes[2]), blend_mm=3
    )
    rim = half_space(frame.at(0, 0, 2), -frame.axes[2] + rng.normal(0, 0.04, 3))
    fields = {
        "LV": cavity,
        "Myocardium": intersection(outer, rim, outside(cavity), blend_mm=1.5),
        "RV": _right_ventricle(rng, frame, smooth_outer),
        "LA": _left_atrium(rng, frame),
        "RA": _right_atrium(rng, frame),
    }
    return Chambers(frame, radius + wall, length + wall + 4, epicardium, fields)


def _right_ventricle(rng: np.random.Generator, frame: LongAxis, epicardium: Field) -> Field:
    """A crescent round the septum, its inflow cut off at the tricuspid plane, its outflow rising to the valve."""
    grow = rng.uniform(0.95, 1.05, 3)
    body = ellipsoid(frame.at(22, -4, 24), (30.5 * grow[0], 35.5 * grow[1], 50 * grow[2]), frame.axes)
    inflow = half_space(frame.at(30, -8, 1), frame.axes.T @ [0.25, 0.0, -1.0])
    outflow = tube(curve(frame.at([36, 31, 26], [4, 20, 33], [20, 12, 3])), (14, 13, 11.0))
    whole = union(intersection(body, inflow, blend_mm=6), outflow, blend_mm=8)
    return intersection(roughened(whole, rng, 1.0, (14, 32)), outside(epicardium), blend_mm=1.5)


def _left_atrium(rng: np.random.Generator, frame: LongAxis) -> Field:
    """A flattened bag before the spine, opening towards the mitral valve."""
    center = np.array([0.0, -27.0, 8.0])
    radii = np.array([27.5, 20.0, 23.5]) * rng.uniform(0.94, 1.06, 3)
    body = ellipsoid(center, radii)
    vestibule = tube(curve([center, frame.at(-6, -3, -8), frame.at(-6, -3, 2)]), (14, 14, 14.0))
    posterior = half_space(center - [0, radii[1] * 0.86, 0], (rng.normal(0, 0.08), -1, -0.15))
    bag = intersection(union(body, vestibule, blend_mm=8), posterior, blend_mm=8)
    return roughened(bag, rng, 1.0, (22, 50))


def _right_atrium(rng: np.random.Generator, frame: LongAxis) -> Field:
    """A bag to the right with its appendage before the aorta, and the stumps of both caval veins."""
    center = np.array([34.0, 0.0, -6.0])
    body = ellipsoid(center, np.array([17, 18.5, 21.5]) * rng.uniform(0.94, 1.06, 3))
    vestibule = tube(curve([center, frame.at(32, -12, -8), frame.at(29, -12, 4)]), (14, 14.5, 14.0))
    appendage = tube(curve([(30, 8, 4), (27, 18, 12), (19, 24, 17)]), (11, 9, 5.5 * rng.uniform(0.8, 1.2)))
    superior = tube(curve([(34, -6, 8), (33, -8, 20), (31, -9, 30)]), (10, 8.5, 8))
    inferior = tube(curve([(34, -6, -20), (33, -12, -30), (31, -16, -38)]), (11, 10, 9.5))
    bag = union(body, vestibule, appendage, superior, inferior, blend_mm=6)
    return roughened(bag, rng, 0.8, (20, 45))
