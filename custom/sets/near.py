"""Attention to what is near: a point sees the nearest members of a set, and where they lie as seen from it.

Known: point transformers and point convolution for surface reconstruction (Boulch and Marlet, "POCO", CVPR 2022). Plain
attention between points has to learn what near means before it can learn anything else; here it is given.
"""

from __future__ import annotations

from typing import Optional  # noqa: UP035  (TorchScript reads these annotations)

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALE = 8.0
"""An eighth of the frame's unit is 1 here: 12.5 mm, the order of what lies between neighbours."""


def rows_of(members: Tensor, index: Tensor) -> Tensor:
    """[batch, n, k, width] out of members [batch, m, width], by index [batch, n, k]."""
    batch, count, near = index.shape
    flat = index.reshape(batch, count * near, 1).expand(-1, -1, members.shape[2])
    return members.gather(1, flat).reshape(batch, count, near, members.shape[2])


class NearAttention(nn.Module):
    """Each point takes a weighted mean of its nearest members of a set.

    What a member has to say is its own content plus the direction and distance to it, plus the product of both: a
    plane through the member is such a product, and so a signed distance can be said at once. A weight falls to 0 at
    the last of the neighbours, so that nothing jumps where the neighbours change.

    Args:
        width: of points, members and answers.
        heads: weights for each neighbour, a divisor of ``width``.
        neighbours: how many members a point sees, all of a smaller set.
        asks: whether points have a content of their own that decides what they look for.
    """

    def __init__(self, width: int, heads: int, neighbours: int, asks: bool) -> None:
        super().__init__()
        self.heads, self.neighbours, self.scale = heads, neighbours, SCALE
        self.said, self.slopes = nn.Linear(width, width), nn.Linear(width, width)
        self.along, self.across = nn.Linear(10, width, bias=False), nn.Linear(10, width, bias=False)
        self.asked = nn.Linear(width, width, bias=False) if asks else nn.Identity()
        self.inner, self.weigh = nn.Linear(width, width), nn.Linear(width, heads)
        self.to_answer = nn.Linear(width, width)

    def forward(self, points: Tensor, members: Tensor, places: Tensor, contents: Optional[Tensor] = None) -> Tensor:  # noqa: UP045
        """Answers [batch, n, width].

        Args:
            points: where they lie [batch, n, 3].
            members: [batch, m, width], m at least 1.
            places: of the members [batch, m, 3].
            contents: of the points [batch, n, width], if they ask.
        """
        nearest = min(self.neighbours, places.shape[1])
        index = torch.cdist(points.detach(), places.detach()).topk(nearest, dim=2, largest=False)[1]
        away = self.scale * (points[:, :, None] - rows_of(places, index))
        squared = away.square().sum(dim=3)
        nearness = (1 - squared / (squared[:, :, -1:] + 1e-9)).clamp(min=1e-6).log()
        directions = torch.cat([away, (squared[..., None] + 1e-9).sqrt(), away.sin(), away.cos()], dim=3)
        width = members.shape[2]
        both = rows_of(torch.cat([self.said(members), self.slopes(members)], dim=2), index)
        heard = both[..., :width] + self.along(directions) + both[..., width:] * self.across(directions)
        if contents is not None:
            heard = heard + self.asked(contents)[:, :, None]
        heard = heard + F.gelu(self.inner(F.gelu(heard)))
        weights = (self.weigh(heard) + nearness[..., None]).softmax(dim=2)
        parts = heard.view(heard.shape[0], heard.shape[1], nearest, self.heads, width // self.heads)
        answer: Tensor = self.to_answer((weights[..., None] * parts).sum(dim=2).flatten(2))
        return answer
