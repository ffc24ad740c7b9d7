"""Damage in places: islands, lost ends, swapped voxels at the valves, coronaries fused or drawn too wide.

Signatures as in :mod:`.outline_kinds`.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from ...anatomy import StructureTable
from ...volumes.components import connected
from .outline_kinds import Labels, Spacing

ISLANDS, ISLAND_RADIUS = 6.0, (1.5, 4.0)
LOST_SHARE = 0.25
"""Share of a thin structure's voxels, the ones farthest along it, that are lost at severity 1."""
VALVE_REACH = 3.0
VALVES = (("LA", "LV"), ("RA", "RV"), ("LV", "Aorta"), ("RV", "PA"))
WIDTH_GAIN = (0.5, 1.0)
"""How many times its own half-width a coronary gains at severity 1: labels are drawn 1.5 to 2 times too wide."""
FUSED_RADIUS, FUSED_REACH = 1.2, 40.0


def add_islands(
    labels: Labels, spacing: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """Balls of one structure's label on the outside of another structure."""
    out = labels.copy()
    present = [index for index in table.indices if (labels == index).any()]
    outside = np.argwhere((labels == 0) & ndimage.binary_dilation(labels > 0))
    if not present or not len(outside):
        return out
    for _ in range(int(rng.uniform(0.5, 1) * ISLANDS * severity + 0.5)):
        centre = outside[rng.integers(len(outside))]
        box, near = _ball(labels.shape, centre, rng.uniform(*ISLAND_RADIUS), spacing)
        out[box][near & (out[box] == 0)] = rng.choice(present)
    return out


def lose_ends(
    labels: Labels, spacing: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """Thin structures lose the stretches farthest from what they spring from, along the structure."""
    out = labels.copy()
    for structure in table:
        mask = labels == structure.index
        if not structure.thin or not mask.any():
            continue
        places = np.argwhere(mask)
        parents = [table[name].index for name in structure.touches]
        distance = _along(places, spacing, np.argwhere(np.isin(labels, parents[-1:])))
        # A structure loses no more than 60 % of itself, whatever the severity.
        kept = distance <= np.quantile(distance, 1 - min(LOST_SHARE * severity * rng.uniform(0.6, 1.4), 0.6))
        out[tuple(places[~kept].T)] = 0
    return out


def swap_at_valves(
    labels: Labels, spacing: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """Where two blood pools meet, patches of each take the other's label."""
    out = labels.copy()
    for first, second in VALVES:
        if first not in table.names or second not in table.names:
            continue
        one, other = table[first].index, table[second].index
        reach = VALVE_REACH * severity
        border = ndimage.binary_dilation(labels == one) & (labels == other)
        if not border.any():
            continue
        margin = np.ceil(reach / spacing).astype(int) + 2
        box = _box(border, margin)
        near = ndimage.distance_transform_edt(~border[box], spacing) <= reach
        noise = ndimage.gaussian_filter(rng.standard_normal(near.shape, np.float32), 2.0 / spacing)
        patch = near & (noise > np.quantile(noise, 0.6))
        part = labels[box]
        out[box][patch & (part == one)] = other
        out[box][patch & (part == other)] = one
    return out


def fuse_coronaries(
    labels: Labels, spacing: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """A false bridge joins the left and the right coronary tree; nothing if there are not two."""
    out = labels.copy()
    if "Coronary" not in table.names:
        return out
    index = table["Coronary"].index
    pieces, count = connected(labels == index, 26)
    if count < 2:
        return out
    order = np.argsort(np.bincount(pieces.ravel())[1:])[::-1][:2] + 1
    one, other = (np.argwhere(pieces == piece) for piece in order)
    distances, nearest = cKDTree(other * spacing).query(one * spacing)
    start = int(rng.choice(np.flatnonzero(distances <= max(np.quantile(distances, 0.05), distances.min()))))
    if distances[start] > FUSED_REACH:
        return out
    for share in np.linspace(0, 1, int(distances[start] / spacing.min()) * 2 + 2):
        centre = np.rint(one[start] * (1 - share) + other[nearest[start]] * share).astype(int)
        box, near = _ball(labels.shape, centre, FUSED_RADIUS * severity, spacing)
        out[box][near] = index
    return out


def widen_coronaries(
    labels: Labels, spacing: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """Coronaries are drawn too wide, over the wall and the fat but not over blood pools."""
    out = labels.copy()
    if "Coronary" not in table.names or not (labels == table["Coronary"].index).any():
        return out
    index = table["Coronary"].index
    mask = labels == index
    half = float(np.sqrt(mask.sum() * spacing.prod() / np.pi / max(_length(mask, spacing), 1.0)))
    gain = half * rng.uniform(*WIDTH_GAIN) * severity
    box = _box(mask, np.ceil(gain / spacing).astype(int) + 3)
    away = ndimage.distance_transform_edt(~mask[box], spacing) - 0.5 * spacing.min()
    # Half a voxel of scatter: the mean width is right on grids as coarse as the vessel, too.
    away += rng.uniform(-0.5, 0.5, away.shape) * spacing.min()
    pools = [structure.index for structure in table if structure.barrier]
    out[box][(away <= gain) & ~np.isin(labels[box], pools)] = index
    return out


def _length(mask: np.ndarray, spacing: Spacing) -> float:
    """Length of a vessel tree: the voxels that are deeper than all but few of their neighbours, times the step."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), spacing)
    ridge = (depth >= ndimage.maximum_filter(depth, size=3)) & (depth > 0)
    return float(ridge.sum() * spacing.min())


def _along(places: np.ndarray, spacing: Spacing, parent: np.ndarray) -> np.ndarray:
    """Distance of each voxel along the structure from its part nearest to the parent; pieces each from their own."""
    tree = cKDTree(places * spacing)
    pairs = tree.query_pairs(float(np.linalg.norm(spacing)) * 1.01, output_type="ndarray")
    lengths = np.linalg.norm((places[pairs[:, 0]] - places[pairs[:, 1]]) * spacing, axis=1)
    graph = coo_matrix((lengths, pairs.T), shape=(len(places),) * 2).tocsr()
    if len(parent):
        to_parent = cKDTree(parent * spacing).query(places * spacing)[0]
    else:
        to_parent = np.arange(len(places), dtype=float)
    roots = np.flatnonzero(to_parent <= to_parent.min() + float(spacing.max()))
    found = dijkstra(graph, directed=False, indices=roots, min_only=True)
    return np.asarray(np.where(np.isfinite(found), found, to_parent))


def _ball(
    shape: tuple[int, ...], centre: np.ndarray, radius: float, spacing: Spacing
) -> tuple[tuple[slice, ...], np.ndarray]:
    """A box around the centre and the voxels in it that lie within the radius, the centre always among them."""
    reach = np.ceil(radius / spacing).astype(int)
    box = tuple(slice(max(c - r, 0), min(c + r + 1, n)) for c, r, n in zip(centre, reach, shape, strict=True))
    grid = np.stack(np.meshgrid(*(np.arange(part.start, part.stop) for part in box), indexing="ij"), axis=-1)
    return box, np.linalg.norm((grid - centre) * spacing, axis=-1) <= max(radius, 0.1)


def _box(mask: np.ndarray, margin: np.ndarray) -> tuple[slice, ...]:
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(part.start - int(m), 0), part.stop + int(m)) for part, m in zip(found, margin, strict=True))
