"""Attention and feed-forward layers of the flow. A stream is a group of tokens with weights of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Streams = dict[str, Tensor]
"""Tokens [b, n, width] of each stream."""


class HeadGain(nn.Module):
    """Every head's vector at length sqrt(its width), times a learned gain for each of its entries."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(heads, width))

    def forward(self, vectors: Float[Tensor, "b n h d"]) -> Float[Tensor, "b n h d"]:
        unit = F.normalize(vectors.float(), dim=-1) * vectors.shape[-1] ** 0.5
        return (unit * self.gamma).to(vectors.dtype)


def attend(
    queries: Float[Tensor, "b n h d"], keys: Float[Tensor, "b m h d"], values: Float[Tensor, "b m h d"]
) -> Float[Tensor, "b n w"]:
    """What queries find, heads side by side."""
    parts = (queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2))
    return F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)


class StreamAttention(nn.Module):
    """Self-attention of several streams: the first sees itself only, each further one itself and the first.

    What a further stream sees of the first is cut from the gradient, so the first is as if it were alone.
    """

    def __init__(self, streams: Sequence[str], width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.ModuleDict({name: nn.Linear(width, 3 * width) for name in streams})
        self.q_rms_norm = nn.ModuleDict({name: HeadGain(heads, width // heads) for name in streams})
        self.k_rms_norm = nn.ModuleDict({name: HeadGain(heads, width // heads) for name in streams})
        self.to_out = nn.ModuleDict({name: nn.Linear(width, width) for name in streams})

    def forward(self, tokens: Streams) -> Streams:
        found: Streams = {}
        first: tuple[Tensor, Tensor] | None = None
        for name, own in tokens.items():
            queries, keys, values = self.to_qkv[name](own).unflatten(2, (3, self.heads, -1)).unbind(2)
            queries, keys = self.q_rms_norm[name](queries), self.k_rms_norm[name](keys)
            if first is None:
                first = keys, values
            else:
                keys = torch.cat([keys, first[0].detach()], dim=1)
                values = torch.cat([values, first[1].detach()], dim=1)
            found[name] = self.to_out[name](attend(queries, keys, values))
        return found


class ContextAttention(nn.Module):
    """Tokens ask what the flow is told."""

    def __init__(self, width: int, context_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width)
        self.to_kv = nn.Linear(context_width, 2 * width)
        self.to_out = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "b n w"], context: Float[Tensor, "b m v"]) -> Float[Tensor, "b n w"]:
        queries = self.to_q(tokens).unflatten(2, (self.heads, -1))
        keys, values = self.to_kv(context).unflatten(2, (2, self.heads, -1)).unbind(2)
        answer: Tensor = self.to_out(attend(queries, keys, values))
        return answer


class FeedForward(nn.Module):
    """Two linear layers around a GELU."""

    def __init__(self, width: int, ratio: float) -> None:
        super().__init__()
        inner = int(width * ratio)
        self.mlp = nn.Sequential(nn.Linear(width, inner), nn.GELU(approximate="tanh"), nn.Linear(inner, width))

    def forward(self, tokens: Float[Tensor, "b n w"]) -> Float[Tensor, "b n w"]:
        answer: Tensor = self.mlp(tokens)
        return answer
