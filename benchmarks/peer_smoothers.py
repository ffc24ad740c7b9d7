"""The label smoothers a user would reach for instead, each on a whole label map.

Every peer is ``f(labels, spacing_mm, table) -> labels``, leaves its input as it is, and answers a map of background
alone, of one structure or of one voxel. The settings are those its users would take; ``PEERS`` lists them by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import cc3d
import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from custom.anatomy import StructureTable
from custom.volumes.components import keep_largest
from custom.volumes.morphology import dilate, erode, fill_holes, foreground_box

from .peer_surface_smoothers import Labels, Peer, Spacing, antialias, by_priority, surface_nets, windowed_sinc

DUST_FRACTION, DUST_VOXELS = 0.03, 27
"""A component smaller than this share of its structure's largest, or than these voxels, is dust; the largest never."""

BRIDGE_VOXELS, GREAT_FRACTION = 2, 0.1
"""A component farther than these voxels from the rest of the heart floats, unless it is as much of its structure's
largest as this: a descending aorta whose arch was not scanned lies apart and belongs."""

UNTOUCHED = ("Coronary",)
"""Structures a few voxels wide that the best peer leaves as they are."""


def median(labels: Labels, spacing_mm: Spacing, table: StructureTable) -> Labels:
    """Majority vote of the 3 x 3 x 3 neighbours: the median filter for more than two labels."""
    return _vote(labels, table.indices, partial(ndimage.uniform_filter, size=3, mode="nearest"), margin_voxels=2)


def gaussian(labels: Labels, spacing_mm: Spacing, table: StructureTable, sigma: float) -> Labels:
    """Gaussian of every structure's mask and of the background, the highest wins; then k components (A1.7).

    ``sigma`` counts voxels of the smallest spacing: along a coarser axis it is as many millimetres.
    """
    return _keep_k(_blurred(labels, spacing_mm, table.indices, sigma), table)


def closing(labels: Labels, spacing_mm: Spacing, table: StructureTable) -> Labels:
    """Closing by one voxel and k components (A1.7), structure by structure; by fusion rank (A2.1); holes filled."""
    masks = {}
    for structure in table:
        closed = erode(dilate(labels == structure.index, 1), 1)
        masks[structure.index] = keep_largest(closed, structure.components)
    return _filled(by_priority(masks, labels.shape, table), table)


def dust(labels: Labels, spacing_mm: Spacing, table: StructureTable) -> Labels:
    """Components that are dust dropped, holes filled."""
    return _filled(_without_dust(labels, table), table)


def floating(labels: Labels, spacing_mm: Spacing, table: StructureTable) -> Labels:
    """Components that float dropped, holes filled."""
    return _filled(_without_floating(labels, table), table)


def floating_gaussian(labels: Labels, spacing_mm: Spacing, table: StructureTable) -> Labels:
    """Components that float dropped, holes filled, dust dropped, Gaussian 0.7; coronaries left out of the last two."""
    settled = floating(labels, spacing_mm, table)
    thin = [structure.index for structure in table if structure.name in UNTOUCHED]
    others = [index for index in table.indices if index not in thin]
    blurred = _blurred(_without_dust(settled, table, voxels=0), spacing_mm, others, sigma=0.7)
    return np.where(np.isin(settled, thin), settled, blurred)


def _vote(
    labels: Labels, indices: Iterable[int], spread: Callable[..., np.ndarray], margin_voxels: int
) -> UInt8[np.ndarray, "i j k"]:
    """The label whose spread mask is highest at each voxel, among background and ``indices``; a tie to the first.

    Every mask is spread in its own box plus the margin, beyond which its spread is zero.
    """
    best = spread((labels == 0).astype(np.float32))
    winner = np.zeros_like(labels)
    for index in indices:
        mask = labels == index
        box = foreground_box(mask, margin_voxels)
        if box is None:
            continue
        value = spread(mask[box].astype(np.float32))
        wins = value > best[box]
        best[box][wins] = value[wins]
        winner[box][wins] = index
    return winner


def _blurred(labels: Labels, spacing_mm: Spacing, indices: Iterable[int], sigma: float) -> Labels:
    sigma_voxels = [sigma * min(spacing_mm) / step for step in spacing_mm]
    spread = partial(ndimage.gaussian_filter, sigma=sigma_voxels, truncate=4.0, mode="nearest")
    return _vote(labels, indices, spread, margin_voxels=int(4.0 * sigma + 0.5) + 1)


def _keep_k(labels: Labels, table: StructureTable) -> Labels:
    masks = {one.index: keep_largest(labels == one.index, one.components) for one in table}
    return by_priority(masks, labels.shape, table)


def _small(mask: Bool[np.ndarray, "i j k"], fraction: float, voxels: int = 0) -> Bool[np.ndarray, "i j k"]:
    """The components below a share of the largest or below a number of voxels, but never the largest."""
    parts, sizes = _parts(mask)
    small = sizes < min(max(fraction * sizes.max(), voxels), sizes.max())
    small[0] = False
    return small[parts]


def _parts(mask: Bool[np.ndarray, "i j k"]) -> tuple[np.ndarray, np.ndarray]:
    """The components of a mask, numbered from 1, and their voxels by number; number 0, what is outside, counts 0."""
    parts = cc3d.connected_components(np.ascontiguousarray(mask), connectivity=26)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts, sizes


def _without_dust(labels: Labels, table: StructureTable, voxels: int = DUST_VOXELS) -> Labels:
    clean = labels.copy()
    for index in table.indices:
        clean[_small(labels == index, DUST_FRACTION, voxels)] = 0
    return clean


def _without_floating(labels: Labels, table: StructureTable) -> Labels:
    """Only the largest piece of foreground, what is joined to it by bridges, and what is great."""
    parts, sizes = _parts(labels > 0)
    joined, newly = np.zeros(len(sizes), dtype=bool), np.array([sizes.argmax()])
    while newly.size:
        joined[newly] = True
        reached = np.unique(parts[dilate(np.isin(parts, newly), BRIDGE_VOXELS)])
        newly = reached[~joined[reached] & (reached > 0)]
    clean = labels.copy()
    for index in table.indices:
        clean[_small(labels == index, GREAT_FRACTION) & ~joined[parts]] = 0
    return clean


def _filled(labels: Labels, table: StructureTable) -> Labels:
    """Enclosed background given to the structure that encloses it most closely; other structures are no holes."""
    filled = labels.copy()
    solids: list[tuple[int, int, Bool[np.ndarray, "i j k"]]] = []
    for index in table.indices:
        solid = fill_holes(labels == index)
        solids.append((int(np.count_nonzero(solid)), index, solid))
    for _, index, solid in sorted(solids, key=lambda entry: entry[:2]):
        filled[solid & (filled == 0)] = index
    return filled


PEERS: dict[str, Peer] = {
    "median 3": median,
    "gaussian 0.7": partial(gaussian, sigma=0.7),
    "gaussian 1.0": partial(gaussian, sigma=1.0),
    "gaussian 1.5": partial(gaussian, sigma=1.5),
    "closing + fill + components": closing,
    "dust + fill": dust,
    "drop floating + fill": floating,
    "drop floating + fill + gaussian 0.7, coronaries untouched": floating_gaussian,
    "SurfaceNets": surface_nets,
    "windowed sinc 0.5": partial(windowed_sinc, strength=0.5),
    "windowed sinc 0.3": partial(windowed_sinc, strength=0.3),
    "SimpleITK anti-alias": antialias,
}
"""Every peer by name; those below "drop floating" need vtk or SimpleITK (extra ``benchmarks``)."""
