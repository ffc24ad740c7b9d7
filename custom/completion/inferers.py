"""Prepare-batch and inferers of the set network for MONAI's trainer and evaluator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.engines import PrepareBatch
from monai.inferers import Inferer
from torch import Tensor, nn

from ..models.vecset.set_network import SetNetwork

GROUPS = ("volume", "near", "surface")
"""Groups of a training step's query points, in this order; the eikonal term uses the first of the first group."""


def unwrapped(network: nn.Module) -> SetNetwork:
    """The network, out of its ``DistributedDataParallel`` wrapper if it has one."""
    found = network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network
    assert isinstance(found, SetNetwork)
    return found


def _mover(batchdata: dict[str, Any], **where: Any) -> Callable[[str], Tensor]:
    """Gives a tensor of a batch by its key, on the device it is wanted on."""

    def there(key: str) -> Tensor:
        moved: Tensor = batchdata[key].to(**where)
        return moved

    return there


class PrepareCompletion(PrepareBatch):
    """Sort a training batch into the cloud, the targets, and as keyword arguments query points and given structures."""

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, dict[str, Tensor], tuple[()], dict[str, Any]]:
        there = _mover(batchdata, device=device, non_blocking=non_blocking, **kwargs)
        target = {key: there(key) for key in ("volume", "near", "surface_class", "label_valid")}
        beside: dict[str, Any] = {"points": {group: there(f"{group}_points") for group in GROUPS}}
        beside |= {key: there(key) for key in ("input_present", "channels")}
        return there("image"), target, (), beside


class PrepareLattice(PrepareBatch):
    """Sort a validation batch of one case: the cloud, the labels of the lattice, and both masks with them."""

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, dict[str, Tensor], tuple[()], dict[str, Any]]:
        there = _mover(batchdata, device=device, non_blocking=non_blocking, **kwargs)
        target = {key: there(key) for key in ("lattice_labels", "label_valid", "input_present")}
        return there("image"), target, (), {"points": there("lattice"), "input_present": target["input_present"]}


class CompletionInferer(Inferer):
    """Ask at the points of a training step: a dictionary of distances by group of points, and ``slopes``.

    Args:
        bf16: run the matrix products in bfloat16; weights and losses stay in single precision.
    """

    def __init__(self, bf16: bool = False) -> None:
        self.bf16 = bf16

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        points, channels = kwargs["points"], kwargs["channels"]
        asked = torch.cat([points[group] for group in GROUPS], dim=2)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bf16):
            answer = network(inputs, asked, kwargs["input_present"], channels if channels.shape[1] else None)
        count = answer.shape[1] - bool(channels.shape[1])
        sizes = [points[group].shape[2] for group in GROUPS]
        found = dict(zip(GROUPS, answer[:, :count].split(sizes, dim=2), strict=True))
        return found | {"slopes": answer[:, count:, : channels.shape[1]].flatten(1).float()}


class LatticeInferer(Inferer):
    """Ask at the points of a lattice, part after part: distances [1, structures, n].

    Args:
        bf16: as in :class:`CompletionInferer`.
        chunk: points evaluated at once.
    """

    def __init__(self, bf16: bool = False, chunk: int = 16384) -> None:
        self.bf16, self.chunk = bf16, chunk

    @torch.no_grad()
    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        assert isinstance(network, nn.Module)
        field, present = unwrapped(network), kwargs["input_present"]
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bf16):
            tokens = field.think(field.encode(inputs, present), present)
            parts = [field.answer(tokens, part) for part in kwargs["points"].split(self.chunk, dim=2)]
        return torch.cat(parts, dim=2).float()
