"""Cells of a lattice: what ten logits can become between its nodes, and whether a decision can change there.

Logits stand channels first, places last: ``[c, ...]``. A *cell* is the cube between eight neighbouring nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

Decide = Callable[[Tensor], Tensor]
"""Labels [1, 1, n] or [1, n] of probabilities [1, c, n]; each point's from its own probabilities alone."""


def decided(decide: Decide, logits: Float[Tensor, "c *places"]) -> UInt8[Tensor, "*places"]:
    """The label of every place."""
    flat = torch.sigmoid(logits.flatten(1))
    return decide(flat[None]).reshape(logits.shape[1:]).to(torch.uint8)


def settled(
    decide: Decide, low: Float[Tensor, "c n"], high: Float[Tensor, "c n"]
) -> tuple[UInt8[Tensor, "n"], Bool[Tensor, "n"]]:
    """Labels where all logits are lowest, and whether the decision is the same wherever they lie from low to high.

    Four corners of the box speak for all of it: all low; all high; the largest probability low and the others high; and
    the reverse. For thresholds in an order of priority, with background or the largest probability above one half where
    none is reached, that is exact: if all four are the label A, either A reaches its threshold even when low and nobody
    before it does when high, or A is the largest, is so even when low against all others high, and these reach no
    threshold.
    """
    least, most = torch.sigmoid(low), torch.sigmoid(high)
    middle = low + high
    # A product in the place of a selection: ten times as fast.
    reach = (most - least) * (middle == middle.amax(dim=0, keepdim=True))
    corners = torch.cat([least, most, most - reach, least + reach], dim=1)
    labels = decide(corners[None]).reshape(4, low.shape[1]).to(torch.uint8)
    return labels[0], (labels[0] == labels[1]) & (labels[0] == labels[2]) & (labels[0] == labels[3])


def pairwise(values: Tensor, combine: Callable[[Tensor, Tensor], Tensor], axes: Sequence[int] = (1, 2, 3)) -> Tensor:
    """Each two neighbours along each axis combined: over the corners of a cell, one sample fewer a side."""
    for axis in axes:
        count = values.shape[axis] - 1
        values = combine(values.narrow(axis, 0, count), values.narrow(axis, 1, count))
    return values


def second_difference(values: Tensor, axis: int) -> Tensor:
    """|a - 2 b + c| of three neighbours along an axis, two samples fewer."""
    count = values.shape[axis] - 2
    middle = values.narrow(axis, 1, count)
    return (values.narrow(axis, 0, count) + values.narrow(axis, 2, count) - 2 * middle).abs()


def bend(values: Float[Tensor, "c a b e"]) -> Float[Tensor, "c a-1 b-1 e-1"]:
    """How far from linear a lattice is around each cell: the sum over axes of the second differences at its nodes, the
    largest of the eight; the outermost nodes have their neighbours'. At least three nodes along each axis."""
    total = torch.zeros_like(values)
    for axis in (1, 2, 3):
        inner = second_difference(values, axis)
        count = inner.shape[axis]
        total += torch.cat([inner.narrow(axis, 0, 1), inner, inner.narrow(axis, count - 1, 1)], dim=axis)
    return pairwise(total, torch.maximum)


def bend_within(nodes: Float[Tensor, "c 3 3 3 n"]) -> Float[Tensor, "c n"]:
    """The same for single cells with a node halfway along each axis."""
    return sum(second_difference(nodes, axis).flatten(1, 3).amax(dim=1) for axis in (1, 2, 3))  # type: ignore[return-value]


def halved(values: Tensor, axes: Sequence[int] = (1, 2, 3)) -> Tensor:
    """A lattice of twice as many cells a side, the new nodes linear between the old."""
    for axis in axes:
        count = values.shape[axis]
        sizes = list(values.shape)
        sizes[axis] = 2 * count - 1
        finer = values.new_empty(sizes)
        even = [slice(None)] * values.dim()
        even[axis] = slice(None, None, 2)
        odd = list(even)
        odd[axis] = slice(1, None, 2)
        finer[tuple(even)] = values
        finer[tuple(odd)] = pairwise(values, lambda a, b: (a + b) / 2, (axis,))
        values = finer
    return values


def halfway(nodes: Float[Tensor, "c 2 2 2 n"]) -> Float[Tensor, "c 2 2 2 n"]:
    """For cells of two points a side, their points: the first node, and those linear between it and the others."""
    for axis in (1, 2, 3):
        first = nodes.narrow(axis, 0, 1)
        nodes = torch.cat([first, (first + nodes.narrow(axis, 1, 1)) / 2], dim=axis)
    return nodes


def upsampled(values: Float[Tensor, "c a b e"], shape: Sequence[int]) -> Float[Tensor, "c d h w"]:
    """:func:`halved`, and of that the first ``shape``; one channel after the other, for memory."""
    result = values.new_empty(values.shape[0], *shape)
    for channel, whole in enumerate(values):
        result[channel] = halved(whole[None])[0, : shape[0], : shape[1], : shape[2]]
    return result


def doubled(labels: UInt8[Tensor, "a b e"]) -> UInt8[Tensor, "2*a 2*b 2*e"]:
    """Every cell's label on its eight halves."""
    for axis in (2, 1, 0):
        labels = torch.stack([labels, labels], dim=axis + 1).flatten(axis, axis + 1)
    return labels


def around(first: Int[Tensor, "n"], size: Sequence[int], side: int) -> Int[Tensor, "m n"]:
    """Flat positions, in an array of ``size``, of the ``side``-cubed block that begins at each of ``first``."""
    offsets = [(z * size[1] + y) * size[2] + x for z, y, x in product(range(side), repeat=3)]
    return first + torch.tensor(offsets, device=first.device)[:, None]


def reindexed(flat: Int[Tensor, "n"], size: Sequence[int], to_size: Sequence[int], factor: int) -> Int[Tensor, "n"]:
    """Flat positions in an array of ``size``, their coordinates times ``factor``, as flat positions in ``to_size``."""
    z, y, x = flat // (size[1] * size[2]), flat // size[2] % size[1], flat % size[2]
    return ((z * to_size[1] + y) * to_size[2] + x) * factor


def cropped(flat: Int[Tensor, "n"], size: Sequence[int], to_size: Sequence[int]) -> Int[Tensor, "m"]:
    """Those flat positions in an array of ``size`` that lie in its first ``to_size``, as positions in that."""
    z, y, x = flat // (size[1] * size[2]), flat // size[2] % size[1], flat % size[2]
    inside = (z < to_size[0]) & (y < to_size[1]) & (x < to_size[2])
    return ((z * to_size[1] + y) * to_size[2] + x)[inside]
