"""From a coarse lattice to a grid, halving the cells in which a label can change.

The stages of :func:`custom.models.near.evaluate_label_grid.label_grid`, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from .evaluate_grid import chunks
from .lattice_cells import (
    Decide,
    around,
    bend,
    bend_within,
    cropped,
    decided,
    doubled,
    halfway,
    halved,
    pairwise,
    reindexed,
    settled,
    upsampled,
)

COARSE_GUARD = 4.0
"""How many times the guard that is for cells of more than two points a side, which may hold a whole vessel."""

COARSE_LOGITS = 2.0
"""And how many logits more: a vessel that leaves no bend shows as a probability that is not quite nothing."""

ROUNDING = 1e-3
"""Logits that are let pass as rounding."""

CELLS = 2048
"""Cells looked at in one go; fits the cache. No answer depends on it."""

PORTIONS = 16
"""How many chunks of logits are kept at a time where only labels are asked for."""

Answer = Callable[[Tensor], Tensor]
Heart = tuple[UInt8[Tensor, "d h w"], Float[Tensor, "c d h w"] | None]


class PaddedGridField:
    """A field on a grid that runs on beyond the last point, so that its cells are all alike.

    Args:
        answer: logits [n, c] at points [n, 3].
        axes: z, y and x coordinates, on the field's device.
        chunk: points asked at once.
        stride: the grid is continued, evenly, until this many points divide it into cells.
    """

    def __init__(self, answer: Answer, axes: Sequence[Tensor], chunk: int, stride: int) -> None:
        self.answer, self.chunk = answer, chunk
        self.shape = tuple(axis.numel() for axis in axes)
        self.axes = [continued(axis, -(-axis.numel() // stride) * stride + 1) if stride > 1 else axis for axis in axes]

    def on(self, step: int) -> list[Tensor]:
        """The axes of the lattice of every ``step``-th point, those beyond the grid among them; of 1, the grid's."""
        if step == 1:
            return [axis[:count] for axis, count in zip(self.axes, self.shape, strict=True)]
        return [axis[::step] for axis in self.axes]

    def at(self, axes: Sequence[Tensor], flat: Int[Tensor, "n"]) -> Float[Tensor, "c n"]:
        """Logits at flat positions of the grid spanned by ``axes``; see
        :func:`custom.models.near.evaluate_grid.evaluate_points`."""
        parts = [self.answer(points)[:count].float() for _, count, points in chunks(axes, flat, self.chunk)]
        return torch.cat(parts).T.contiguous()


def continued(axis: Float[Tensor, "n"], count: int) -> Float[Tensor, "m"]:
    """An axis of at least two points with as many more of the last spacing as make ``count``."""
    more = torch.arange(1, count - axis.numel() + 1, device=axis.device)
    return torch.cat([axis, axis[-1] + more * (axis[-1] - axis[-2])])


@dataclass(frozen=True)
class Lattice:
    """Logits at every ``step``-th point of the grid; [c, a, b, e], one node more than cells along each axis."""

    values: Float[Tensor, "c a b e"]
    step: int

    @property
    def nodes(self) -> tuple[int, int, int]:
        _, a, b, d = self.values.shape
        return a, b, d

    @property
    def cells(self) -> tuple[int, int, int]:
        a, b, d = self.nodes
        return a - 1, b - 1, d - 1

    def blocks(self, cells: Int[Tensor, "n"], grid: Sequence[int], side: int) -> Float[Tensor, "c s s s n"]:
        """The ``side``-cubed nodes from the first of each of ``cells``, flat in a ``grid`` of them."""
        places = around(reindexed(cells, grid, self.nodes, side - 1), self.nodes, side)
        chosen = self.values.flatten(1).index_select(1, places.flatten())
        return chosen.reshape(self.values.shape[0], side, side, side, cells.numel())


@dataclass(frozen=True)
class OpenCells:
    """Cells in which the label can change, flat, and how far each logit may lie from between the nodes there."""

    cells: Int[Tensor, "n"]
    margin: Float[Tensor, "c n"]

    @classmethod
    def joined(cls, parts: Sequence[OpenCells]) -> OpenCells:
        return cls(torch.cat([part.cells for part in parts]), torch.cat([part.margin for part in parts], dim=1))


def wide(guard: float, bends: Tensor) -> Tensor:
    """The margin of cells that may hold a whole vessel."""
    return COARSE_GUARD * guard * bends + COARSE_LOGITS


