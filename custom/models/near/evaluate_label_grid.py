"""All structures of a heart on a whole grid in one pass: from coarse to fine, only where the label can change."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .coarse_to_fine import PORTIONS, Answer, Heart, PaddedGridField, coarse, finer, finish, split
from .evaluate_grid import CHUNK
from .lattice_cells import Decide, decided
from .near_field import NearField
from .point_features import FeatureRows

GUARD = 0.25
"""Of the second differences, how far the field may lie from its straight line between nodes. A single kink can be off
by half of them; a smooth field by an eighth."""


@torch.no_grad()
def evaluate_heart(
    field: NearField,
    row: int,
    axes: Sequence[Tensor],
    decide: Decide,
    stride: int = 4,
    guard: float = GUARD,
    chunk: int = CHUNK,
    with_logits: bool = False,
) -> Heart:
    """The label of every point of a grid for one code of a field of one or more structures; on the field's device.

    Its logits are the field's own up to rounding, see :class:`custom.models.near.point_features.FeatureRows`. All else
    is as in :func:`label_grid`.
    """
    axes = [axis.to(field.device) for axis in axes]
    return label_grid(answer_of(field, row), axes, decide, stride, guard, chunk, with_logits)


def answer_of(field: NearField, row: int) -> Answer:
    """Logits [n, c] at points [n, 3], by rows of the code's feature volumes."""
    rows = FeatureRows(field.pyramid(field.codes(torch.tensor([row], device=field.device))))
    return lambda points_unit: field.head(torch.cat([points_unit, rows(points_unit)], dim=1))


@torch.no_grad()
def label_grid(
    answer: Answer,
    axes: Sequence[Tensor],
    decide: Decide,
    stride: int = 4,
    guard: float = GUARD,
    chunk: int = CHUNK,
    with_logits: bool = False,
) -> Heart:
    """The label of every point of a grid, for a few per cent of the questions.

    1. A lattice of every ``stride``-th point is asked. Between eight nodes each logit lies within their range, widened
       by the bend of the field around them; where no logits within these ranges change the decision, the cell is done.
    2. The others are halved until they are two points a side: their new nodes are asked, and the bend within each cell
       widens the ranges of its eight halves.
    3. At each point that is left the logits are interpolated, and it is asked only if they, so widened, leave a choice.

    What is skipped is bounded by measurement, not by proof: a vessel far thinner than ``stride`` points is missed if
    the field is level again at every node around it. A smaller ``stride`` finds it.

    Args:
        answer: logits [n, c] at points [n, 3] of the unit cube.
        axes: z, y and x coordinates of the grid, evenly spaced, as from
            :func:`custom.models.near.evaluate_grid.unit_axes`.
        decide: from probabilities [1, c, n] to labels [1, 1, n] or [1, n]; see
            :func:`custom.models.near.lattice_cells.settled`.
        stride: of the first lattice, a power of two. 1 asks everywhere, and so does a grid of ``2 * stride`` points or
            fewer along an axis, a single one among them.
        guard: the share of the second differences that widens a range.
        chunk: points asked at once. A point's answer is the same bits whatever else is asked, for one ``chunk``.
        with_logits: answer the logits too, interpolated where none were asked: 4 bytes a point and structure.

    Returns:
        Labels, and logits or ``None``.

    Raises:
        ValueError: ``stride`` is no power of two.
    """
    if stride < 1 or stride & (stride - 1):
        raise ValueError(f"stride is {stride}, not a power of two")
    everything = stride == 1 or min(axis.numel() for axis in axes) <= 2 * stride
    asked = PaddedGridField(answer, axes, chunk, 1 if everything else stride)
    if everything:
        return everywhere(asked, decide, with_logits)
    labels, lattice, left = coarse(asked, decide, stride, guard)
    while lattice.step > 2:
        lattice = finer(asked, lattice, left.cells, with_logits)
        labels, left = split(decide, labels, lattice, left.cells, guard)
    return finish(asked, decide, labels, lattice, left, with_logits)


def everywhere(asked: PaddedGridField, decide: Decide, with_logits: bool) -> Heart:
    """Every point asked, a few portions at a time: ten logits of a whole grid are kept on request only."""
    count = asked.shape[0] * asked.shape[1] * asked.shape[2]
    axes: list[Tensor] = asked.on(1)
    labels, kept = [], []
    for flat in torch.arange(count, device=asked.axes[0].device).split(PORTIONS * asked.chunk):
        logits = asked.at(axes, flat)
        labels.append(decided(decide, logits))
        kept += [logits] if with_logits else []
    whole = torch.cat(kept, dim=1).reshape(-1, *asked.shape) if with_logits else None
    return torch.cat(labels).reshape(asked.shape), whole
