"""Evaluate a field on a whole grid: everywhere coarsely, finely only where the surface can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

Answer = Callable[[Tensor], Tensor]
"""Logits [n] at points [n, 3] of the unit cube, for one code."""

CHUNK = 4096
"""Points asked at once: larger chunks fall out of the cache and are slower."""


def unit_axes(shape: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """The z, y and x coordinates of a grid of ``shape`` (d, h, w) over the unit cube; one sample lies at 0."""
    d, h, w = (torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1) for n in shape)
    return d, h, w


def points_of(axes: Sequence[Tensor], flat: Tensor) -> Float[Tensor, "n 3"]:
    """Unit (x, y, z) of flat positions in the grid spanned by the (z, y, x) ``axes``."""
    height, width = axes[1].numel(), axes[2].numel()
    z, y, x = flat // (height * width), flat // width % height, flat % width
    return torch.stack([axes[2][x], axes[1][y], axes[0][z]], dim=1)


@torch.no_grad()
def evaluate_everywhere(answer: Answer, axes: Sequence[Tensor], chunk: int = CHUNK) -> Float[Tensor, "d h w"]:
    """Logits at every point of the grid, chunk by chunk: the plain reference for :func:`evaluate`."""
    shape = [axis.numel() for axis in axes]
    return evaluate_points(answer, axes, torch.arange(shape[0] * shape[1] * shape[2]), chunk).reshape(shape)


def evaluate_points(answer: Answer, axes: Sequence[Tensor], flat: Int[Tensor, "n"], chunk: int) -> Float[Tensor, "n"]:
    """Logits at flat positions of the grid.

    Every call asks exactly ``chunk`` points, the last one filled up with the last point: matrix products of another
    height may sum in another order, and a voxel's logit must not depend, not by a bit, on how many others are asked.
    """
    logits = torch.empty(flat.numel())
    for start, count, points in chunks(axes, flat, chunk):
        logits[start : start + count] = answer(points)[:count].float().cpu()
    return logits


def chunks(axes: Sequence[Tensor], flat: Int[Tensor, "n"], chunk: int) -> Iterator[tuple[int, int, Tensor]]:
    """Flat positions of the grid in portions: the first's number, how many count, and always ``chunk`` points."""
    for start in range(0, flat.numel(), chunk):
        part = flat[start : start + chunk]
        yield start, part.numel(), points_of(axes, F.pad(part, (0, chunk - part.numel()), value=int(part[-1])))


@torch.no_grad()
def evaluate(
    answer: Answer, axes: Sequence[Tensor], stride: int = 4, guard: float = 0.02, chunk: int = CHUNK
) -> Float[Tensor, "d h w"]:
    """Logits on the grid: exact near the surface, interpolated from a ``stride`` times coarser grid elsewhere.

    A coarse sample is *doubtful* if its probability lies between ``guard`` and 1 - ``guard``, or if a neighbour of the
    eight around a common cell lies on the other side of one half, or if its logit is nearer to zero than half the range
    of its neighbours' logits: at that slope zero may lie between the samples. Every fine point of a cell with a
    doubtful corner, and of the cells around it, is asked. A vessel thinner than the coarse grid shows there as doubt
    however steep the field is, as long as its logits still fall one coarse sample away from the vessel; one that the
    field has already levelled off around is missed, and only a smaller ``stride`` finds it.

    Args:
        answer: the field for one code.
        axes: z, y and x coordinates, as from :func:`unit_axes`.
        stride: of the coarse grid; 1 asks everywhere.
        guard: lowest probability that is still doubtful.
        chunk: points asked at once.
    """
    if stride <= 1 or min(axis.numel() for axis in axes) <= 2 * stride:
        return evaluate_everywhere(answer, axes, chunk)
    picks = [coarse_positions(axis.numel(), stride) for axis in axes]
    coarse = evaluate_everywhere(answer, [axis[pick] for axis, pick in zip(axes, picks, strict=True)], chunk)
    logits = spread(coarse, picks, [axis.numel() for axis in axes])
    flat = torch.nonzero(fine_mask(doubtful(coarse, guard), picks, logits.shape).reshape(-1))[:, 0]
    logits.reshape(-1)[flat] = evaluate_points(answer, axes, flat, chunk)
    return logits


def coarse_positions(count: int, stride: int) -> Tensor:
    """Positions from the first to the last, at most ``stride`` apart, alike seen from either end."""
    last = count - 1
    cells = -(-last // stride)
    # An odd length has no position in its middle: the middle must lie between two.
    cells += cells % 2 == 0 and last % 2 == 1
    half = [-(-number * last // cells) for number in range((cells + 1) // 2)]
    middle = [last // 2] if cells % 2 == 0 else []
    return torch.tensor([*half, *middle, *(last - position for position in half[::-1])])


def doubtful(coarse: Float[Tensor, "a b c"], guard: float) -> Bool[Tensor, "a b c"]:
    """Coarse samples at or near a possible surface, grown by one sample on all sides."""
    limit = float(torch.logit(torch.tensor(1 - guard)))
    highest, lowest = F.max_pool3d(coarse[None, None], 3, 1, 1), -F.max_pool3d(-coarse[None, None], 3, 1, 1)
    near = torch.clamp((highest - lowest) / 2, min=limit)
    doubt = (coarse.abs() < near) | ((highest > 0) != (lowest > 0))
    return F.max_pool3d(doubt.float(), 3, 1, 1)[0, 0] > 0


def fine_mask(doubt: Bool[Tensor, "a b c"], picks: Sequence[Tensor], shape: Sequence[int]) -> Bool[Tensor, "d h w"]:
    """The fine points of cells with a doubtful corner; one on the border of cells belongs to them all."""
    below = [(torch.searchsorted(pick, torch.arange(n)) - 1).clamp(min=0) for pick, n in zip(picks, shape, strict=True)]
    above = [
        torch.searchsorted(pick, torch.arange(n), right=True).clamp(max=pick.numel() - 1)
        for pick, n in zip(picks, shape, strict=True)
    ]
    result = torch.zeros(tuple(shape), dtype=torch.bool)
    between = [(low + high + 1) // 2 for low, high in zip(below, above, strict=True)]  # the sample a point lies on
    for corner in product((below, between, above), repeat=3):
        z, y, x = (chosen[axis] for axis, chosen in enumerate(corner))
        result |= doubt[z][:, y][:, :, x]
    return result


def spread(coarse: Float[Tensor, "a b c"], picks: Sequence[Tensor], shape: Sequence[int]) -> Float[Tensor, "d h w"]:
    """Coarse samples linearly interpolated to every fine position, axis by axis."""
    result = coarse
    for axis, (pick, count) in enumerate(zip(picks, shape, strict=True)):
        fine = torch.arange(count)
        low = (torch.searchsorted(pick, fine, right=True) - 1).clamp(max=pick.numel() - 2)
        part = (fine - pick[low]) / (pick[low + 1] - pick[low])
        view = [1, 1, 1]
        view[axis] = count
        part = part.reshape(view).to(result.dtype)
        result = result.index_select(axis, low) * (1 - part) + result.index_select(axis, low + 1) * part
    return result.contiguous()
