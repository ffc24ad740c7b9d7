"""Occupancy on a grid to a coarse grid of codes and back (requirement C2).

The layout, names and shapes of parameters, is that of the sparse-structure autoencoder of TRELLIS (Xiang et al., CVPR
2025), which SAM 3D Objects (2025) kept: published weights load into :data:`~custom.models.sam3d.network_sizes.FULL`'s
sizes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...errors import InputError
from .convolution_blocks import ChannelNorm, Double, Halve, ResidualBlock

_FIRST_LOG_VARIANCE = -6.0
_FIRST_LOGIT = -3.0
"""Most of a cube is empty."""


def _residuals(channels: int, count: int) -> list[nn.Module]:
    return [ResidualBlock(channels) for _ in range(count)]


def _begin(module: nn.Module) -> None:
    """Weights that pass on as much as they take in (Glorot and Bengio, 2010), no bias; what starts at 0 stays there.

    With smaller ones a shape's codes drown in the decoder's biases, and it learns to answer nothing for a long time.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv3d) and not name.endswith(ResidualBlock.LAST):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class StructureEncoder(nn.Module):
    """A volume in, mean and log variance of its codes out; every level after the first halves the grid.

    Args:
        channels: of each level, finest first.
        code_channels: of a code.
        in_channels: of the volume; 1 is occupancy.
        blocks: residual blocks of a level.
        middle: residual blocks of the coarsest grid.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 128, 512),
        code_channels: int = 8,
        in_channels: int = 1,
        blocks: int = 2,
        middle: int = 2,
    ) -> None:
        super().__init__()
        self.factor = 2 ** (len(channels) - 1)
        self.input_layer = nn.Conv3d(in_channels, channels[0], 3, padding=1)
        layers: list[nn.Module] = []
        for level, width in enumerate(channels):
            layers += _residuals(width, blocks)
            layers += [Halve(width, channels[level + 1])] if level + 1 < len(channels) else []
        self.blocks = nn.ModuleList(layers)
        self.middle_block = nn.Sequential(*_residuals(channels[-1], middle))
        last = nn.Conv3d(channels[-1], 2 * code_channels, 3, padding=1)
        self.out_layer = nn.Sequential(ChannelNorm(channels[-1]), nn.SiLU(), last)
        _begin(self)
        # Codes as noisy as unit noise teach the decoder nothing at first.
        nn.init.constant_(last.bias[code_channels:], _FIRST_LOG_VARIANCE)  # type: ignore[index]

    def forward(
        self, volume: Float[Tensor, "b 1 i j k"]
    ) -> tuple[Float[Tensor, "b c i2 j2 k2"], Float[Tensor, "b c i2 j2 k2"]]:
        """Mean and log variance.

        Raises:
            InputError: an edge that the levels do not divide.
        """
        if any(edge % self.factor for edge in volume.shape[2:]):
            found, wanted = f"a volume of {tuple(volume.shape[2:])} voxels", f"edges that {self.factor} divides"
            raise InputError("StructureEncoder", found, wanted, "Resample the volume, or take fewer levels.")
        hidden = self.input_layer(volume)
        for block in self.blocks:
            hidden = block(hidden)
        mean, log_variance = self.out_layer(self.middle_block(hidden)).chunk(2, dim=1)
        return mean, log_variance


class StructureDecoder(nn.Module):
    """Codes in, logits of occupancy out, positive inside; every level after the first doubles the grid.

    Args:
        channels: of each level, coarsest first.
        code_channels: of a code.
        out_channels: of the volume.
        blocks: residual blocks of a level.
        middle: residual blocks of the coarsest grid.
    """

    def __init__(
        self,
        channels: Sequence[int] = (512, 128, 32),
        code_channels: int = 8,
        out_channels: int = 1,
        blocks: int = 2,
        middle: int = 2,
    ) -> None:
        super().__init__()
        self.input_layer = nn.Conv3d(code_channels, channels[0], 3, padding=1)
        self.middle_block = nn.Sequential(*_residuals(channels[0], middle))
        layers: list[nn.Module] = []
        for level, width in enumerate(channels):
            layers += _residuals(width, blocks)
            layers += [Double(width, channels[level + 1])] if level + 1 < len(channels) else []
        self.blocks = nn.ModuleList(layers)
        last = nn.Conv3d(channels[-1], out_channels, 3, padding=1)
        self.out_layer = nn.Sequential(ChannelNorm(channels[-1]), nn.SiLU(), last)
        _begin(self)
        nn.init.constant_(last.bias, _FIRST_LOGIT)  # type: ignore[arg-type]

    def forward(self, codes: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b 1 i2 j2 k2"]:
        hidden = self.middle_block(self.input_layer(codes))
        for block in self.blocks:
            hidden = block(hidden)
        logits: Tensor = self.out_layer(hidden)
        return logits


class OccupancyCodec(nn.Module):
    """Encoder and decoder, to be trained together."""

    def __init__(self, encoder: StructureEncoder, decoder: StructureDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(
        self, occupancy: Float[Tensor, "b 1 i j k"]
    ) -> tuple[
        Float[Tensor, "b 1 i j k"],
        Float[Tensor, "b c i2 j2 k2"],
        Float[Tensor, "b c i2 j2 k2"],
    ]:
        """Logits, and the mean and log variance of the codes; while training the codes are drawn, else the mean."""
        mean, log_variance = self.encoder(occupancy)
        codes = mean + torch.randn_like(mean) * (0.5 * log_variance).exp() if self.training else mean
        return self.decoder(codes), mean, log_variance


def as_tokens(codes: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b n c"]:
    """Codes as a row of tokens, the last axis running fastest."""
    return codes.flatten(2).transpose(1, 2)


def as_grid(tokens: Float[Tensor, "b n c"], grid: int) -> Float[Tensor, "b c grid grid grid"]:
    """The inverse of :func:`as_tokens` for a cube."""
    return tokens.transpose(1, 2).unflatten(2, (grid, grid, grid))
