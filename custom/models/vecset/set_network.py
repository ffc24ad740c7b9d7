"""A heart's surfaces in, the signed distances of all its structures at any point out (requirements B2-B4).

Known: Zhang et al., "3DShape2VecSet" (SIGGRAPH 2023): a set of tokens as the code of a shape. Here the tokens are those
of the whole heart, one signed distance comes out for each structure, and a structure that is not shown to the encoder
has tokens of its own that say so.
"""

from __future__ import annotations

from typing import Optional  # noqa: UP035  (TorchScript reads these annotations)

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .attention_layers import CrossBlock, NormalizedBottleneck, PointEmbedding, SelfBlock
from .farthest_points import farthest_points


class SetNetwork(nn.Module):
    """Encoder, bottleneck, trunk and decoder over one set of tokens for the whole heart.

    The encoder's queries are ``point_queries`` farthest-point samples of the surfaces shown and ``class_tokens``
    learned tokens for each structure, which know whether it is shown. A cloud in another order is the same cloud.

    Args:
        classes: how many structures.
        width: of a token.
        heads: of every attention, a divisor of ``width``.
        depth: self-attention blocks behind the bottleneck.
        point_queries: tokens that start from points of the surface.
        class_tokens: tokens of each structure, at least 1.
        latent_channels: numbers kept of a token between encoder and decoder.
        octaves: of the embedding of points.
        normals: whether three more channels tell of each point the unit normal out of its structure.
        decoder_feedforward: whether the decoder thinks over what it has found.
        decoder_residual: whether the place asked at is added to what it has found there. With it the mean heart is
            learned within a few steps; without, as published, all has to come from the tokens.
    """

    def __init__(
        self,
        classes: int = 10,
        width: int = 256,
        heads: int = 4,
        depth: int = 6,
        point_queries: int = 96,
        class_tokens: int = 4,
        latent_channels: int = 16,
        octaves: int = 8,
        decoder_feedforward: bool = True,
        decoder_residual: bool = True,
        normals: bool = False,
    ) -> None:
        super().__init__()
        self.classes, self.point_queries, self.class_tokens = classes, point_queries, class_tokens
        self.embedding = PointEmbedding(width, octaves)
        self.kinds = nn.Linear(classes, width, bias=False)
        self.normals = normals
        self.directions = nn.Linear(3, width, bias=False) if normals else nn.Identity()
        self.tokens = nn.Parameter(0.02 * torch.randn(classes, class_tokens, width))
        self.states = nn.Parameter(0.02 * torch.randn(2, classes, width))
        self.encoder = CrossBlock(width, heads)
        self.bottleneck = NormalizedBottleneck(width, latent_channels)
        self.trunk = nn.ModuleList([SelfBlock(width, heads) for _ in range(depth)])
        self.decoder = CrossBlock(width, heads, decoder_feedforward, decoder_residual)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, self.outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @property
    def outputs(self) -> int:
        """Signed distances that one query of the decoder gives."""
        return self.classes

    def shown(self, image: Tensor) -> Tensor:
        """Which structures have a point in the cloud [batch, classes], bool."""
        return self.own_points(image).any(dim=2)

    def own_points(self, image: Tensor) -> Tensor:
        """Which points lie on each structure [batch, classes, n], bool."""
        return image[:, 3 : 3 + self.classes] > 0.5

    def said(self, image: Tensor) -> Tensor:
        """What points say but where they are [batch, n, width]: their structure, and their normal if they tell it."""
        cloud = image.transpose(1, 2)
        told: Tensor = self.kinds(cloud[:, :, 3 : 3 + self.classes])
        if self.normals:
            told = told + self.directions(cloud[:, :, 3 + self.classes :])
        return told

    def learned(self, input_present: Tensor) -> Tensor:
        """The structures' own tokens [batch, classes, class_tokens, width], by whether each is shown."""
        state = torch.where(input_present[:, :, None], self.states[1], self.states[0])
        return self.tokens + state[:, :, None]

    def encode(self, image: Tensor, input_present: Tensor) -> Tensor:
        """Codes [batch, tokens, latent_channels] of clouds as :meth:`forward` takes them."""
        points = image[:, :3].transpose(1, 2)
        context = self.embedding(points) + self.said(image)
        every = torch.ones(points.shape[0], points.shape[1], dtype=torch.bool, device=points.device)
        chosen = farthest_points(points, self.point_queries, every)
        queries = context.gather(1, chosen[:, :, None].expand(-1, -1, context.shape[2]))
        own = self.learned(input_present).flatten(1, 2)
        codes: Tensor = self.bottleneck.squeeze(self.encoder(torch.cat([queries, own.to(queries)], dim=1), context))
        return codes

    def think(self, codes: Tensor, input_present: Tensor) -> Tensor:
        """Tokens [batch, tokens, width] for the decoder."""
        tokens = self.bottleneck.expand(codes)
        own = self.learned(input_present).flatten(1, 2)
        tokens = torch.cat([tokens[:, : self.point_queries], tokens[:, self.point_queries :] + own], dim=1)
        for block in self.trunk:
            tokens = block(tokens)
        return tokens

    def answer(self, tokens: Tensor, points: Tensor) -> Tensor:
        """Signed distances [batch, classes, q] at points [batch, 3, q], in units of the frame, negative inside."""
        found = self.decoder(self.embedding(points.transpose(1, 2)), tokens)
        distances: Tensor = self.head(self.norm(found)).transpose(1, 2).float()
        return distances

    def answer_with_slopes(self, tokens: Tensor, points: Tensor, channels: Tensor) -> Tensor:
        """Signed distances, and in one more row [batch, classes + 1, q] the length of their gradient.

        The gradient can itself be differentiated: down to the encoder, because only the decoder's attention lies
        between the points and the distances, and there the plain kernel is used. The fused ones have no second
        derivative; elsewhere they stay.

        Args:
            tokens: of :meth:`think`.
            points: [batch, 3, q].
            channels: of which structure the gradient is taken [batch, k], at the first k points; of the other points
                the row holds 1.
        """
        count = channels.shape[1]
        asked = points[:, :, :count].detach().requires_grad_()
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            distances = self.answer(tokens, asked)
            picked = distances.gather(1, channels[:, None]).sum()
            (gradient,) = torch.autograd.grad(picked, asked, create_graph=True)
        slopes = (gradient.square().sum(dim=1, keepdim=True) + 1e-12).sqrt()
        others = self.answer(tokens, points[:, :, count:])
        unknown = torch.ones_like(others[:, :1])
        return torch.cat([torch.cat([distances, slopes], dim=1), torch.cat([others, unknown], dim=1)], dim=2)

    def forward(
        self,
        image: Tensor,
        points: Optional[Tensor] = None,  # noqa: UP045
        input_present: Optional[Tensor] = None,  # noqa: UP045
        channels: Optional[Tensor] = None,  # noqa: UP045
    ) -> Tensor:
        """Signed distances [batch, classes, q] of all structures; negative inside.

        Args:
            image: clouds [batch, 3 + classes, n], x, y, z in the frame and one-hot structure; with ``normals`` 3 more.
            points: where to ask [batch, 3, q]; the cloud's own points if left out.
            input_present: which structures are shown [batch, classes], bool; those with a point if left out.
            channels: see :meth:`answer_with_slopes`; with it one more row holds slopes.
        """
        present = self.shown(image) if input_present is None else input_present
        tokens = self.think(self.encode(image, present), present)
        asked = image[:, :3] if points is None else points
        if not torch.jit.is_scripting():  # noqa: SIM102  (TorchScript passes over this if alone)
            if channels is not None:
                return self.answer_with_slopes(tokens, asked, channels)
        return self.answer(tokens, asked)
