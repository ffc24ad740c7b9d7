"""How MONAI's engines ask a field: with its codes in training, for logits in validation, on a grid in inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from ..fields.dense import evaluate, unit_axes
from ..fields.near import NearField
from ..objectives.prior import code_prior


def bare(network: nn.Module) -> NearField:
    """The field, out of its ``DistributedDataParallel`` wrapper if it has one."""
    field = network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network
    assert isinstance(field, NearField)
    return field


class PointInferer(Inferer):
    """Ask a field at points.

    Args:
        bf16: run the matrix products and convolutions in bfloat16; weights and losses stay in single precision.
        with_codes: answer ``{"logits", "codes"}`` for a loss that weighs the codes too, instead of the logits alone.
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
        return {"logits": logits, "codes": bare(network).codes(*args, **kwargs)}


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
        return self.occupancy(answer["logits"], occupancy) + self.latent_weight * code_prior(answer["codes"])


class DenseInferer(Inferer):
    """Ask a field for every voxel of one case's box, or for a finer grid over it.

    Args:
        stride: of the coarse pass, see :func:`custom.fields.dense.evaluate`; 1 asks everywhere.
        bf16: as in :class:`PointInferer`.
        chunk: points asked at once.
    """

    def __init__(self, stride: int = 4, bf16: bool = False, chunk: int = 4096) -> None:
        self.stride, self.bf16, self.chunk = stride, bf16, chunk

    @torch.no_grad()
    def logits(self, field: NearField, row: int, shape: Sequence[int]) -> Tensor:
        """Logits [d, h, w] of code ``row`` on a grid of ``shape`` over the unit cube."""
        with torch.autocast(field.device.type, torch.bfloat16, enabled=self.bf16):
            return evaluate(field.asked(row), unit_axes(shape), self.stride, chunk=self.chunk)

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        """Logits [1, 1, d, h, w]; ``inputs`` [1, 3] is the grid's shape, the keyword ``index`` [1] the code's row."""
        assert isinstance(network, nn.Module)
        return self.logits(bare(network), int(kwargs["index"][0]), [int(n) for n in inputs[0]])[None, None]
