"""Labels at fractional places of a grid: the nearest voxel's, and where several are as near, the majority around."""

from __future__ import annotations

from itertools import product

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

TIE = 1e-4
"""A place this near, in voxels, to a voxel's centre or to the middle between two is meant to be there: affines are
often stored in single precision."""

_CHUNK = 1 << 18


def on_halves(places: Float64[np.ndarray, "3 n"]) -> Float64[np.ndarray, "3 n"]:
    """Places that lie within :data:`TIE` of a voxel's centre or of a middle between two put exactly there."""
    halves = np.rint(2 * places) / 2
    return np.asarray(np.where(np.abs(places - halves) < TIE, halves, places))


def covered(places: Float64[np.ndarray, "3 n"], shape: tuple[int, int, int]) -> Bool[np.ndarray, " n"]:
    """Which places lie in a voxel of the grid, its outer faces included on both sides."""
    return np.asarray(((places >= -0.5) & (places <= np.reshape(shape, (3, 1)) - 0.5)).all(axis=0))


def nearest_labels(labels: UInt8[np.ndarray, "i j k"], places: Float64[np.ndarray, "3 n"]) -> UInt8[np.ndarray, " n"]:
    """The label of the voxel nearest to each place.

    Where two, four or eight voxels are as near, the label that most of them have; of several such labels the one that
    most voxels have in the block of four a side around, along the axes that are tied; then the lower index. So nothing
    is shifted, and the result does not depend on the direction or order of the axes.

    Args:
        labels: at least one voxel; a place beyond them takes the nearest of the outermost.
        places: fractional voxel positions, from :func:`on_halves`.
    """
    low, high = np.ceil(places - 0.5).astype(np.int64), np.floor(places + 0.5).astype(np.int64)
    found = _at(labels, low)
    tied = np.flatnonzero((low != high).any(axis=0))
    for start in range(0, tied.size, _CHUNK):
        part = tied[start : start + _CHUNK]
        found[part] = _voted(labels, low[:, part], high[:, part])
    return found


def _at(labels: UInt8[np.ndarray, "i j k"], ijk: Int64[np.ndarray, "3 n"]) -> UInt8[np.ndarray, " n"]:
    last = np.reshape(labels.shape, (3, 1)) - 1
    i, j, k = np.clip(ijk, 0, last)
    return labels[i, j, k]


def _voted(
    labels: UInt8[np.ndarray, "i j k"], low: Int64[np.ndarray, "3 n"], high: Int64[np.ndarray, "3 n"]
) -> UInt8[np.ndarray, " n"]:
    """The label of each place by the votes around it. A voxel that is met more than once along an axis which is not
    tied counts as often as the others there."""
    candidates = np.stack([_at(labels, np.where(np.reshape(side, (3, 1)), high, low)) for side in _corners(2)])
    votes = (candidates[:, None] == candidates[None]).sum(axis=1, dtype=np.int32)
    best = votes.max(axis=0)
    leading = np.where(votes == best, candidates, 255)
    lowest = leading.min(axis=0)
    found = lowest.copy()
    still = np.flatnonzero(((votes == best) & (candidates != lowest)).any(axis=0))
    if still.size:
        rival = (votes == best)[:, still]
        found[still] = _around(labels, low[:, still], high[:, still], candidates[:, still], rival)
    return found


def _around(
    labels: UInt8[np.ndarray, "i j k"],
    low: Int64[np.ndarray, "3 n"],
    high: Int64[np.ndarray, "3 n"],
    candidates: UInt8[np.ndarray, "8 n"],
    rival: Bool[np.ndarray, "8 n"],
) -> UInt8[np.ndarray, " n"]:
    """Of the rival candidates the one that most voxels of the wider block have, then the lower index."""
    tied, last = low != high, np.reshape(labels.shape, (3, 1)) - 1
    votes = np.zeros(candidates.shape, np.int32)
    for step in _corners(4):
        along = np.reshape(step, (3, 1)) - 1
        ijk = np.where(tied, low + along, low)
        there = ((ijk >= 0) & (ijk <= last)).all(axis=0)
        votes += (candidates == _at(labels, ijk)) & there
    worth = np.where(rival, 256 * votes + 255 - candidates.astype(np.int32), -1)
    return np.take_along_axis(candidates, worth.argmax(axis=0)[None], axis=0)[0]


def _corners(side: int) -> list[tuple[int, ...]]:
    return list(product(range(side), repeat=3))
