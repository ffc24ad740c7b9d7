"""Local defects: crumbs, holes, cut vessels, parts off their parent. All sizes in mm."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from ..anatomy import StructureTable
from ..volumes.components import connected

CRUMBS = (0.6, 2.4)
CRUMB_RADIUS_MM = (1.2, 2.6)
CRUMB_AWAY_MM = (4.0, 11.0)
HOLES = (1.5, 3.5)
HOLE_RADIUS_MM = (3.0, 6.0)
CUTS = (3.0, 5.0)
CUT_MM = (2.5, 6.0)
CUT_REACH_MM = 9.0
LOST_CHANCE = 0.3
LOST_SHARE = 0.05
DETACH_MM = (2.0, 3.4)
_TRIES = 25

Labels = UInt8[np.ndarray, "i j k"]
Spacing = Float[np.ndarray, "3"]


def add_crumbs(
    labels: Labels, spacing_mm: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """Floating bits of each structure in the background beside it, touching no voxel of their own structure."""
    out = labels.copy()
    for structure, child in zip(table, rng.spawn(len(table)), strict=True):
        members = np.argwhere(labels == structure.index)
        for _ in range(_count(child, CRUMBS, severity) if len(members) else 0):
            for _ in range(_TRIES):
                way = child.normal(size=3)
                away = way / np.linalg.norm(way) * child.uniform(*CRUMB_AWAY_MM) / spacing_mm
                center = (members[child.integers(len(members))] + away).round().astype(int)
                box, blob = _blob(child, center, labels.shape, spacing_mm, child.uniform(*CRUMB_RADIUS_MM))
                if blob.any() and not out[box][ndimage.binary_dilation(blob, np.ones((3, 3, 3)))].any():
                    out[box][blob] = structure.index
                    break
    return out


def punch_holes(
    labels: Labels, spacing_mm: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """Hollows of background inside every structure that is not thin."""
    out = labels.copy()
    for structure, child in zip(table, rng.spawn(len(table)), strict=True):
        count = _count(child, HOLES, severity)
        mask = labels == structure.index
        if not count or structure.thin or not mask.any():
            continue
        members = np.argwhere(mask)
        for _ in range(count):
            center = members[child.integers(len(members))]
            box, blob = _blob(child, center, labels.shape, spacing_mm, child.uniform(*HOLE_RADIUS_MM))
            out[box][blob & (out[box] == structure.index)] = 0
    return out


def cut_vessels(
    labels: Labels, spacing_mm: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """Gaps across thin structures that come in several pieces (coronaries, veins), each parting one piece in two.

    Now and then the far end is lost with the gap, if it is short: labels often miss a vessel's last stretch.
    """
    out = labels.copy()
    for structure, child in zip(table, rng.spawn(len(table)), strict=True):
        if not structure.thin or structure.components < 2:
            continue
        mask = out == structure.index
        longest_end = LOST_SHARE * mask.sum()
        for _ in range(_count(child, CUTS, severity) if mask.any() else 0):
            mask = _cut_once(mask, spacing_mm, child, severity, longest_end)
        out[(out == structure.index) & ~mask] = 0
    return out


def detach_from_parent(
    labels: Labels, spacing_mm: Spacing, rng: np.random.Generator, severity: float | int, table: StructureTable
) -> Labels:
    """Draws one (beyond severity 1: every one) of the structures with one parent and clears what lies near the parent.

    Structures with one parent are those whose rule names a single structure to touch: appendage and pulmonary veins.
    """
    order, gap_mm = rng.permutation(len(table)), rng.uniform(*DETACH_MM) * severity
    if severity == 0:
        return labels.copy()
    out = labels.copy()
    for structure in (table.structures[place] for place in order):
        if len(structure.touches) != 1:
            continue
        mask, parent = labels == structure.index, labels == table[structure.touches[0]].index
        if not mask.any() or not parent.any():
            continue
        box = _box_around(mask, (gap_mm / spacing_mm).astype(int) + 2)
        away_mm = ndimage.distance_transform_edt(~parent[box], sampling=spacing_mm)
        # Neighbours by a corner still touch: the gap is never less than a voxel's diagonal.
        near = away_mm <= max(gap_mm, float(np.linalg.norm(spacing_mm)) + 1e-6)
        if not near[mask[box]].any() or near[mask[box]].all():
            continue
        out[box][near & mask[box]] = 0
        if severity <= 1:
            break
    return out


def _count(rng: np.random.Generator, usual: tuple[float, float], severity: float | int) -> int:
    return int(rng.uniform(*usual) * severity + 0.5)


def _cut_once(
    mask: np.ndarray, spacing_mm: Spacing, rng: np.random.Generator, severity: float | int, longest_end: float
) -> np.ndarray:
    """Removes a slab across the vessel at a random place where that parts one piece in two; else changes nothing."""
    members = np.argwhere(mask)
    before = connected(mask, 26)[1]
    loses_end = rng.uniform() < LOST_CHANCE
    for _ in range(_TRIES):
        center = members[rng.integers(len(members))]
        half_mm = max(rng.uniform(*CUT_MM) * min(severity, 2) / 2, float(spacing_mm.max()) * 0.75)
        trial = mask.copy()
        trial[tuple(_across(members, center, spacing_mm, half_mm).T)] = False
        pieces, _ = connected(trial, 26)
        sizes = np.bincount(pieces.ravel())[1:]
        if len(sizes) != before + 1 or sizes.min() < 4:
            continue
        if loses_end and sizes.min() < longest_end:
            trial[pieces == sizes.argmin() + 1] = False
        return trial
    return mask


def _across(members: np.ndarray, center: np.ndarray, spacing_mm: Spacing, half_mm: float) -> np.ndarray:
    """The voxels near the centre that lie less than ``half_mm`` from it along the vessel."""
    offsets_mm = (members - center) * spacing_mm
    near = np.linalg.norm(offsets_mm, axis=1) < CUT_REACH_MM + spacing_mm.max()
    spread = offsets_mm[near] - offsets_mm[near].mean(axis=0)
    along = np.linalg.svd(spread, full_matrices=False)[2][0]
    return np.asarray(members[near & (np.abs(offsets_mm @ along) <= half_mm)])


def _blob(
    rng: np.random.Generator, center: np.ndarray, shape: tuple[int, ...], spacing_mm: Spacing, radius_mm: float
) -> tuple[tuple[slice, ...], Bool[np.ndarray, "a b c"]]:
    """A box and in it an uneven ball about the centre; empty where the centre is off the grid."""
    reach = np.ceil(1.4 * radius_mm / spacing_mm).astype(int) + 2
    stretch = rng.uniform(0.75, 1.3, 3)
    if (center < 0).any() or (center >= shape).any():
        return (slice(0, 0),) * 3, np.zeros((0, 0, 0), bool)
    box = tuple(slice(max(c - r, 0), min(c + r + 1, n)) for c, r, n in zip(center, reach, shape, strict=True))
    grid = np.stack(np.meshgrid(*(np.arange(part.start, part.stop) for part in box), indexing="ij"), axis=-1)
    ball = np.linalg.norm((grid - center) * spacing_mm / stretch, axis=-1) <= radius_mm
    ball[tuple(center - [part.start for part in box])] = True
    return box, ball


def _box_around(mask: np.ndarray, margin: np.ndarray) -> tuple[slice, ...]:
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(part.start - int(m), 0), part.stop + int(m)) for part, m in zip(found, margin, strict=True))
