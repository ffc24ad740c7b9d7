"""Convolutional parts of the codec of occupancy."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of every voxel: an answer does not depend on the rest of the volume."""

    def forward(self, volume: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b c i j k"]:
        return super().forward(volume.movedim(1, -1)).movedim(-1, 1).contiguous()


class ResidualBlock(nn.Module):
    """Norm, SiLU, convolution, twice, added to what was there; the last convolution starts at 0."""

    LAST = "conv2"
    """Name of the convolution that starts at 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        if self.conv2.bias is not None:
            nn.init.zeros_(self.conv2.bias)

    def forward(self, volume: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b c i j k"]:
        hidden = self.conv1(F.silu(self.norm1(volume)))
        answer: Tensor = volume + self.conv2(F.silu(self.norm2(hidden)))
        return answer


class Halve(nn.Module):
    """A grid of half the edge: one convolution of 2^3 voxels without overlap."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, out, 2, stride=2)

    def forward(self, volume: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b o i2 j2 k2"]:
        answer: Tensor = self.conv(volume)
        return answer


class Double(nn.Module):
    """A grid of twice the edge: a convolution gives 8 voxels' channels at once, which are then laid out (3-D pixel
    shuffle)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, 8 * out, 3, padding=1)

    def forward(self, volume: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b o i2 j2 k2"]:
        return laid_out(self.conv(volume))


def laid_out(volume: Float[Tensor, "b c8 i j k"]) -> Float[Tensor, "b c i2 j2 k2"]:
    """Eight channels of a voxel as the 2^3 voxels in it; channel 8 c + 4 x + 2 y + z goes to the corner (x, y, z)."""
    batch, channels, i, j, k = volume.shape
    corners = volume.reshape(batch, channels // 8, 2, 2, 2, i, j, k).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return corners.reshape(batch, channels // 8, 2 * i, 2 * j, 2 * k)
