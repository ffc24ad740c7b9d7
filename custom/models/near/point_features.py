"""Features at scattered points, read row by row: for answers without gradients, faster than ``grid_sample``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


class FeatureRows:
    """A code's feature volumes as tables, one row of all channels for each sample.

    ``grid_sample`` walks through a volume channel by channel; here a point's eight rows lie in one piece each and are
    weighed in one call. Values are those of :func:`custom.models.near.feature_pyramid.features_at` up to rounding; a
    point's own never depend on the other points asked.

    Args:
        volumes: each [1, channels, d, h, w] over the unit cube.
    """

    def __init__(self, volumes: Sequence[Tensor]) -> None:
        self.sizes = [tuple(volume.shape[2:]) for volume in volumes]
        self.tables = [
            volume[0].float().permute(1, 2, 3, 0).reshape(-1, volume.shape[1]).contiguous() for volume in volumes
        ]

    def __call__(self, points_unit: Float[Tensor, "n 3"]) -> Float[Tensor, "n c"]:
        """Coarse to fine, one behind the other; beyond the cube the value on its border."""
        parts = []
        for size, table in zip(self.sizes, self.tables, strict=True):
            rows, weights = corners(size, points_unit)
            parts.append(F.embedding_bag(rows, table, per_sample_weights=weights, mode="sum"))
        return torch.cat(parts, dim=1)


def corners(size: Sequence[int], points_unit: Float[Tensor, "n 3"]) -> tuple[Int[Tensor, "n 8"], Float[Tensor, "n 8"]]:
    """The flat positions of the eight samples around each point in a volume of ``size`` (d, h, w), and their weights.

    Along an axis of one sample both neighbours are that sample.
    """
    first = torch.zeros((), dtype=torch.int32, device=points_unit.device)
    steps, shares = torch.zeros_like(first)[None], torch.ones(1, 1, device=points_unit.device)
    # Points stand last until the end: short last axes are slow.
    for along, count in zip(points_unit.float().T.contiguous().flip(0), size, strict=True):
        place = ((along + 1) * ((count - 1) / 2)).clamp(0, count - 1)
        low = place.floor().clamp(max=max(count - 2, 0))
        part = place - low
        first = first * count + low.int()
        steps = torch.stack([steps * count, steps * count + (count > 1)], dim=1).flatten()
        shares = (shares[:, None] * torch.stack([1 - part, part])).flatten(0, 1)
    return first[:, None] + steps, shares.T.contiguous()
