"""Inferers of a field for MONAI's engines: with codes in training, logits in validation, on a grid in inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from ..losses.latent_prior import code_prior
from ..models.near.evaluate_grid import evaluate
from ..models.near.near_field import NearField
from ..space import Frame


def unwrapped(network: nn.Module) -> NearField:
    """The field, out of its ``DistributedDataParallel`` wrapper if it has one."""
    field = network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network
    assert isinstance(field, NearField)
    return field


class PointInferer(Inferer):
    """Ask a field at points.

    Args:
        bf16: run the matrix products and convolutions in bfloat16; weights and losses stay in single precision.
        with_codes: return ``{"logits", "codes", "rows", "points"}`` for a loss that weighs the codes too, instead of
            the logits alone; ``rows`` are those of the codes and ``points`` the inputs, as the network was given them.
    """

    def __init__(self, bf16: bool = False, with_codes: bool = False) -> None:
        self.bf16 = bf16
        self.with_codes = with_codes

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bf16):
            logits = network(inputs, *args, **kwargs).float()
        if not self.with_codes:
            return logits
        assert isinstance(network, nn.Module)
        return {
            "logits": logits,
            "codes": unwrapped(network).codes(*args, **kwargs),
            "rows": kwargs["index"],
            "points": inputs,
        }


class PenalisedLoss(nn.Module):
    """The data term plus lambda ||z||^2 (requirement A1.3).

    Args:
        occupancy: loss on logits and occupancies.
        latent_weight: lambda.
    """

    def __init__(self, occupancy: nn.Module, latent_weight: float) -> None:
        super().__init__()
        self.occupancy = occupancy
        self.latent_weight = latent_weight

    def forward(self, answer: dict[str, Tensor], occupancy: Tensor) -> Tensor:
        data_term: Tensor = self.occupancy(answer["logits"], occupancy)
        return data_term + self.latent_weight * code_prior(answer["codes"])


class DenseInferer(Inferer):
    """Ask a field for every voxel of one case's box, or for a finer grid over it.

    Args:
        frames: of all cases, in code order.
        spacing_mm: of the output grid; ``None`` for the label map's own.
        stride: of the coarse pass, see :func:`custom.models.near.evaluate_grid.evaluate`; 1 asks everywhere.
        bf16: as in :class:`PointInferer`.
        chunk: points evaluated at once.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        spacing_mm: float | None = None,
        stride: int = 4,
        bf16: bool = False,
        chunk: int = 4096,
    ) -> None:
        self.frames = list(frames)
        self.spacing_mm = spacing_mm
        self.stride, self.bf16, self.chunk = stride, bf16, chunk

    @torch.no_grad()
    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        """Logits [1, 1, d, h, w] of the one case whose row is ``inputs`` [1]; no voxel for an absent structure."""
        assert isinstance(network, nn.Module)
        field, row = unwrapped(network), int(inputs[0])
        frame = self.frames[row]
        if frame.empty:
            return torch.zeros(1, 1, 0, 0, 0)
        axes = [torch.from_numpy(axis.copy()).float() for axis in frame.unit_axes_of(on_grid(frame, self.spacing_mm))]
        with torch.autocast(field.device.type, torch.bfloat16, enabled=self.bf16):
            return evaluate(field.asked(row), axes, self.stride, chunk=self.chunk)[None, None]


def on_grid(frame: Frame, spacing_mm: float | None) -> Frame:
    """The frame on the output grid: its own, or an isotropic one."""
    return frame if spacing_mm is None else frame.regridded(spacing_mm)
