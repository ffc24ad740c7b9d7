"""The placed variant: tokens know where they are, and a point is answered by the tokens round it.

A set whose tokens have no places answers the mean of all hearts until it has found out by itself which token says what
about which place; with few hearts and little time it never does. Here a token starts at a point of a surface and
keeps its place, and its place is all that decides who hears it.
"""

from __future__ import annotations

from typing import Optional  # noqa: UP035  (TorchScript reads these annotations)

import torch
from torch import Tensor, nn

from .attention_layers import FeedForward
from .farthest_points import farthest_points
from .nearest_attention import NearestAttention, NearestPlanes, Neighbours, neighbours_of
from .set_network import SetNetwork

SEEN, HEARD = 24, 8
"""Neighbours: surface points that a token sees, tokens that the point asked at hears."""

UNIT = 0.05
"""What 1 of the last layer means, in units of the frame: steps of an optimiser should move surfaces by tenths of mm."""

ELSEWHERE = 50.0
"""Place, in units of the frame, of a token whose structure is not shown: it is nobody's neighbour."""


class PlacedCross(nn.Module):
    """Points hear what is near, and think it over.

    Args:
        width: of tokens.
        heads: of the attention.
        asks: see :class:`custom.models.vecset.nearest_attention.NearestAttention`; what is heard is then added to what
            the points were.
        feedforward: whether it is thought over.
    """

    def __init__(self, width: int, heads: int, asks: bool, feedforward: bool) -> None:
        super().__init__()
        self.attention = NearestAttention(width, heads, asks)
        layers = [nn.LayerNorm(width), FeedForward(width)] if feedforward else []
        self.forward_layer, self.feedforward = nn.Sequential(*layers), feedforward

    def forward(self, members: Tensor, near: Neighbours, contents: Optional[Tensor] = None) -> Tensor:  # noqa: UP045
        heard = self.attention(members, near, contents)
        if contents is not None:
            heard = contents + heard
        if self.feedforward:
            heard = heard + self.forward_layer(heard)
        answer: Tensor = heard
        return answer


class PlacedNetwork(SetNetwork):
    """As :class:`SetNetwork`, but codes and tokens begin with x, y, z of their place; all counts are for a structure.

    Every structure has ``point_queries`` tokens at farthest-point samples of its surface, which are not there if it is
    not shown, and ``class_tokens`` learned ones, which always are: those lie at learned places, and the trunk moves
    them to where it finds the structure.
    """

    def __init__(
        self,
        classes: int = 10,
        width: int = 256,
        heads: int = 4,
        point_queries: int = 24,
        class_tokens: int = 4,
        decoder_feedforward: bool = True,
        decoder_residual: bool = False,
        **settings: int,
    ) -> None:
        super().__init__(classes, width, heads, point_queries=point_queries, class_tokens=class_tokens, **settings)  # type: ignore[arg-type]
        self.encoder = PlacedCross(width, heads, True, True)  # type: ignore[assignment]
        self.decoder = PlacedCross(width, heads, False, decoder_feedforward)  # type: ignore[assignment]
        self.planes = NearestPlanes(width, classes, UNIT)
        self.seen, self.heard = SEEN, HEARD
        self.unit, self.elsewhere = UNIT, ELSEWHERE
        self.settled = nn.LayerNorm(width)
        self.spots = nn.Parameter(0.25 * torch.randn(classes, class_tokens, 3))
        self.move = nn.Linear(width, 3)
        nn.init.zeros_(self.move.weight)
        nn.init.zeros_(self.move.bias)

    def sampled(self, image: Tensor) -> Tensor:
        """Positions in the cloud of every structure's farthest-point samples [batch, classes * point_queries]."""
        batch, count = image.shape[0], image.shape[2]
        spread = image[:, None, :3].transpose(2, 3).expand(-1, self.classes, -1, -1)
        own = self.own_points(image).reshape(batch * self.classes, count)
        flat = spread.reshape(batch * self.classes, count, 3)
        return farthest_points(flat, self.point_queries, own).view(batch, -1)

    def encode(self, image: Tensor, input_present: Tensor) -> Tensor:
        """Codes [batch, classes * point_queries, 3 + latent_channels], structure after structure."""
        points, context = image[:, :3].transpose(1, 2), self.said(image)
        chosen = self.sampled(image)[:, :, None]
        places = points.gather(1, chosen.expand(-1, -1, 3))
        own = context.gather(1, chosen.expand(-1, -1, context.shape[2])) + self.embedding(places)
        codes = self.bottleneck.squeeze(self.encoder(context, neighbours_of(places, points, self.seen), own))
        return torch.cat([places, codes.to(places)], dim=2)

    def think(self, codes: Tensor, input_present: Tensor) -> Tensor:
        """Tokens [batch, classes * (point_queries + class_tokens), 3 + width]."""
        places, count = codes[:, :, :3], codes.shape[1]
        each = count // self.classes
        kinds = self.kinds.weight.t().repeat_interleave(each, dim=0)
        there = input_present.repeat_interleave(each, dim=1)
        sampled = (self.bottleneck.expand(codes[:, :, 3:]) + self.embedding(places) + kinds) * there[:, :, None]
        spots = self.spots.flatten(0, 1).expand(codes.shape[0], -1, -1)
        learned = self.learned(input_present).flatten(1, 2) + self.embedding(spots)
        tokens = torch.cat([sampled, learned.to(sampled)], dim=1)
        seen = torch.cat([there, torch.ones_like(learned[:, :, 0], dtype=torch.bool)], dim=1)[:, None]
        for block in self.trunk:
            tokens = block(tokens, seen)
        moved = spots + self.move(tokens[:, count:]).to(spots)
        places = torch.where(there[:, :, None], places, torch.full_like(places, self.elsewhere))
        return torch.cat([torch.cat([places, moved], dim=1), self.settled(tokens).to(places)], dim=2)

    def answer(self, tokens: Tensor, points: Tensor) -> Tensor:
        members, near = tokens[:, :, 3:], neighbours_of(points.transpose(1, 2), tokens[:, :, :3], self.heard)
        bent = self.unit * self.head(self.norm(self.decoder(members, near)))
        distances: Tensor = (self.planes(members, near) + bent).transpose(1, 2).float()
        return distances
