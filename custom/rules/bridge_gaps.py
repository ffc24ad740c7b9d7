"""Bridge the gaps between the fragments of a thin structure, and from it to the structures it must touch.

A thin structure cut in two loses a branch, not noise, and an appendage off its atrium by a gap is still an appendage.
The shortest gaps are closed first, as in Kruskal's forest over the fragments. The parent that a structure must touch
is one more node of the forest, so that a vein off the atrium is led to the atrium and not to the next vein.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from ..anatomy import Structure, StructureTable
from ..volumes.contacts import touches
from ..volumes.morphology import Box, erode, foreground_box
from ..volumes.vessel_gaps import Gap, gaps_between
from .bridge_path import BridgeTask, BridgeVoxels, filled_between, grown, led_between
from .ledger import Addition
from .rule_types import HeartUnderRepair, Piece, RuleChange, RuleSettings

PARENT = 0
"""The forest's node for all that a structure must touch; pieces have their rank by size, from 1."""


@dataclass(frozen=True, eq=False)
class _Fragments:
    """What of one structure can be joined.

    Attributes:
        pieces: those that are no specks, by rank.
        attached: the ranks of those that touch the parent.
        parent: all that the structure must touch.
        to_parent: whether the structure must touch its parent voxel to voxel, so that only loose pieces are joined.
    """

    pieces: dict[int, Piece]
    attached: frozenset[int]
    parent: Bool[np.ndarray, "i j k"]
    to_parent: bool


def bridge_gaps(
    heart: HeartUnderRepair, label_table: StructureTable, settings: RuleSettings
) -> tuple[UInt8[np.ndarray, "i j k"], list[RuleChange]]:
    """Before any deletion (A2.2), close the gaps of thin structures within the table's ``bridge_mm`` (between
    fragments) and ``contact_bridge_mm`` (to what they must touch).

    A structure that touches its parent voxel to voxel (``contact_mm`` 0: appendage, veins) has its loose fragments
    joined, to the parent or to each other, whichever is nearer; stumps that each touch the parent are left apart. Any
    other (coronaries) is joined until the table's number of components is left. Pieces below ``speck_mm3`` are noise.
    Bridges pass through background and through what is neither thin nor a barrier, and replace it.

    Empty, in one piece, all attached, or gaps too long: nothing is done.
    """
    labels, drafts = heart.labels, []
    for structure in label_table.by_rank:
        if structure.thin and heart.pieces.of.get(structure.index):
            labels, more = _join(heart, labels, structure, label_table)
            drafts += more
    return labels, drafts


def _join(
    heart: HeartUnderRepair, labels: UInt8[np.ndarray, "i j k"], structure: Structure, label_table: StructureTable
) -> tuple[UInt8[np.ndarray, "i j k"], list[RuleChange]]:
    fragments = _fragments(heart, structure, label_table)
    nodes = {*fragments.pieces, PARENT} if fragments.to_parent else set(fragments.pieces)
    group = {node: PARENT if node in fragments.attached and fragments.to_parent else node for node in nodes}
    enough = 1 if fragments.to_parent else structure.components
    if len(set(group.values())) <= enough:
        return labels, []
    drafts: list[RuleChange] = []
    for gap in _gaps(heart, fragments, structure):
        if len(set(group.values())) <= enough:
            break
        if group[gap.one] == group[gap.other]:
            continue
        probability = (heart.probability or {}).get(structure.name)
        site = BridgeTask(labels, structure, label_table, heart.spacing_mm, probability)
        filling = _bridge(site, heart, fragments, gap)
        if filling is None:
            continue
        joined = {group[gap.one], group[gap.other]}
        group = {node: min(joined) if leader in joined else leader for node, leader in group.items()}
        drafts.append(_draft(heart, structure, fragments, gap, filling))
        labels = labels.copy()
        labels[filling.box][filling.voxels] = structure.index
    return labels, drafts


