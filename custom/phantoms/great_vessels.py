"""The great vessels, the appendage and the pulmonary veins of a phantom heart, in the mean chest of the chambers."""

from __future__ import annotations

import numpy as np

from .chambers import LongAxis
from .implicit_solids import Field, Numbers, curve, roughened, tube, union


def _course(rng: np.random.Generator, points_mm: Numbers, stray_mm: float = 2.0) -> np.ndarray:
    """A curve through the points, all but the first strayed a little: the ways vessels differ between people."""
    knots = np.asarray(points_mm, float)
    return curve(knots + np.vstack([np.zeros((1, 3)), rng.uniform(-stray_mm, stray_mm, (len(knots) - 1, 3))]))


def make_aorta(rng: np.random.Generator, frame: LongAxis) -> Field:
    """Root with its sinuses, ascending, arch and descending down to below the diaphragm."""
    root = frame.at(9, 7, -1)
    wide = rng.uniform(0.93, 1.05)
    rise: list[Numbers] = [root, root + [6, -1, 12], (8, 1, 30), (8, -3, 43), (0, -15, 55), (-11, -32, 56)]
    fall: list[Numbers] = [(-19, -48, 46), (-22, -56, 28), (-22, -57, 0), (-18, -57, -34), (-15, -57, -80)]
    radii = np.array([12.5, 14, 12.8, 12.6, 11.6, 10.6, 10.2, 10, 9.8, 9.5, 9.2, 9, 9, 8.8]) * wide
    return tube(_course(rng, rise + fall), radii)


def make_pulmonary_artery(rng: np.random.Generator, frame: LongAxis) -> Field:
    """A trunk that crosses before and to the left of the aorta, then a right branch behind it and a left branch."""
    valve, fork = frame.at(25, 34, 2), np.array([-17.0, -5.0, 37.0]) + rng.uniform(-1.5, 1.5, 3)
    wide = rng.uniform(0.93, 1.06)
    trunk = tube(curve([valve, (-17, 13, 31), fork]), (11 * wide, 10.8 * wide, 8.5 * wide))
    right = _course(rng, [fork, (-6, -17, 38), (8, -23, 38), (26, -24, 36), (40, -26, 34)], 1.5)
    left = _course(rng, [fork, (-29, -17, 41), (-39, -26, 39), (-45, -33, 35)])
    return union(trunk, tube(right, (8, 7.2, 6.6, 6.2)), tube(left, (8, 7.4, 6.6, 6)), blend_mm=4)


def make_appendage(rng: np.random.Generator) -> Field:
    """A finger from the left atrium's front left corner over the groove, bent more or less, with one to four lobes."""
    start = np.array([-19.0, -21.0, 17.0])
    bend = rng.uniform(-6, 5)
    spine = curve([start, (-30, -14, 24), (-38, -5, 25 + bend / 2), (-42 + abs(bend) / 3, 4, 22 + bend)])
    parts = [tube(spine, (7.2, 8, 7.6, 5.4))]
    for _ in range(int(rng.integers(1, 5))):
        foot = spine[int(rng.uniform(0.45, 0.95) * len(spine))]
        tip = foot + rng.normal(0, 1, 3) * [3.5, 4, 4] + [-4, 1, 0]
        parts.append(tube(curve([foot, (foot + tip) / 2, tip]), (4.5, 4, rng.uniform(2.6, 3.6))))
    return roughened(union(*parts, blend_mm=3), rng, 0.5, (9, 18))


def make_pulmonary_veins(rng: np.random.Generator) -> tuple[Field, Field]:
    """The left and the right pair; the veins of a pair share an antrum, so that a pair is one piece."""
    pairs = []
    for antrum, out, upper, lower in (
        ((-16, -31, 11), (-26, -35, 12), [(-38, -33, 19), (-54, -30, 25)], [(-35, -43, 5), (-48, -50, -2)]),
        ((17, -31, 11), (28, -33, 11), [(39, -30, 16), (55, -27, 20)], [(37, -39, 4), (51, -46, -3)]),
    ):
        veins = []
        for ends in (upper, lower):
            wide = rng.uniform(0.92, 1.1)
            veins.append(tube(_course(rng, [antrum, out, *ends], 1.5), (8 * wide, 7.4 * wide, 6 * wide, 5.4 * wide)))
        pairs.append(union(*veins, blend_mm=4))
    return pairs[0], pairs[1]
