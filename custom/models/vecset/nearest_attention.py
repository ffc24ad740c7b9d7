"""Attention to what is near: a point sees the nearest members of a set, and where they lie as seen from it.

Known: point transformers and point convolution for surface reconstruction (Boulch and Marlet, "POCO", CVPR 2022). Plain
attention between points has to learn what near means before it can learn anything else; here it is given.
"""

from __future__ import annotations

from typing import NamedTuple, Optional  # noqa: UP035  (TorchScript reads these annotations)

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALE = 24.0
"""A 24th of the frame's unit is 1 here: 4 mm, well below what lies between neighbours, above what surfaces need."""


def rows_of(members: Tensor, index: Tensor) -> Tensor:
    """[batch, n, k, width] out of members [batch, m, width], by index [batch, n, k]."""
    batch, count, near = index.shape
    flat = index.reshape(batch, count * near, 1).expand(-1, -1, members.shape[2])
    return members.gather(1, flat).reshape(batch, count, near, members.shape[2])


class Neighbours(NamedTuple):
    """Who is near: ``which`` of the members [batch, n, k], nearest first, ``away``, from each to the point [batch,
    n, k, 3], in units of the frame, and ``nearness`` [batch, n, k], the logarithm of a weight that falls from 1 to
    about 0 at the last of them, so that nothing jumps where the neighbours change."""

    which: Tensor
    away: Tensor
    nearness: Tensor


def neighbours_of(points: Tensor, places: Tensor, most: int) -> Neighbours:
    """The ``most`` members, or all if they are fewer, nearest to each point.

    Args:
        points: [batch, n, 3].
        places: of the members [batch, m, 3], m at least 1.
        most: at least 1.
    """
    count = min(most, places.shape[1])
    index = torch.cdist(points.detach(), places.detach()).topk(count, dim=2, largest=False)[1]
    away = points[:, :, None] - rows_of(places, index)
    squared = away.square().sum(dim=3)
    nearness = (1 - squared / (squared[:, :, -1:] + 1e-12)).clamp(min=1e-6).log()
    return Neighbours(index, away, nearness)


class NearestPlanes(nn.Module):
    """A weighted mean of planes: each member has one for every channel, a value at its place and three slopes.

    A signed distance near a surface is such a plane, so that training begins with surfaces and goes on to what bends.

    Args:
        width: of members.
        channels: planes of each.
        unit: what 1 of a value means, in units of the frame.
    """

    def __init__(self, width: int, channels: int, unit: float) -> None:
        super().__init__()
        self.channels, self.unit = channels, unit
        self.values, self.slopes = nn.Linear(width, channels), nn.Linear(width, 3 * channels)
        for layer in (self.values, self.slopes):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, members: Tensor, near: Neighbours) -> Tensor:
        """[batch, n, channels] from members [batch, m, width]."""
        both = rows_of(torch.cat([self.unit * self.values(members), self.slopes(members)], dim=2), near.which)
        slopes = both[..., self.channels :].unflatten(3, (3, self.channels))
        heights = both[..., : self.channels] + (slopes * near.away[..., None]).sum(dim=3)
        return (near.nearness.softmax(dim=2)[..., None] * heights).sum(dim=2)


class NearestAttention(nn.Module):
    """Each point takes a weighted mean of its nearest members of a set.

    What a member has to say is its own content plus the direction and distance to it, plus the product of both.

    Args:
        width: of points, members and answers.
        heads: weights for each neighbour, a divisor of ``width``.
        asks: whether points have a content of their own that decides what they look for.
    """

    def __init__(self, width: int, heads: int, asks: bool) -> None:
        super().__init__()
        self.heads, self.scale = heads, SCALE
        self.said, self.slopes = nn.Linear(width, width), nn.Linear(width, width)
        self.along, self.across = nn.Linear(10, width, bias=False), nn.Linear(10, width, bias=False)
        self.asked = nn.Linear(width, width, bias=False) if asks else nn.Identity()
        self.inner, self.weigh = nn.Linear(width, width), nn.Linear(width, heads)
        self.to_answer = nn.Linear(width, width)

    def forward(self, members: Tensor, near: Neighbours, contents: Optional[Tensor] = None) -> Tensor:  # noqa: UP045
        """Answers [batch, n, width] from members [batch, m, width]; contents [batch, n, width] of points that ask."""
        away, width = self.scale * near.away, members.shape[2]
        length = (away.square().sum(dim=3, keepdim=True) + 1e-9).sqrt()
        directions = torch.cat([away, length, away.sin(), away.cos()], dim=3)
        both = rows_of(torch.cat([self.said(members), self.slopes(members)], dim=2), near.which)
        heard = both[..., :width] + self.along(directions) + both[..., width:] * self.across(directions)
        if contents is not None:
            heard = heard + self.asked(contents)[:, :, None]
        heard = heard + F.gelu(self.inner(F.gelu(heard)))
        weights = (self.weigh(heard) + near.nearness[..., None]).softmax(dim=2)
        parts = heard.view(heard.shape[0], heard.shape[1], heard.shape[2], self.heads, width // self.heads)
        answer: Tensor = self.to_answer((weights[..., None] * parts).sum(dim=2).flatten(2))
        return answer
