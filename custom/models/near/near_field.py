"""The field of one structure, F_c(z, p) (requirement A1.2), or of several at once, F(z, p) (requirement A3.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .feature_pyramid import GridPyramid, LayeredPyramid, VectorPyramid, features_at
from .latent_codes import LatentCodes
from .memory_mapped_table import TableStorage
from .point_mlp import SkipMLP


class NearField(nn.Module):
    """Codes, a pyramid and a point MLP: a function of the code and the point, and of nothing else.

    Args:
        cases: number of codes.
        trunk_channels: channels of the feature volumes, coarse to fine.
        latent_size: length of a vector code, or channels of a grid code.
        code_side: 0 for one vector per case; else the samples a side of a grid of codes.
        widths: of the point MLP.
        prior: occupancy the network starts from.
        outputs: logits of a point: one for each structure.
        fine_code_side: above 0 the code has a second part, a grid of so many samples a side, for what is thin.
        fine_latent_size: channels of that grid.
        fine_trunk_channels: of its feature volumes, as ``trunk_channels``.
        place: where a large table of codes lies, see :class:`custom.models.near.latent_codes.LatentCodes`; ``None``: in
            memory.
    """

    def __init__(
        self,
        cases: int,
        trunk_channels: Sequence[int] = (128, 96, 64, 32),
        latent_size: int = 256,
        code_side: int = 0,
        widths: Sequence[int] = (256, 256, 128, 64),
        prior: float = 0.1,
        outputs: int = 1,
        fine_code_side: int = 0,
        fine_latent_size: int = 1,
        fine_trunk_channels: Sequence[int] = (8,),
        place: TableStorage | None = None,
    ) -> None:
        super().__init__()
        self.pyramid: VectorPyramid | GridPyramid | LayeredPyramid
        if code_side:
            self.pyramid = GridPyramid(latent_size, code_side, trunk_channels)
        else:
            self.pyramid = VectorPyramid(latent_size, trunk_channels)
        if fine_code_side:
            fine = GridPyramid(fine_latent_size, fine_code_side, fine_trunk_channels)
            self.pyramid = LayeredPyramid(self.pyramid, fine)
        self.codes = LatentCodes(cases, self.pyramid.code_shape, place=place)
        self.outputs = outputs
        self.in_channels = 3 + sum(self.pyramid.channels)
        self.head = SkipMLP(self.in_channels, outputs, widths, prior)

    @property
    def device(self) -> torch.device:
        """Where the network is; a table of codes in a file is on the host."""
        return self.head.output.weight.device

    @torch.jit.unused
    def asked(self, row: int) -> Callable[[Tensor], Tensor]:
        """The field of one code: its first logit [n] at points [n, 3] of the unit cube."""
        answer = self.asked_all(row)
        return lambda points_unit: answer(points_unit)[:, 0]

    @torch.jit.unused
    def asked_all(self, row: int) -> Callable[[Tensor], Tensor]:
        """The field of one code: logits [n, outputs] at points [n, 3] of the unit cube; volumes are computed once."""
        volumes = self.pyramid(self.codes(torch.tensor([row], device=self.device)))
        return lambda points_unit: self.answer(volumes, points_unit[None].to(self.device))[0]

    def answer(self, volumes: list[Tensor], points_unit: Tensor) -> Tensor:
        """Logits [batch, n, outputs] at points [batch, n, 3] of the unit cube, given a code's feature volumes."""
        features = features_at(volumes, points_unit)
        return self.head(torch.cat([points_unit.to(features.dtype), features], dim=-1))

    def forward(self, image: Tensor, index: Tensor | None = None) -> Tensor:
        """Logits [batch, outputs, n] at points [batch, 3, n]; ``index`` [batch] names the codes (default: the first).

        The name ``image`` and the channel-first form are what MONAI's bundle tools expect of a network.
        """
        if index is None:
            index = torch.zeros(image.shape[0], dtype=torch.long, device=image.device)
        volumes = self.pyramid(self.codes(index))
        return self.answer(volumes, image.transpose(1, 2)).transpose(1, 2)
