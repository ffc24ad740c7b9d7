"""The two coronary trees of a phantom heart, laid on the surface of its chambers."""

from __future__ import annotations

import numpy as np

from .chambers import Chambers
from .implicit_solids import Field, curve, relax, tube, union


def make_coronaries(rng: np.random.Generator, chambers: Chambers, aorta: Field, least_radius_mm: float) -> Field:
    """Left (main stem, anterior descending with diagonal, circumflex) and right (to the crux and the posterior groove).

    Args:
        least_radius_mm: no branch is thinner. A tube that holds a voxel's centre wherever it runs (half the
            voxel's diagonal) stays one piece at any sampling.
    """
    fork = chambers.frame.around(100, chambers.epi_radius_mm + 3, -5)
    left = [
        _main_stem(chambers, aorta, fork),
        *_anterior_descending(rng, chambers, fork),
        _circumflex(rng, chambers, fork),
    ]
    right = _right(rng, chambers, aorta)
    radii = [(2.3, 2.2), (2.1, 1.9, 1.6, 1.4), (1.6, 1.5, 1.35), (2.0, 1.8, 1.5), (2.2, 2.1, 1.9, 1.7, 1.5, 1.35)]
    wide = rng.uniform(0.95, 1.08)
    return union(
        *(
            tube(path, [max(r * wide, least_radius_mm) for r in taper])
            for path, taper in zip([*left, right], radii, strict=True)
        )
    )


def _ostium(chambers: Chambers, aorta: Field, towards_mm: np.ndarray) -> np.ndarray:
    """Where a ray from the middle of the aortic root leaves it."""
    middle = chambers.frame.at(9, 7, -1) + [3.0, -0.5, 7.0]
    ray = middle + np.linspace(0, 1, 200)[:, None] * (towards_mm - middle)
    return np.asarray(ray[int(np.argmax(aorta(ray) > -0.5))])


def _groove_deg(chambers: Chambers, apical_mm: np.ndarray, side: int) -> np.ndarray:
    """The angle about the long axis at which the right ventricle ends on the left one, before (+1) or behind (-1)."""
    angles = np.arange(10, 130)
    radius = _epi_radius(chambers, apical_mm)
    found = []
    for level, reach in zip(apical_mm, radius, strict=True):
        covered = chambers.fields["RV"](chambers.frame.around(side * angles, reach + 2.0, level)) < 1.0
        found.append(side * (angles[covered].max() if covered.any() else 62))
    return np.asarray(found, float)


def _epi_radius(chambers: Chambers, apical_mm: np.ndarray) -> np.ndarray:
    share = np.clip((apical_mm - 4) / (chambers.epi_length_mm - 4), -1, 1)
    return chambers.epi_radius_mm * np.sqrt(1 - share**2)


def _main_stem(chambers: Chambers, aorta: Field, fork_mm: np.ndarray) -> np.ndarray:
    start = _ostium(chambers, aorta, fork_mm)
    return curve([start, (start + fork_mm) / 2 + [0, 0, 1.0], fork_mm])


def _anterior_descending(
    rng: np.random.Generator, chambers: Chambers, fork_mm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Down the anterior groove to the apex, and its diagonal over the free wall."""
    levels = np.array([6.0, 16, 27, 38, 49, 60, 69, chambers.epi_length_mm - 3])
    angles = _groove_deg(chambers, levels, side=1) + rng.uniform(-3, 3, len(levels))
    angles[0] = max(angles[0], 84)
    knots = chambers.frame.around(angles, _epi_radius(chambers, levels) + 2, levels)
    surface = union(chambers.epicardium, chambers.fields["RV"], blend_mm=5)
    path = _laid(np.vstack([fork_mm, knots]), surface)
    start = path[int(np.argmin(np.linalg.norm(path - knots[rng.integers(1, 3)], axis=1)))]
    along = (start - chambers.frame.base_mm) @ chambers.frame.axes[2]
    down = along + np.array([6, 17, 29]) * rng.uniform(0.85, 1.1)
    aside = chambers.frame.around([100, 116, 126], _epi_radius(chambers, down) + 2, down)
    return path, _laid(np.vstack([start, aside]), surface)


def _circumflex(rng: np.random.Generator, chambers: Chambers, fork_mm: np.ndarray) -> np.ndarray:
    """Along the left groove between atrium and ventricle, towards the crux but not up to it."""
    angles = np.linspace(116, rng.uniform(205, 232), 6)
    levels = np.linspace(-2, 4, 6)
    knots = chambers.frame.around(angles, chambers.epi_radius_mm + 2.5, levels)
    surface = union(chambers.epicardium, chambers.fields["LA"], blend_mm=5)
    return _laid(np.vstack([fork_mm, knots]), surface)


def _right(rng: np.random.Generator, chambers: Chambers, aorta: Field) -> np.ndarray:
    """Out between appendage and outflow, round the right groove to the crux, then down the posterior groove."""
    turn = np.deg2rad([48, 15, -20, -55, -90, -120])
    ring = chambers.frame.at(22 + 27 * np.cos(turn), -4 + 31 * np.sin(turn), np.array([-2.0, 2, 4, 4, 3, 3]))
    levels = np.array([8.0, 20, 32, rng.uniform(42, 54)])
    angles = _groove_deg(chambers, levels, side=-1)
    behind = chambers.frame.around(angles, _epi_radius(chambers, levels) + 2, levels)
    start = _ostium(chambers, aorta, ring[0])
    surface = union(chambers.epicardium, chambers.fields["RV"], chambers.fields["RA"], blend_mm=5)
    return _laid(np.vstack([start, ring, behind]), surface)


def _laid(knots_mm: np.ndarray, surface: Field) -> np.ndarray:
    """A curve through the knots, laid on the surface but for its first point, which stays where it is."""
    rough = curve(knots_mm)
    laid = relax(rough, surface, height_mm=0.6)
    hold = np.exp(-np.arange(len(rough)) / 10)[:, None]
    return curve(((1 - hold) * laid + hold * rough)[::4].tolist() + [laid[-1].tolist()])
