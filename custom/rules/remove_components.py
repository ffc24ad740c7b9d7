"""Pieces of a heart: taking them away, what encloses them, and the faces of the volume that cut them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.spatial import KDTree

from ..anatomy import Structure, StructureTable
from ..volumes.morphology import Box, erode
from .ledger import Removal
from .rule_types import HeartUnderRepair, Piece, RuleChange

Done = tuple[UInt8[np.ndarray, "i j k"], list[RuleChange]]
"""A rule's new label map, and what it did."""


def taken_away(heart: HeartUnderRepair, label_table: StructureTable, gone: Mapping[Piece, str], rule: str) -> Done:
    """The map without some pieces: each becomes what encloses it, else background."""
    if not gone:
        return heart.labels, []
    labels, drafts = heart.labels.copy(), []
    for piece, distance_mm in _distances_mm(heart, gone).items():
        box = grown(piece.box, (1, 1, 1), labels.shape)
        inside = heart.pieces.mask(piece, box)
        index, _ = encloser(labels[box], inside)
        known = index in label_table.indices
        labels[box][inside] = index if known else 0
        why = gone[piece] + (f"; became {label_table[index].name}, which encloses it" if known else "")
        draft = note(heart, rule, label_table[piece.index], piece, why)
        drafts.append(replace(draft, after_mm3=0.0, distance_mm=distance_mm))
    return labels, drafts


def _distances_mm(heart: HeartUnderRepair, gone: Collection[Piece]) -> dict[Piece, float]:
    """From each piece to the nearest of its structure that stays, between voxel centres; NaN if none stays."""
    trees: dict[int, KDTree | None] = {}
    for index in {piece.index for piece in gone}:
        stay = [piece for piece in heart.pieces.of[index] if piece not in gone]
        places = [_outline_mm(heart, piece) for piece in stay]
        trees[index] = KDTree(np.concatenate(places)) if places else None
    distances = {}
    for piece in gone:
        tree = trees[piece.index]
        distances[piece] = float(tree.query(_outline_mm(heart, piece))[0].min()) if tree else math.nan
    return distances


def _outline_mm(heart: HeartUnderRepair, piece: Piece) -> Float[np.ndarray, "n 3"]:
    """Its voxels with a free face: the nearest to anything else are among them."""
    inside = np.pad(heart.pieces.mask(piece, piece.box), 1)
    start = np.array([part.start - 1 for part in piece.box])
    return (np.argwhere(inside & ~erode(inside, 1)) + start) * np.asarray(heart.spacing_mm)


def note(heart: HeartUnderRepair, rule: str, structure: Structure, piece: Piece, why: str) -> RuleChange:
    """Says that a rule has looked at a piece and left it as it is."""
    volume_mm3 = piece.voxels * heart.voxel_mm3
    return RuleChange(
        kind=Removal,
        rule=rule,
        structure=structure.name,
        component=piece.rank,
        before_mm3=volume_mm3,
        after_mm3=volume_mm3,
        distance_mm=math.nan,
        why=why,
        place_ijk=piece.middle_ijk,
    )


def encloser(labels: UInt8[np.ndarray, "i j k"], inside: Bool[np.ndarray, "i j k"]) -> tuple[int, float]:
    """The label behind more than half of a region's faces, 0 if there is none, and the largest share of any label.

    Outside the array all is 0.
    """
    framed, region = np.pad(labels, 1), np.pad(inside, 1)
    counts = np.zeros(256, dtype=np.int64)
    for axis in range(3):
        first, second = np.moveaxis(region, axis, 0)[:-1], np.moveaxis(region, axis, 0)[1:]
        values = np.moveaxis(framed, axis, 0)
        counts += np.bincount(values[1:][first & ~second], minlength=256)
        counts += np.bincount(values[:-1][second & ~first], minlength=256)
    most = int(counts.argmax())
    share = float(counts[most] / counts.sum())
    return (most if share > 0.5 else 0), share


def cut_faces(box: Box, shape: Sequence[int]) -> frozenset[tuple[int, str]]:
    """The outer faces of the volume that a box reaches."""
    low = {(axis, "low") for axis, part in enumerate(box) if part.start == 0}
    high = {(axis, "high") for axis, part in enumerate(box) if part.stop == shape[axis]}
    return frozenset(low | high)


def grown(box: Box, by: Iterable[int], shape: Sequence[int]) -> Box:
    """A box larger by some voxels on every side, cut at the volume's edge."""
    i, j, k = (
        slice(max(part.start - reach, 0), min(part.stop + reach, size))
        for part, reach, size in zip(box, by, shape, strict=True)
    )
    return i, j, k