def _fragments(heart: HeartUnderRepair, structure: Structure, label_table: StructureTable) -> _Fragments:
    pieces = {
        piece.rank: piece
        for piece in heart.pieces.of[structure.index]
        if piece.voxels * heart.voxel_mm3 >= structure.speck_mm3
    }
    parent = np.isin(heart.labels, [label_table[name].index for name in structure.touches])
    to_parent = bool(structure.touches) and structure.contact_mm == 0 and bool(parent.any())
    attached = frozenset[int]()
    if to_parent:
        attached = frozenset(rank for rank, piece in pieces.items() if _touches_parent(heart, piece, parent))
    return _Fragments(pieces, attached, parent, to_parent)


def _touches_parent(heart: HeartUnderRepair, piece: Piece, parent: Bool[np.ndarray, "i j k"]) -> bool:
    box = grown(piece.box, 1, parent.shape)
    return touches(heart.pieces.mask(piece, box), parent[box], heart.spacing_mm)


def _gaps(heart: HeartUnderRepair, fragments: _Fragments, structure: Structure) -> list[Gap]:
    """The gaps within their limits, the shortest first."""
    loose = frozenset(fragments.pieces) - fragments.attached
    voxels_mm = {rank: _outline_mm(heart, piece) for rank, piece in fragments.pieces.items()}
    gaps = gaps_between(voxels_mm, structure.bridge_mm, loose)
    if fragments.to_parent:
        whole = foreground_box(fragments.parent)
        parent_mm = _outer(fragments.parent, whole) * np.asarray(heart.spacing_mm) if whole else np.zeros((0, 3))
        for rank in sorted(loose):
            gaps += gaps_between({PARENT: parent_mm, rank: voxels_mm[rank]}, structure.contact_bridge_mm, {rank})
    return sorted(gaps, key=lambda gap: (gap.length_mm, gap.one, gap.other))


def _outline_mm(heart: HeartUnderRepair, piece: Piece) -> Float[np.ndarray, "_ 3"]:
    return _outer(heart.pieces.numbers == piece.number, piece.box) * np.asarray(heart.spacing_mm)


def _outer(mask: Bool[np.ndarray, "i j k"], box: Box) -> Int[np.ndarray, "_ 3"]:
    """The voxels of a mask that have a free face: the nearest to anything else are among them."""
    inside = np.pad(mask[box], 1)
    return np.argwhere(inside & ~erode(inside, 1)) + [part.start - 1 for part in box]


def _bridge(site: BridgeTask, heart: HeartUnderRepair, fragments: _Fragments, gap: Gap) -> BridgeVoxels | None:
    """The voxels that close a gap; None if there is no way within the limit that avoids barriers."""
    if gap.one != PARENT:
        return led_between(site, gap, site.structure.bridge_mm)
    piece = fragments.pieces[gap.other]
    return filled_between(site, heart.pieces.numbers == piece.number, fragments.parent, piece.box, gap.length_mm)


def _draft(
    heart: HeartUnderRepair, structure: Structure, fragments: _Fragments, gap: Gap, filling: BridgeVoxels
) -> RuleChange:
    piece = fragments.pieces[max(gap.one, gap.other)]
    before_mm3 = piece.voxels * heart.voxel_mm3
    other = " or ".join(structure.touches) if gap.one == PARENT else f"component {min(gap.one, gap.other)}"
    start = np.array([side.start for side in filling.box])
    i, j, k = (float(place) for place in np.argwhere(filling.voxels).mean(axis=0) + start)
    return RuleChange(
        kind=Addition,
        rule="bridge_gaps",
        structure=structure.name,
        component=piece.rank,
        before_mm3=before_mm3,
        after_mm3=before_mm3 + float(filling.voxels.sum()) * heart.voxel_mm3,
        distance_mm=gap.length_mm,
        why=f"joined to {other}",
        place_ijk=(i, j, k),
    )
