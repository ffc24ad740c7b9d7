"""Several processes that learn what one would."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..models.near.latent_codes import TABLE
from ..models.near.near_field import NearField


def synchronised(field: NearField, device: torch.device) -> nn.Module:
    """A field whose processes learn from all their batches together.

    Every process keeps all codes; the gradients of the rows in any process's batch are averaged, as
    ``DistributedDataParallel`` averages those of the weights. It is left out where only codes learn.

    Args:
        field: on the device, the same in every process but for its first values: those of process 0 count.
        device: of this process.
    """
    table = field.codes.table.weight
    for row in table.detach():
        first = row.to(device)
        dist.broadcast(first, 0)
        row.copy_(first)
    field.codes.release_pages()
    table.register_hook(lambda gradient: average_gradient(gradient, device))
    if not any(weights.requires_grad for name, weights in field.named_parameters() if name != TABLE):
        return field
    # The table may lie on another device than the network, and NCCL adds up no sparse gradients.
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(field, [TABLE])
    return DistributedDataParallel(field, device_ids=[device] if device.type == "cuda" else None)


def average_gradient(gradient: Tensor, device: torch.device) -> Tensor:
    """The mean over all processes of a table's gradient; of a sparse one with the rows of all batches.

    Args:
        gradient: of this process, [cases, numbers].
        device: that the processes exchange tensors from.
    """
    world = dist.get_world_size()
    if not gradient.is_sparse:
        dense = gradient.to(device)
        dist.all_reduce(dense)
        return (dense / world).to(gradient.device)
    own = gradient.coalesce()
    counts = [torch.zeros(1, dtype=torch.long, device=device) for _ in range(world)]
    dist.all_gather(counts, torch.tensor([own.values().shape[0]], device=device))
    most = int(max(counts))
    rows = _gathered(own.indices()[0], most, device)
    values = _gathered(own.values(), most, device)
    parts = [slice(int(count)) for count in counts]
    index = torch.cat([one[part] for one, part in zip(rows, parts, strict=True)])
    mean = torch.cat([one[part] for one, part in zip(values, parts, strict=True)]) / world
    home = gradient.device
    return torch.sparse_coo_tensor(index[None].to(home), mean.to(home), gradient.shape).coalesce()


def _gathered(own: Tensor, most: int, device: torch.device) -> list[Tensor]:
    """The tensors [most, ...] of all processes; this one's [n, ...] is filled up with zeros."""
    padded = torch.zeros((most, *own.shape[1:]), dtype=own.dtype, device=device)
    padded[: len(own)] = own
    found = [torch.empty_like(padded) for _ in range(dist.get_world_size())]
    dist.all_gather(found, padded)
    return found
