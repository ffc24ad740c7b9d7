"""Numbers as vectors: the time and step size of a flow, and places on a grid."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

FREQUENCIES = 256
"""Cosines and sines that one number is turned into."""


class NumberEmbedder(nn.Module):
    """One number a case as a vector: 128 cosines and 128 sines of frequencies 1 down to 1/10,000, then two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, numbers: Float[Tensor, " b"]) -> Float[Tensor, "b w"]:
        half = FREQUENCIES // 2
        exponents = torch.arange(half, device=numbers.device, dtype=torch.float32) / half
        phases = numbers.float()[:, None] * torch.exp(-math.log(10_000.0) * exponents)
        waves = torch.cat([phases.cos(), phases.sin()], dim=1)
        vector: Tensor = self.mlp(waves.to(next(self.mlp.parameters()).dtype))
        return vector


def grid_positions(edge: int, width: int, axes: int = 3) -> Float[Tensor, "n w"]:
    """Sines and cosines of the place of every cell of a grid of ``axes`` axes, the last axis running fastest.

    Each axis has ``width // axes // 2`` frequencies; channels left over are 0.
    """
    count = width // axes // 2
    frequencies = 10_000.0 ** (-torch.arange(count, dtype=torch.float32) / max(count, 1))
    steps = torch.arange(edge, dtype=torch.float32)
    places = torch.stack(torch.meshgrid(*[steps] * axes, indexing="ij"), dim=-1).reshape(-1, axes)
    phases = places[:, :, None] * frequencies
    waves = torch.cat([phases.sin(), phases.cos()], dim=-1).flatten(1)
    return torch.cat([waves, waves.new_zeros(waves.shape[0], width - waves.shape[1])], dim=1)
