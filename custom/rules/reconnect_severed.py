"""Restore the voxels that join a structure which one of higher priority has cut in two in fusion (A2.1, A2.2)."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Int, UInt8
from scipy.spatial import KDTree
from skimage.graph import MCP_Geometric

from ..anatomy import Structure, StructureTable
from ..volumes.components import count, label
from ..volumes.morphology import Box, dilate, foreground_box
from .ledger import Addition
from .rule_types import HeartUnderRepair, RuleChange, RuleSettings, Spacing

JOINT_MM = 2.0
"""Half the width of what is given back, where the higher structure can spare it."""

MOST_GIVEN_BACK = 0.05
"""The largest share of its own voxels that a structure gives back for one joint."""

NEIGHBOURS = math.sqrt(3)
"""The radius of the ball of the 26 neighbours of a voxel."""


def give_back_severed(
    heart: HeartUnderRepair, label_table: StructureTable, settings: RuleSettings
) -> tuple[UInt8[np.ndarray, "i j k"], list[RuleChange]]:
    """Join what was one component in a structure's own mask and is several in the fused map.

    Counted are components of at least ``speck_mm3``. Along the shortest way through the voxels of its own mask that
    higher structures took, those within 2 mm of the way are given back; if a higher one cannot spare them, the way
    alone; if not even that, nothing. A structure can spare voxels if it keeps at least 95 % of its own and falls into
    no more components than it has: what is thin is never cut for what is thick.

    Without masks, with empty ones, and where own and fused pieces correspond, nothing is done.
    """
    if not heart.masks:
        return heart.labels, []
    labels, drafts = heart.labels.copy(), []
    for structure in label_table.by_rank:
        pieces = [
            piece
            for piece in heart.pieces.of.get(structure.index, ())
            if piece.voxels * heart.voxel_mm3 >= structure.speck_mm3
        ]
        if len(pieces) > 1 and structure.name in heart.masks:
            drafts += _rejoined(labels, heart.masks[structure.name] != 0, structure, label_table, heart)
    return (labels, drafts) if drafts else (heart.labels, [])


def _rejoined(
    labels: UInt8[np.ndarray, "i j k"],
    own: Bool[np.ndarray, "i j k"],
    structure: Structure,
    label_table: StructureTable,
    heart: HeartUnderRepair,
) -> list[RuleChange]:
    """Join the structure's pieces in ``labels``, which is changed, within each component of its own mask."""
    box = foreground_box(own)
    if box is None:
        return []
    higher = [other.index for other in label_table if other.rank < structure.rank]
    wholes, number = label(own[box])
    drafts = []
    for whole in range(1, number + 1):
        inside, failed = wholes == whole, 0
        while True:
            pieces, found = label(inside & (labels[box] == structure.index))
            sizes_mm3 = np.bincount(pieces.ravel(), minlength=found + 1) * heart.voxel_mm3
            apart = [piece for piece in range(2, found + 1) if sizes_mm3[piece] >= structure.speck_mm3]
            if len(apart) <= failed:
                break
            taken = inside & np.isin(labels[box], higher)
            way = _shortest_way(pieces == 1, pieces == apart[failed], taken, pieces > 0, heart.spacing_mm)
            joint = None if way is None else _spared_joint(labels, box, taken, way[0], heart)
            if way is None or joint is None:
                failed += 1
                continue
            labels[box][joint] = structure.index
            drafts.append(_given_back(structure, apart[failed], joint, way[1], box, heart))
    return drafts


def _shortest_way(
    main: Bool[np.ndarray, "i j k"],
    piece: Bool[np.ndarray, "i j k"],
    taken: Bool[np.ndarray, "i j k"],
    free: Bool[np.ndarray, "i j k"],
    spacing_mm: Spacing,
) -> tuple[Int[np.ndarray, "n 3"], float] | None:
    """The taken voxels on the shortest way from one piece to another, and how far apart its ends are, in mm.

    None if no way leads through what was taken.
    """
    box = foreground_box(taken, margin_voxels=1)
    if box is None:
        return None
    edge = dilate(taken[box], NEIGHBOURS)
    starts, ends = np.argwhere(main[box] & edge), np.argwhere(piece[box] & edge)
    if not len(starts) or not len(ends):
        return None
    costs = np.where(taken[box], 1.0, np.where(free[box], 1e-3, -1.0))
    search = MCP_Geometric(costs, sampling=spacing_mm)
    reached, _ = search.find_costs(starts.tolist(), ends.tolist(), find_all_ends=False)
    nearest = ends[int(np.argmin(reached[tuple(ends.T)]))]
    if not np.isfinite(reached[tuple(nearest)]):
        return None
    way = np.asarray(search.traceback(tuple(nearest)))
    first = np.array([part.start for part in box])
    gap_mm = float(np.linalg.norm((way[-1] - way[0]) * np.asarray(spacing_mm)))
    return way[taken[box][tuple(way.T)]] + first, gap_mm


def _spared_joint(
    labels: UInt8[np.ndarray, "i j k"],
    box: Box,
    taken: Bool[np.ndarray, "a b c"],
    way: Int[np.ndarray, "n 3"],
    heart: HeartUnderRepair,
) -> Bool[np.ndarray, "a b c"] | None:
    """What the higher structures can give back around the way: within its width, else the way alone, else None."""
    narrow = np.zeros(taken.shape, dtype=bool)
    narrow[tuple(way.T)] = True
    wide, places = narrow.copy(), np.argwhere(taken)
    distances, _ = KDTree(way * np.asarray(heart.spacing_mm)).query(places * np.asarray(heart.spacing_mm))
    wide[tuple(places[distances <= JOINT_MM].T)] = True
    for joint in (wide, narrow):
        if all(_can_spare(labels, box, joint, int(index)) for index in np.unique(labels[box][joint])):
            return joint
    return None


def _can_spare(labels: UInt8[np.ndarray, "i j k"], box: Box, joint: Bool[np.ndarray, "a b c"], index: int) -> bool:
    before = labels == index
    after = before.copy()
    after[box] &= ~joint
    left, had = int(after.sum()), int(before.sum())
    return left >= (1 - MOST_GIVEN_BACK) * had and count(after) <= count(before)


def _given_back(
    structure: Structure,
    piece: int,
    joint: Bool[np.ndarray, "a b c"],
    gap_mm: float,
    box: Box,
    heart: HeartUnderRepair,
) -> RuleChange:
    i, j, k = (float(middle) + part.start for middle, part in zip(np.argwhere(joint).mean(axis=0), box, strict=True))
    return RuleChange(
        kind=Addition,
        rule="give_back_severed",
        structure=structure.name,
        component=piece,
        before_mm3=0.0,
        after_mm3=float(joint.sum()) * heart.voxel_mm3,
        distance_mm=gap_mm,
        why="one component before fusion, severed by it",
        place_ijk=(i, j, k),
    )
