"""The cheapest path across a gap (Dijkstra on the grid): allowed voxels, cost a mm, and the voxels it fills."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from scipy.ndimage import distance_transform_edt, uniform_filter1d
from skimage.graph import MCP_Geometric

from ..anatomy import Structure, StructureTable
from ..volumes.components import connected
from ..volumes.morphology import Box, erode
from ..volumes.vessel_gaps import TIP_MM, Gap, Point, Points, fragment_end, tube

YIELDING_COST = 3.0
"""Of a mm through another structure that gives way, the myocardium: a vessel goes round rather than through."""

CERTAIN_DISCOUNT = 0.9
"""What a probability of 1 takes off the cost."""

SLACK_VOXELS = 1.0
"""How much longer than the gap to its parent a way may be and still be filled, in voxels."""

STRAIGHT_ENOUGH = 1.3
"""A straight line is taken if it costs no more than this times the cheapest way, which the grid makes jagged."""


@dataclass(frozen=True, eq=False)
class BridgeTask:
    """Where a structure is to be bridged: the whole map, and what of it the structure may use.

    Attributes:
        labels: the map.
        structure, label_table: whose gaps, and what the other labels mean.
        spacing_mm: voxel size along i, j, k.
        probability: of the structure, 0 to 1, if known; ways follow it.
    """

    labels: UInt8[np.ndarray, "i j k"]
    structure: Structure
    label_table: StructureTable
    spacing_mm: tuple[float, float, float]
    probability: Shaped[np.ndarray, "i j k"] | None = None

    def ground(self, box: Box) -> CostMap:
        """Where a bridge may lead within a box.

        The outermost voxels of chambers and vessels give way like the myocardium: a vessel that was cut lies bedded in
        them, and their outline is no surer than its own. Their inside is closed.
        """
        labels = self.labels[box]
        price = np.full(256, -1.0, dtype=np.float32)
        price[0] = 1.0
        for other in self.label_table:
            if not other.thin:
                price[other.index] = YIELDING_COST
        cost = price[labels]
        barriers = np.isin(labels, [other.index for other in self.label_table if other.barrier])
        cost[erode(barriers, 1)] = -1.0
        allowed, own = cost > 0, labels == self.structure.index
        if self.probability is not None:
            discount = 1.0 - CERTAIN_DISCOUNT * np.clip(self.probability[box], 0.0, 1.0)
            cost = np.where(allowed, cost * discount, cost).astype(np.float32)
        # No cheaper than background, or a way would rather run along a fragment than across the gap.
        cost[own] = 1.0
        return CostMap(own, allowed & ~own, cost, self.spacing_mm)


@dataclass(frozen=True, eq=False)
class CostMap:
    """Where a bridge of one structure may lead.

    Attributes:
        own: the structure's voxels.
        open: what a bridge may replace: background, what is neither thin nor a barrier, and the skin of barriers.
        cost: of a mm, -1 where no way leads.
        spacing_mm: voxel size along i, j, k.
    """

    own: Bool[np.ndarray, "i j k"]
    open: Bool[np.ndarray, "i j k"]
    cost: Float[np.ndarray, "i j k"]
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class BridgeVoxels:
    """The voxels that close a gap, within a box."""

    box: Box
    voxels: Bool[np.ndarray, "a b c"]


def grown(box: Box, by_voxels: int | Sequence[int], shape: Sequence[int]) -> Box:
    """A box larger by some voxels on every side, cut at the volume's edge."""
    reach = np.broadcast_to(by_voxels, (3,))
    i, j, k = (
        slice(max(part.start - int(by), 0), min(part.stop + int(by), size))
        for part, by, size in zip(box, reach, shape, strict=True)
    )
    return i, j, k


def led_between(site: BridgeTask, gap: Gap, limit_mm: float) -> BridgeVoxels | None:
    """The voxels of a tube along the cheapest way from one fragment's end to the other's, its radius tapering.

    None if every way outside of the fragments is longer than ``limit_mm`` or leads through a barrier.
    """
    spacing = np.asarray(site.spacing_mm)
    tips = np.rint(np.stack([gap.one_tip_mm, gap.other_tip_mm]) / spacing).astype(int)
    i, j, k = (slice(int(low), int(high) + 1) for low, high in zip(tips.min(axis=0), tips.max(axis=0), strict=True))
    reach = np.ceil((limit_mm / 2 + TIP_MM) / spacing).astype(int)
    box = grown((i, j, k), reach.tolist(), site.labels.shape)
    ground = site.ground(box)
    one, other = tips - np.array([side.start for side in box])
    numbers, _ = connected(ground.own, connectivity=26)
    first, last = (
        fragment_end(np.argwhere(numbers == numbers[tuple(tip)]) * spacing, tip * spacing, spacing)
        for tip in (one, other)
    )
    course = _course(ground, first.middle_mm, last.middle_mm, limit_mm)
    if course is None:
        return None
    filled = tube(ground.own.shape, spacing, course, first.radius_mm, last.radius_mm) & ground.open
    return _if_joined(box, filled, ground.own, one, other)