def coarse(
    asked: PaddedGridField, decide: Decide, stride: int, guard: float
) -> tuple[UInt8[Tensor, "a b e"], Lattice, OpenCells]:
    """The first lattice: labels of its cells, and those where they may be wrong."""
    axes = asked.on(stride)
    nodes = [axis.numel() for axis in axes]
    flat = torch.arange(nodes[0] * nodes[1] * nodes[2], device=axes[0].device)
    lattice = Lattice(asked.at(axes, flat).reshape(-1, *nodes), stride)
    margin = wide(guard, bend(lattice.values))
    low = (pairwise(lattice.values, torch.minimum) - margin).flatten(1)
    high = (pairwise(lattice.values, torch.maximum) + margin).flatten(1)
    parts = [settled(decide, *part) for part in zip(low.split(8 * CELLS, 1), high.split(8 * CELLS, 1), strict=True)]
    cells = torch.nonzero(~torch.cat([same for _, same in parts]))[:, 0]
    labels = torch.cat([label for label, _ in parts]).reshape(lattice.cells)
    return labels, lattice, OpenCells(cells, margin.flatten(1)[:, cells])


def finer(asked: PaddedGridField, lattice: Lattice, cells: Int[Tensor, "n"], filled: bool) -> Lattice:
    """A lattice of half the step that is asked in ``cells`` alone; elsewhere its new nodes are linear or undefined."""
    step, nodes = lattice.step // 2, [2 * count - 1 for count in lattice.nodes]
    if filled:
        values = halved(lattice.values)
    else:
        values = lattice.values.new_empty(lattice.values.shape[0], *nodes)
        values[:, ::2, ::2, ::2] = lattice.values
    wanted = torch.zeros(nodes, dtype=torch.bool, device=values.device)
    for part in cells.split(CELLS):
        wanted.view(-1)[around(reindexed(part, lattice.cells, nodes, 2), nodes, 3)] = True
    wanted[::2, ::2, ::2] = False
    flat = torch.nonzero(wanted.view(-1))[:, 0]
    if flat.numel():
        values.view(values.shape[0], -1)[:, flat] = asked.at(asked.on(step), flat)
    return Lattice(values, step)


def split(
    decide: Decide, labels: UInt8[Tensor, "a b e"], lattice: Lattice, cells: Int[Tensor, "n"], guard: float
) -> tuple[UInt8[Tensor, "2*a 2*b 2*e"], OpenCells]:
    """The halves of ``cells``: their labels, and those where they may be wrong."""
    grid, halves = labels.shape, doubled(labels)
    left = [OpenCells(cells[:0], lattice.values.flatten(1)[:, :0])]
    for part in cells.split(CELLS):
        nodes = lattice.blocks(part, grid, 3)
        bends = bend_within(nodes)
        margin = wide(guard, bends) if lattice.step > 2 else guard * bends + ROUNDING
        margin = margin[:, None].expand(-1, 8, -1).flatten(1)
        low = pairwise(nodes, torch.minimum).flatten(1) - margin
        high = pairwise(nodes, torch.maximum).flatten(1) + margin
        own = around(reindexed(part, grid, lattice.cells, 2), lattice.cells, 2).flatten()
        found, same = settled(decide, low, high)
        halves.view(-1)[own] = found
        left.append(OpenCells(own[~same], margin[:, ~same]))
    return halves, OpenCells.joined(left)


def finish(
    asked: PaddedGridField,
    decide: Decide,
    labels: UInt8[Tensor, "a b e"],
    lattice: Lattice,
    left: OpenCells,
    with_logits: bool,
) -> Heart:
    """Every point of the grid: those of the cells that are left are interpolated, and asked where that is not enough.

    The cells are two points a side.
    """
    d, h, w = asked.shape
    points = doubled(labels)
    doubts = [left.cells[:0]]
    for cells, margin in zip(left.cells.split(CELLS), left.margin.split(CELLS, 1), strict=True):
        between = halfway(lattice.blocks(cells, labels.shape, 2)).flatten(1, 3)
        spread = margin[:, None].repeat(1, 8, 1)
        spread[:, 0] = 0  # a node, which has been asked
        found, same = settled(decide, (between - spread).flatten(1), (between + spread).flatten(1))
        own = around(reindexed(cells, labels.shape, points.shape, 2), points.shape, 2).flatten()
        points.view(-1)[own] = found
        doubts.append(own[~same])
    flat = cropped(torch.cat(doubts), points.shape, asked.shape)
    points = points[:d, :h, :w].contiguous()
    logits = upsampled(lattice.values, asked.shape) if with_logits else None
    for part in flat.split(PORTIONS * asked.chunk) if flat.numel() else ():
        answers = asked.at(asked.on(1), part)
        points.view(-1)[part] = decided(decide, answers)
        if logits is not None:
            logits.view(logits.shape[0], -1)[:, part] = answers
    return points, logits
