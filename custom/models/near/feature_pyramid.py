"""From a code to feature volumes of rising resolution, and from those to features at points."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def block(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    """Convolution, group norm over one case's volume, leaky ReLU: NeAR's building block."""
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, kernel_size, padding=kernel_size // 2),
        nn.GroupNorm(8, out_channels),
        nn.LeakyReLU(0.01),
    )


def doubling(in_channels: int, out_channels: int) -> nn.Sequential:
    """Twice the resolution, then two 3x3x3 blocks."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="trilinear", align_corners=True),
        block(in_channels, out_channels, 3),
        block(out_channels, out_channels, 3),
    )


class VectorPyramid(nn.Module):
    """NeAR's trunk as published: a vector becomes feature volumes of 4, 8, 16 and 32 samples a side (requirement A1.2).

    The two reshapes at the start move channels into space blockwise, as in the published network (Yang et al., "Neural
    Annotation Refinement", MICCAI 2022, arXiv 2206.15328).

    Args:
        latent_size: length of the code.
        channels: of the four volumes, coarse to fine. (64, 48, 32, 16) is the published trunk, 163 features with the
            coordinates; (128, 96, 64, 32) gives the 323 of A1.2.
    """

    def __init__(self, latent_size: int = 256, channels: Sequence[int] = (128, 96, 64, 32)) -> None:
        super().__init__()
        first = channels[0]
        self.code_shape = (latent_size,)
        self.channels = tuple(channels)
        self.spread_2 = block(latent_size, 8 * 2 * first, 1)
        self.spread_4 = block(2 * first, 8 * first, 1)
        self.start = block(first, first, 3)
        pairs = zip(self.channels[:-1], self.channels[1:], strict=True)
        self.rise = nn.ModuleList([doubling(low, high) for low, high in pairs])

    def forward(self, codes: Tensor) -> list[Tensor]:
        """The four volumes, coarse to fine, of codes [batch, latent_size]."""
        batch = codes.shape[0]
        volume = self.spread_2(codes.reshape(batch, -1, 1, 1, 1)).reshape(batch, -1, 2, 2, 2)
        volume = self.start(self.spread_4(volume).reshape(batch, -1, 4, 4, 4))
        volumes = [volume]
        for level in self.rise:
            volume = level(volume)
            volumes.append(volume)
        return volumes


class GridPyramid(nn.Module):
    """A small grid of codes, refined by light convolutions: follows thin vessels.

    Args:
        code_channels: channels of the code grid.
        code_side: samples a side of the code grid.
        channels: of the volumes; the first at ``code_side``, each further one at twice the resolution.
    """

    def __init__(self, code_channels: int = 16, code_side: int = 16, channels: Sequence[int] = (32, 16, 16)) -> None:
        super().__init__()
        self.code_shape = (code_channels, code_side, code_side, code_side)
        self.channels = tuple(channels)
        self.start = nn.Sequential(
            nn.Conv3d(code_channels, channels[0], 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.Conv3d(channels[0], channels[0], 1),
        )
        pairs = zip(self.channels[:-1], self.channels[1:], strict=True)
        self.rise = nn.ModuleList(
            [
                nn.Sequential(
                    nn.LeakyReLU(0.01),
                    nn.Upsample(scale_factor=2, mode="trilinear", align_corners=True),
                    nn.Conv3d(low, high, 3, padding=1),
                )
                for low, high in pairs
            ]
        )

        # On a CPU, convolutions of few channels are faster with the channels last.
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(self, codes: Tensor) -> list[Tensor]:
        """The volumes, coarse to fine, of codes [batch, code_channels, d, h, w]."""
        volume = self.start(codes)
        volumes = [volume]
        for level in self.rise:
            volume = level(volume)
            volumes.append(volume)
        return volumes


class LayeredPyramid(nn.Module):
    """Two pyramids side by side, the code one vector that is cut in two: what is thick, and what is thin.

    A few channels on a fine grid follow a vessel of two voxels, many on a coarse one tell where in the heart it runs.
    One grid for both would need both its side and its channels.

    Args:
        coarse: of the thick.
        fine: of the thin.
    """

    def __init__(self, coarse: VectorPyramid | GridPyramid, fine: GridPyramid) -> None:
        super().__init__()
        self.coarse, self.fine = coarse, fine
        self.parts = (prod(coarse.code_shape), prod(fine.code_shape))
        self.code_shape = (sum(self.parts),)
        self.channels = coarse.channels + fine.channels

    def forward(self, codes: Tensor) -> list[Tensor]:
        """The volumes of the coarse and then of the fine pyramid, of codes [batch, numbers of both]."""
        coarse, fine = codes.split(self.parts, dim=1)
        volumes: list[Tensor] = self.coarse(coarse.reshape((-1, *self.coarse.code_shape)))
        return volumes + self.fine(fine.reshape((-1, *self.fine.code_shape)))


def features_at(volumes: list[Tensor], points_unit: Tensor) -> Tensor:
    """The volumes' values at points, coarse to fine, one behind the other.

    Args:
        volumes: each [batch, channels, d, h, w] over the unit cube.
        points_unit: [batch, n, 3], (x, y, z).

    Returns:
        [batch, n, sum of channels].
    """
    grid = points_unit.float()[:, :, None, None, :]
    # Single precision whatever the volumes came in: half a mantissa would move a point by a tenth of a voxel.
    sampled = [
        F.grid_sample(volume.float(), grid, mode="bilinear", padding_mode="border", align_corners=True)
        for volume in volumes
    ]
    return torch.cat(sampled, dim=1)[:, :, :, 0, 0].transpose(1, 2)
