"""Defects of the whole outline: thick slices, slices off their place, outlines that wander.

A vessel thinner than a slice cannot be drawn on slices; label sets take it from outlines of its own. So thin
structures (``Structure.thin``) are lifted off, moved less, and laid back on top.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from scipy import ndimage

from ..anatomy import StructureTable

SLICE_MM = (3.0, 4.5)
JITTER_MM = 0.55
WANDER_MM = 0.85
WANDER_SHARE = 0.31
_LATTICES_MM = (14.0, 6.0)

Labels = UInt8[np.ndarray, "i j k"]


def draw_on_slices(
    labels: Labels,
    spacing_mm: Float[np.ndarray, "3"],
    rng: np.random.Generator,
    steps: float | int,
    jitter: float | int,
    table: StructureTable,
) -> Labels:
    """Redraws all but thin structures on thick slices along one axis (nearest slice wins), each slice a little off.

    The slices are ``steps`` times 3 to 4.5 mm thick; with ``steps`` 0 there are no terraces, but jitter still moves
    slices of that thickness. Slices thinner than a voxel make no terraces.
    """
    axis, thick_mm, start = int(rng.integers(3)), rng.uniform(*SLICE_MM), rng.uniform()
    shifts_mm = rng.normal(0, JITTER_MM, (4096, 2)) * jitter
    if steps == 0 and jitter == 0:
        return labels.copy()
    places_mm = (np.arange(labels.shape[axis]) + 0.5) * spacing_mm[axis]
    thickness_mm = thick_mm * (steps or 1.0)
    slab = np.floor(places_mm / thickness_mm + start).astype(int)
    middle = ((slab + 0.5 - start) * thickness_mm / spacing_mm[axis] - 0.5).round().astype(int)
    source = np.clip(middle, 0, labels.shape[axis] - 1) if steps else np.arange(labels.shape[axis])
    across = [a for a in range(3) if a != axis]
    shifts = (shifts_mm[slab % len(shifts_mm)] / spacing_mm[across]).round().astype(int)
    coarse, thin = _lift_thin(labels, spacing_mm, table)
    out = np.moveaxis(_redrawn(np.moveaxis(coarse, axis, 0), source, shifts), 0, axis)
    return np.where(thin > 0, thin, out)


def _redrawn(planes: Labels, source: np.ndarray, shifts: np.ndarray) -> Labels:
    """Plane by plane, the one at ``source`` moved by its (rows, columns); the border's label fills what comes in."""
    drawn = np.empty_like(planes)
    for index, (origin, (first, second)) in enumerate(zip(source, shifts, strict=True)):
        rows = np.clip(np.arange(planes.shape[1]) + first, 0, planes.shape[1] - 1)
        columns = np.clip(np.arange(planes.shape[2]) + second, 0, planes.shape[2] - 1)
        drawn[index] = planes[origin][np.ix_(rows, columns)]
    return drawn


def displace(
    labels: Labels,
    spacing_mm: Float[np.ndarray, "3"],
    rng: np.random.Generator,
    severity: float | int,
    table: StructureTable,
) -> Labels:
    """Moves outlines by a smooth random field of about ``WANDER_MM`` times the severity.

    A thin structure moves by no more than its width bears: ``WANDER_SHARE`` of its half-width.
    """
    seeds = rng.integers(2**63, size=2)
    if severity == 0:
        return labels.copy()
    coarse, thin = _lift_thin(labels, spacing_mm, table)
    field_mm = _smooth_field(np.random.default_rng(seeds[0]), labels.shape, spacing_mm)
    out = _pulled(coarse, spacing_mm, field_mm, WANDER_MM * severity)
    if not thin.any():
        return out
    field_mm = _smooth_field(np.random.default_rng(seeds[1]), labels.shape, spacing_mm)
    for structure in reversed(table.by_rank):
        mask = thin == structure.index
        if not mask.any():
            continue
        amount_mm = min(WANDER_MM, WANDER_SHARE * _half_width_mm(mask, spacing_mm)) * severity
        out[_pulled(mask, spacing_mm, field_mm, amount_mm)] = structure.index
    return out


def _half_width_mm(mask: np.ndarray, spacing_mm: np.ndarray) -> float:
    """How far the deepest voxel's centre lies from the outline of a structure that is not empty."""
    inside = np.pad(mask[ndimage.find_objects(mask.astype(np.uint8))[0]], 1)
    return float(ndimage.distance_transform_edt(inside, sampling=spacing_mm).max() - spacing_mm.min() / 2)


def _lift_thin(labels: Labels, spacing_mm: np.ndarray, table: StructureTable) -> tuple[Labels, Labels]:
    """The map without its thin structures, their place given to the nearest other label, and those alone."""
    thin = np.zeros_like(labels)
    for structure in table:
        if structure.thin:
            thin[labels == structure.index] = structure.index
    if not thin.any() or thin.all():
        return labels, thin
    box = tuple(
        slice(max(part.start - 2, 0), part.stop + 2) for part in ndimage.find_objects((thin > 0).astype(np.uint8))[0]
    )
    coarse = labels.copy()
    if (thin[box] == 0).any():
        nearest = ndimage.distance_transform_edt(thin[box] > 0, spacing_mm, return_distances=False, return_indices=True)
        coarse[box] = coarse[box][tuple(nearest)]
    else:
        coarse[thin > 0] = 0
    return coarse, thin


def _pulled(
    volume: np.ndarray, spacing_mm: np.ndarray, field_mm: Sequence[np.ndarray], amount: float | int
) -> np.ndarray:
    """Each voxel takes what is found a step of ``amount`` times the field away."""
    places = []
    for axis, (size, steps_mm) in enumerate(zip(volume.shape, field_mm, strict=True)):
        here = np.arange(size, dtype=np.float32).reshape(tuple(size if a == axis else 1 for a in range(3)))
        there = np.rint(here + steps_mm * np.float32(amount / spacing_mm[axis]))
        places.append(np.clip(there, 0, size - 1).astype(np.int32))
    return np.asarray(volume[tuple(places)])


def _smooth_field(rng: np.random.Generator, shape: tuple[int, ...], spacing_mm: np.ndarray) -> list[np.ndarray]:
    """A smooth random step along each axis, of standard deviation about 1."""
    return [_smooth_noise(rng, shape, spacing_mm) for _ in range(3)]


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], spacing_mm: np.ndarray) -> np.ndarray:
    """Noise of standard deviation about 1, smooth over the lattices' steps; the same in mm at any sampling."""
    total = np.zeros(shape, np.float32)
    for lattice_mm in _LATTICES_MM:
        nodes = tuple(int(np.ceil(n * mm / lattice_mm)) + 4 for n, mm in zip(shape, spacing_mm, strict=True))
        noise = ndimage.spline_filter(rng.normal(size=nodes), order=3).astype(np.float32)
        for axis, (size, mm) in enumerate(zip(shape, spacing_mm, strict=True)):
            noise = _along(noise, axis, (np.arange(size) + 0.5) * mm / lattice_mm + 1)
        total += noise / np.sqrt(len(_LATTICES_MM))
    return total


def _along(coefficients: np.ndarray, axis: int, places: np.ndarray) -> np.ndarray:
    """Cubic B-spline coefficients evaluated at places along one axis."""
    left = np.floor(places).astype(int)
    t = (places - left).astype(np.float32)
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    shape = tuple(-1 if a == axis else 1 for a in range(3))
    out: np.ndarray = sum(
        coefficients.take(left + step - 1, axis=axis) * (weight / 6).reshape(shape)
        for step, weight in enumerate(weights)
    )
    return out
