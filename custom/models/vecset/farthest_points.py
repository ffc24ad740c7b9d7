"""Farthest-point sampling: few points that leave no part of a cloud far from all of them."""

from __future__ import annotations

import torch
from torch import Tensor


def farthest_points(points: Tensor, count: int, allowed: Tensor) -> Tensor:
    """Indices [batch, count] of the exact greedy choice: each point is the one farthest from all chosen before it.

    The first is the farthest from the origin, so that the choice depends on the points and not on their order. Where
    fewer points differ than are asked for, points are chosen again. Of a row without an allowed point the answer is 0.

    Args:
        points: [batch, n, 3], n at least 1.
        count: how many, 0 and more.
        allowed: which may be chosen [batch, n], bool.
    """
    chosen = torch.zeros(points.shape[0], count, dtype=torch.long, device=points.device)
    away = points.detach().float()
    never = torch.full_like(away[:, :, 0], -1.0)
    nearest = torch.where(allowed, torch.full_like(never, float("inf")), never)
    index = torch.where(allowed, away.square().sum(dim=2), never).argmax(dim=1)
    for step in range(count):
        chosen[:, step] = index
        here = away.gather(1, index[:, None, None].expand(-1, 1, 3))
        nearest = torch.minimum(nearest, (away - here).square().sum(dim=2))
        index = nearest.argmax(dim=1)
    return chosen