def _course(ground: CostMap, one_mm: Point, other_mm: Point, limit_mm: float) -> Points | None:
    """The cheapest way between two points, straight where that costs little more; None if it is too long."""
    spacing = np.asarray(ground.spacing_mm)
    start, stop = (tuple(np.rint(place / spacing).astype(int).tolist()) for place in (one_mm, other_mm))
    if ground.cost[start] < 0 or ground.cost[stop] < 0:
        return None
    search = MCP_Geometric(ground.cost, sampling=ground.spacing_mm)
    costs, _ = search.find_costs([start], [stop])
    if not np.isfinite(costs[stop]):
        return None
    straight = np.stack([one_mm, other_mm])
    if _cost_along(ground, straight) <= STRAIGHT_ENOUGH * float(costs[stop]):
        return straight
    way = np.asarray(search.traceback(stop), dtype=np.float64)
    steps_mm = np.linalg.norm(np.diff(way, axis=0) * spacing, axis=1)
    outside = ~ground.own[tuple(way[1:].astype(int).T)]
    if steps_mm[outside].sum() > limit_mm:
        return None
    smooth = uniform_filter1d(way * spacing, size=3, axis=0, mode="nearest")
    return np.concatenate([one_mm[None], smooth[1:-1], other_mm[None]])


def _cost_along(ground: CostMap, line_mm: Float[np.ndarray, "2 3"]) -> float:
    """The cost of a straight line, infinite through a barrier."""
    length_mm = float(np.linalg.norm(line_mm[1] - line_mm[0]))
    share = np.linspace(0, 1, max(2 * math.ceil(length_mm / min(ground.spacing_mm)), 2))[:, None]
    places = np.rint((line_mm[0] + share * (line_mm[1] - line_mm[0])) / np.asarray(ground.spacing_mm)).astype(int)
    costs = ground.cost[tuple(places.T)]
    return math.inf if (costs < 0).any() else float(costs.mean()) * length_mm


def filled_between(
    site: BridgeTask, piece: Bool[np.ndarray, "i j k"], parent: Bool[np.ndarray, "i j k"], box: Box, gap_mm: float
) -> BridgeVoxels | None:
    """The voxels between a piece and its parent: those whose distances to both add up to hardly more than the gap.

    Where two faces were torn apart, all that lies between them is filled; where two points face each other, a waist.
    None if what may be filled does not join them.

    Args:
        site: of the piece's structure.
        piece, parent: what is to be joined.
        box: that holds the piece.
        gap_mm: between their nearest voxel centres.
    """
    spacing = site.spacing_mm
    around = grown(box, [math.ceil(gap_mm / step) + 1 for step in spacing], parent.shape)
    ground, own, other = site.ground(around), piece[around], parent[around]
    to_piece = distance_transform_edt(~own, sampling=spacing)
    to_parent = distance_transform_edt(~other, sampling=spacing)
    between = (to_piece + to_parent <= gap_mm + SLACK_VOXELS * max(spacing)) & (to_parent < gap_mm)
    one = np.unravel_index(int(np.where(own, to_parent, np.inf).argmin()), own.shape)
    across = np.unravel_index(int(np.where(other, to_piece, np.inf).argmin()), own.shape)
    return _if_joined(around, between & ground.open & ~other, own | other, np.asarray(one), np.asarray(across))


def _if_joined(
    box: Box,
    filled: Bool[np.ndarray, "a b c"],
    solid: Bool[np.ndarray, "a b c"],
    one: Shaped[np.ndarray, "3"],
    other: Shaped[np.ndarray, "3"],
) -> BridgeVoxels | None:
    """What was filled, if it joins two voxels of what is solid; only what hangs together with them."""
    numbers, _ = connected(solid | filled, connectivity=26)
    joint = numbers[tuple(one)]
    if not filled.any() or joint == 0 or numbers[tuple(other)] != joint:
        return None
    return BridgeVoxels(box, filled & (numbers == joint))
