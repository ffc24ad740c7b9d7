"""Embedding, attention, feed-forward and bottleneck: the layers of a network over sets."""

from __future__ import annotations

import math
from typing import Optional  # noqa: UP035  (TorchScript reads these annotations)

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PointEmbedding(nn.Module):
    """Points [..., 3] as vectors [..., width]: sines and cosines of 2^k pi x, and x itself, through one linear layer.

    Args:
        width: of the vectors.
        octaves: how many frequencies for each axis; 8 resolve 1/128 of the frame.
    """

    def __init__(self, width: int, octaves: int = 8) -> None:
        super().__init__()
        self.octaves = octaves
        self.linear = nn.Linear(6 * octaves + 3, width)

    def forward(self, points: Tensor) -> Tensor:
        frequencies = math.pi * torch.exp2(torch.arange(self.octaves, device=points.device, dtype=points.dtype))
        phases = (points[..., None] * frequencies).flatten(-2)
        embedded: Tensor = self.linear(torch.cat([phases.sin(), phases.cos(), points], dim=-1))
        return embedded


class Attention(nn.Module):
    """Multi-head attention by whichever kernel torch has for it; ``sdpa_kernel`` around a call chooses another.

    Args:
        width: of queries, context and answers.
        heads: a divisor of it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_query = nn.Linear(width, width, bias=False)
        self.to_context = nn.Linear(width, 2 * width, bias=False)
        self.to_answer = nn.Linear(width, width)

    def forward(self, queries: Tensor, context: Tensor, mask: Optional[Tensor] = None) -> Tensor:  # noqa: UP045
        """[batch, n, width] from queries [batch, n, width] and context [batch, m, width]; where ``mask`` [batch, n, m]
        is false, a query does not see."""
        batch, count, width = queries.shape
        asked = self.to_query(queries).view(batch, count, self.heads, width // self.heads).transpose(1, 2)
        both = self.to_context(context).view(batch, context.shape[1], 2, self.heads, width // self.heads)
        both = both.permute(2, 0, 3, 1, 4)
        seen = mask[:, None] if mask is not None else None
        found = F.scaled_dot_product_attention(asked, both[0], both[1], attn_mask=seen)
        answer: Tensor = self.to_answer(found.transpose(1, 2).reshape(batch, count, width))
        return answer


class FeedForward(nn.Module):
    """Two linear layers around a gated GELU (GEGLU), four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, 8 * width), nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        value, gate = self.inner(tokens).chunk(2, dim=-1)
        answer: Tensor = self.outer(value * F.gelu(gate))
        return answer


class SelfBlock(nn.Module):
    """Tokens attend to each other, then each is thought over; both added to what was there (pre-norm)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm_forward, self.forward_layer = nn.LayerNorm(width), FeedForward(width)

    def forward(self, tokens: Tensor, mask: Optional[Tensor] = None) -> Tensor:  # noqa: UP045
        """[batch, n, width]; none sees a token where ``mask`` [batch, 1, n] is false."""
        normed = self.norm(tokens)
        tokens = tokens + self.attention(normed, normed, mask)
        answer: Tensor = tokens + self.forward_layer(self.norm_forward(tokens))
        return answer


class CrossBlock(nn.Module):
    """Queries attend to a context.

    Args:
        width: of both.
        heads: of the attention.
        feedforward: whether a feed-forward layer follows.
        residual: whether what they find is added to them. Without, all that comes out was found in the context.
    """

    def __init__(self, width: int, heads: int, feedforward: bool = True, residual: bool = True) -> None:
        super().__init__()
        self.residual = residual
        self.norm, self.norm_context = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        layers = [nn.LayerNorm(width), FeedForward(width)] if feedforward else []
        self.forward_layer, self.feedforward = nn.Sequential(*layers), feedforward

    def forward(self, queries: Tensor, context: Tensor, mask: Optional[Tensor] = None) -> Tensor:  # noqa: UP045
        found = self.attention(self.norm(queries), self.norm_context(context), mask)
        queries = queries + found if self.residual else found
        if self.feedforward:
            queries = queries + self.forward_layer(queries)
        return queries


class NormalizedBottleneck(nn.Module):
    """Few channels per token, of mean 0 and variance 1 (Zhang et al., "LaGeM", 2024): no scale to regularise.

    Args:
        width: of the tokens.
        channels: of the code of each.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.narrow, self.widen = nn.Linear(width, channels), nn.Linear(channels, width)
        self.norm = nn.LayerNorm(channels, eps=1e-6, elementwise_affine=False)
        self.scale, self.shift = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def squeeze(self, tokens: Tensor) -> Tensor:
        """Codes [..., channels] of tokens [..., width]."""
        codes: Tensor = self.norm(self.narrow(tokens))
        return codes

    def expand(self, codes: Tensor) -> Tensor:
        """Tokens [..., width] of codes [..., channels]."""
        tokens: Tensor = self.widen(codes * self.scale + self.shift)
        return tokens
