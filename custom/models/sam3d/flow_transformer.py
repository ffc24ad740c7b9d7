"""The flow that draws a shape's codes from noise, told what was seen (requirement C2).

The layout is that of the sparse-structure flow of TRELLIS (Xiang et al., CVPR 2025) with an embedding of the step size
(Frans et al., "One step diffusion via shortcut models", ICLR 2025), as SAM 3D Objects (2025) names it. The shape's
stream sees only itself and what the flow is told: the pose's stream can be left out, and the shape is the same.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ...errors import InputError
from .attention_blocks import ContextAttention, FeedForward, StreamAttention, Streams
from .position_embedding import NumberEmbedder, grid_positions

SHAPE = "shape"
POSE = {"6drotation_normalized": 6, "translation": 3, "scale": 3, "translation_scale": 1}
"""The pose's codes and their channels; one token each, in one stream that bears the first one's name."""
POSE_STREAM = next(iter(POSE))
TIME_UNIT = 1000.0
"""The embedders are given times and step sizes of 0 to 1 times this."""


class CodeMapping(nn.Module):
    """Codes to tokens and back; a token knows its place.

    Args:
        channels: of a code.
        width: of a token.
        positions: [n, width] of the tokens.
        learned: whether the positions are trained.
    """

    def __init__(self, channels: int, width: int, positions: Float[Tensor, "n w"], learned: bool) -> None:
        super().__init__()
        self.input_layer, self.out_layer = nn.Linear(channels, width), nn.Linear(width, channels)
        self.pos_emb: Tensor
        if learned:
            self.pos_emb = nn.Parameter(positions)
        else:
            self.register_buffer("pos_emb", positions)
        nn.init.zeros_(self.out_layer.weight)
        nn.init.zeros_(self.out_layer.bias)

    def enter(self, codes: Float[Tensor, "b n c"]) -> Float[Tensor, "b n w"]:
        tokens: Tensor = self.input_layer(codes) + self.pos_emb.to(codes.dtype)
        return tokens

    def leave(self, tokens: Float[Tensor, "b n w"]) -> Float[Tensor, "b n c"]:
        codes: Tensor = self.out_layer(F.layer_norm(tokens, tokens.shape[-1:]))
        return codes


class FlowBlock(nn.Module):
    """Self-attention, attention to what the flow is told, feed-forward; the time shifts, scales and gates the first and
    the last, and does so alike for all streams."""

    def __init__(self, streams: list[str], width: int, context_width: int, heads: int, ratio: float) -> None:
        super().__init__()
        self.norm2 = nn.ModuleDict({name: nn.LayerNorm(width, eps=1e-6) for name in streams})
        self.self_attn = StreamAttention(streams, width, heads)
        self.cross_attn = nn.ModuleDict({name: ContextAttention(width, context_width, heads) for name in streams})
        self.mlp = nn.ModuleDict({name: FeedForward(width, ratio) for name in streams})
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        for parameter in self.adaLN_modulation.parameters():
            nn.init.zeros_(parameter)

    def forward(self, tokens: Streams, moment: Float[Tensor, "b w"], context: Float[Tensor, "b m v"]) -> Streams:
        parts = self.adaLN_modulation(moment)[:, None].chunk(6, dim=-1)
        shift, scale, gate, shift_forward, scale_forward, gate_forward = parts
        found = self.self_attn({name: _normed(own) * (1 + scale) + shift for name, own in tokens.items()})
        out: Streams = {}
        for name, own in tokens.items():
            own = own + gate * found[name]
            own = own + self.cross_attn[name](self.norm2[name](own), context)
            thought = self.mlp[name](_normed(own) * (1 + scale_forward) + shift_forward)
            out[name] = own + gate_forward * thought
        return out


def _normed(tokens: Tensor) -> Tensor:
    return F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)


class SparseFlow(nn.Module):
    """The velocity of a shape's codes at a moment between noise (time 0) and shape (time 1).

    Before training the velocity is 0 everywhere.

    Args:
        grid: edge of the cube of codes.
        code_channels: of a code.
        width: of a token, a multiple of ``heads``.
        context_width: of a token of what the flow is told.
        depth: blocks.
        heads: of every attention.
        mlp_ratio: how much wider the feed-forward layers are inside.
        pose: whether the pose's stream is there too; the shape does not depend on it.

    Raises:
        InputError: heads that do not divide the width.
    """

    def __init__(
        self,
        grid: int = 16,
        code_channels: int = 8,
        width: int = 1024,
        context_width: int = 1024,
        depth: int = 24,
        heads: int = 16,
        mlp_ratio: float = 4.0,
        pose: bool = False,
    ) -> None:
        super().__init__()
        if width % heads:
            found, wanted = f"{heads} heads for a width of {width}", "a width that they divide"
            raise InputError("SparseFlow", found, wanted, "Change one of the two.")
        self.grid, self.code_channels, self.context_width = grid, code_channels, context_width
        streams = [SHAPE, POSE_STREAM] if pose else [SHAPE]
        self.t_embedder, self.d_embedder = NumberEmbedder(width), NumberEmbedder(width)
        self.latent_mapping = nn.ModuleDict()
        for name, channels in (POSE if pose else {}).items():
            self.latent_mapping[name] = CodeMapping(channels, width, 0.02 * torch.randn(1, width), learned=True)
        self.latent_mapping[SHAPE] = CodeMapping(code_channels, width, grid_positions(grid, width), learned=False)
        self.blocks = nn.ModuleList([FlowBlock(streams, width, context_width, heads, mlp_ratio) for _ in range(depth)])

    def moment(self, time: Float[Tensor, " b"], step_size: Float[Tensor, " b"] | None = None) -> Float[Tensor, "b w"]:
        """Time and step size as one vector. A step size left out is 0, which is a vector of its own, not none."""
        size = torch.zeros_like(time) if step_size is None else step_size
        vector: Tensor = self.t_embedder(TIME_UNIT * time) + self.d_embedder(TIME_UNIT * size)
        return vector

    def forward(
        self,
        codes: Float[Tensor, "b n c"],
        time: Float[Tensor, " b"],
        context: Float[Tensor, "b m v"],
        step_size: Float[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b n c"]:
        """The velocity of the shape's codes.

        Args:
            codes: of the shape, on the way from noise; see :func:`~custom.models.sam3d.occupancy_vae.as_tokens`.
            time: 0 (noise) to 1 (shape).
            context: what the flow is told; all 0 is nothing.
            step_size: how far the next step goes, 0 to 1, for a distilled flow; 0 is the velocity at the moment.
        """
        return self.velocities({SHAPE: codes}, time, context, step_size)[SHAPE]

    def _mapping(self, name: str) -> CodeMapping:
        return cast(CodeMapping, self.latent_mapping[name])

    def velocities(
        self,
        codes: Streams,
        time: Float[Tensor, " b"],
        context: Float[Tensor, "b m v"],
        step_size: Float[Tensor, " b"] | None = None,
    ) -> Streams:
        """The velocities of the shape's codes and, if they are given too, of all of the pose's [b, 1, channels]."""
        tokens = {SHAPE: self._mapping(SHAPE).enter(codes[SHAPE])}
        told = [name for name in POSE if name in codes]
        if told:
            tokens[POSE_STREAM] = torch.cat([self._mapping(name).enter(codes[name]) for name in told], dim=1)
        moment = self.moment(time, step_size)
        for block in self.blocks:
            tokens = block(tokens, moment, context)
        out = {SHAPE: self._mapping(SHAPE).leave(tokens[SHAPE])}
        for place, name in enumerate(told):
            out[name] = self._mapping(name).leave(tokens[POSE_STREAM][:, place : place + 1])
        return out
