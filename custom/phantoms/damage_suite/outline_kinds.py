"""Damage to the whole outline: boundary noise, bias, smoothing, slices.

Every function maps (labels [i, j, k], spacing in units, generator, severity, table) to damaged labels. The unit is the
voxel or the mm, by choice of the caller; severity 0 leaves the labels as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from ...anatomy import StructureTable

Labels = UInt8[np.ndarray, "i j k"]
Spacing = Float[np.ndarray, "3"]
Damage = Callable[[Labels, Spacing, np.random.Generator, float | int, StructureTable], Labels]

NOISE = 0.7
"""Standard deviation of the displacement by boundary noise at severity 1."""
FLIP_CHANCE = 0.3
"""Chance of a boundary voxel to take a neighbour's label at severity 1."""
SLICE_SHIFT, SLICE_GROWTH, BIAS, BLUR = 0.6, 0.6, 0.6, 1.5
SLICE_THICKNESS = (2.0, 5.0)


def correlated_noise(
    labels: Labels,
    spacing: Spacing,
    rng: np.random.Generator,
    severity: float | int,
    table: StructureTable,
    length: float,
) -> Labels:
    """Every voxel takes the label found a smooth random step away; ``length`` is the Gaussian's sigma, in units."""
    places = []
    for axis, size in enumerate(labels.shape):
        noise = ndimage.gaussian_filter(rng.standard_normal(labels.shape, np.float32), length / spacing, truncate=3)
        step = noise / (noise.std() + 1e-12) * (NOISE * severity / spacing[axis])
        here = np.arange(size, dtype=np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        places.append(np.clip(np.rint(here + step), 0, size - 1).astype(np.int32))
    return np.asarray(labels[tuple(places)])


def white_noise(
    labels: Labels, spacing: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """Voxels beside another label take the label of a random face neighbour."""
    axis, way = int(rng.integers(3)), int(rng.choice((-1, 1)))
    out = labels.copy()
    for turn in range(3):
        neighbour = _shifted(labels, (axis + turn) % 3, way)
        flips = (neighbour != labels) & (rng.random(labels.shape, np.float32) < FLIP_CHANCE * severity)
        out[flips] = neighbour[flips]
    return out


def grow(
    labels: Labels, spacing: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """Every structure grows into the background."""
    return _moved_outline(labels, spacing, table, BIAS * severity)


def shrink(
    labels: Labels, spacing: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """The heart's outer boundary recedes; borders between structures stay."""
    return _moved_outline(labels, spacing, table, -BIAS * severity)


def oversmooth(
    labels: Labels, spacing: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """Every structure's mask is blurred; the highest value wins, so thin parts are lost."""
    return _vote(labels, partial(ndimage.gaussian_filter, sigma=BLUR * severity / spacing, truncate=3), table)


def slice_shift(
    labels: Labels, spacing: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """Slices along a random axis are each moved within their plane."""
    axis = int(rng.integers(3))
    across = [a for a in range(3) if a != axis]
    shifts = rng.normal(0, SLICE_SHIFT * severity, (labels.shape[axis], 2)) / spacing[across]
    planes = np.moveaxis(labels, axis, 0)
    steps = np.rint(shifts).astype(int).tolist()
    out = np.stack([_plane_shifted(plane, *step) for plane, step in zip(planes, steps, strict=True)])
    return np.ascontiguousarray(np.moveaxis(out, 0, axis))


def slice_outline(
    labels: Labels, spacing: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """On every slice along a random axis each structure's outline is drawn a little too wide or too narrow."""
    axis = int(rng.integers(3))
    # A distance that is blind across slices: one transform serves all planes.
    sampling = np.where(np.arange(3) == axis, 1e6, spacing)
    out = labels.copy()
    for structure in reversed(table.by_rank):
        growth = rng.normal(0, SLICE_GROWTH * severity, (labels.shape[axis],))
        for box, mask in _boxed(labels, structure.index, np.ceil(3 * SLICE_GROWTH * severity / spacing) + 1):
            limit = growth[box[axis]].reshape([-1 if a == axis else 1 for a in range(3)])
            outside = np.minimum(ndimage.distance_transform_edt(~mask, sampling), 1e3)
            inside = np.minimum(ndimage.distance_transform_edt(mask, sampling), 1e3)
            half = 0.5 * float(spacing[np.arange(3) != axis].min())
            drawn = np.where(mask, half - inside, outside - half) < limit
            out[box][mask & ~drawn] = 0
            out[box][drawn] = structure.index
    return out


def thick_slices(
    labels: Labels, spacing: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """Drawn on slices 2 to 5 units thick along a random axis: each voxel takes the label of its slice's middle."""
    axis = int(rng.integers(3))
    thickness = max(1.0, rng.uniform(*SLICE_THICKNESS) * severity / spacing[axis])
    return np.asarray(labels.take(_coarse_indices(labels.shape[axis], thickness, rng.uniform()), axis=axis))


def interpolated_slices(
    labels: Labels, spacing: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """Drawn on slices 2 to 5 units apart along a random axis, and every mask interpolated linearly between them."""
    axis = int(rng.integers(3))
    step = max(1, round(rng.uniform(*SLICE_THICKNESS) * severity / float(spacing[axis])))
    size = labels.shape[axis]
    first = int(rng.integers(step))
    here = np.arange(size)
    below = np.clip((here - first) // step * step + first, 0, size - 1)
    above = np.clip(below + step, 0, size - 1)
    weight = np.clip((here - below) / step, 0, 1).astype(np.float32)
    weight = weight.reshape([-1 if a == axis else 1 for a in range(3)])
    below_plane, above_plane = below, np.where(here < first, below, above)

    def between(mask: np.ndarray) -> np.ndarray:
        return mask.take(below_plane, axis=axis) * (1 - weight) + mask.take(above_plane, axis=axis) * weight

    return _vote(labels, between, table, whole=True)


def coarse_grid(
    labels: Labels,
    spacing: Spacing,
    rng: np.random.Generator,
    severity: float | int,
    table: StructureTable,
    factor: float,
) -> Labels:
    """Stored on a grid ``factor`` times coarser (at severity 1) and resampled by nearest neighbour, twice."""
    ratio = 1 + (factor - 1) * severity
    for axis, size in enumerate(labels.shape):
        labels = labels.take(_coarse_indices(size, ratio, rng.uniform()), axis=axis)
    return np.asarray(labels)


def rotated(
    labels: Labels, spacing: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """Resampled by nearest neighbour on a rotated grid and back; severity scales the rounding error of the way."""
    turn = _rotation(rng)
    centre = (np.array(labels.shape) - 1) / 2
    here = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in labels.shape), indexing="ij"))
    there = np.einsum("ab,bijk->aijk", turn, here - centre.reshape(3, 1, 1, 1).astype(np.float32))
    error = np.einsum("ba,bijk->aijk", turn, np.rint(there) - there)
    places = np.rint(here + severity * error).astype(np.int32)
    return np.asarray(labels[tuple(np.clip(at, 0, n - 1) for at, n in zip(places, labels.shape, strict=True))])


def truncated(
    labels: Labels, spacing: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """The field of view ends within the heart: up to 15 % of it lost at one side."""
    axis, side = int(rng.integers(3)), int(rng.integers(2))
    filled = np.flatnonzero((labels > 0).any(axis=tuple(a for a in range(3) if a != axis)))
    if not filled.size:
        return labels.copy()
    lost = round(0.15 * min(severity, 1.5) * len(filled))
    out = np.moveaxis(labels.copy(), axis, 0)
    if side:
        out[filled[-1] + 1 - lost :] = 0
    else:
        out[: filled[0] + lost] = 0
    return np.ascontiguousarray(np.moveaxis(out, 0, axis))


def _moved_outline(labels: Labels, spacing: Spacing, table: StructureTable, amount: float) -> Labels:
    """Moves the border to the background by ``amount`` (positive: outwards); new voxels take the nearest label."""
    if not (labels > 0).any():
        return labels.copy()
    half = 0.5 * float(spacing.min())
    if amount < 0:
        depth = ndimage.distance_transform_edt(labels > 0, spacing) - half
        return np.where(depth < -amount, np.uint8(0), labels)
    away, nearest = ndimage.distance_transform_edt(labels == 0, spacing, return_indices=True)
    return np.where(away - half <= amount, labels[tuple(nearest)], labels)


def _coarse_indices(size: int, ratio: float, start: float) -> np.ndarray:
    """For each index the middle index of its cell of ``ratio`` indices."""
    cell = np.floor(np.arange(size) / ratio + start)
    return np.clip(np.rint((cell + 0.5 - start) * ratio - 0.5), 0, size - 1).astype(int)


def _plane_shifted(plane: np.ndarray, rows: int, columns: int) -> np.ndarray:
    at = np.clip(np.arange(plane.shape[0]) + rows, 0, plane.shape[0] - 1)
    across = np.clip(np.arange(plane.shape[1]) + columns, 0, plane.shape[1] - 1)
    return plane[np.ix_(at, across)]


def _shifted(labels: Labels, axis: int, way: int) -> Labels:
    return np.asarray(labels.take(np.clip(np.arange(labels.shape[axis]) + way, 0, labels.shape[axis] - 1), axis=axis))


def _rotation(rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """A rotation by 5 to 40 degrees about a random axis."""
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    angle = np.deg2rad(rng.uniform(5, 40))
    cross = np.cross(np.eye(3), axis)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross, np.float32)


def _boxed(
    labels: Labels, index: int, margin: np.ndarray
) -> Iterator[tuple[tuple[slice, ...], Bool[np.ndarray, "a b c"]]]:
    """The structure's bounding box with a margin, and its mask there; nothing if it is absent."""
    found = ndimage.find_objects((labels == index).astype(np.uint8))
    if found:
        pairs = zip(found[0], margin.astype(int).tolist(), strict=True)
        box = tuple(slice(max(part.start - more, 0), part.stop + more) for part, more in pairs)
        yield box, labels[box] == index


def _vote(
    labels: Labels, spread: Callable[[np.ndarray], np.ndarray], table: StructureTable, whole: bool = False
) -> Labels:
    """The label whose spread mask is highest at each voxel, the background among them; a tie goes to the lower."""
    present = [0, *(index for index in table.indices if (labels == index).any())]
    best, winner = np.full(labels.shape, -1.0, np.float32), labels.copy()
    for index in present:
        value = spread((labels == index).astype(np.float32))
        wins = value > best
        best[wins] = value[wins]
        winner[wins] = index
    return winner
