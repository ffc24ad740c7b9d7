"""One mask per structure to one label map, by a fixed priority (A2.1)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor, nn

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table


def fuse(masks: Mapping[str, Shaped[np.ndarray, "i j k"]], label_table: StructureTable) -> UInt8[np.ndarray, "i j k"]:
    """The label map of some structures' masks: where masks overlap, the structure of the lower rank value wins (A2.1).

    Args:
        masks: by the structure's name; nonzero inside. A structure that is left out, or empty, is absent.
        label_table: the structures' ranks and indices.

    Raises:
        InputError: a name the table does not know.
        ValueError: no mask at all, or masks of different shapes.
    """
    named = {label_table[name].name: mask for name, mask in masks.items()}
    shapes = {mask.shape for mask in named.values()}
    if len(shapes) != 1:
        raise ValueError(f"the masks have {len(shapes)} shapes ({sorted(shapes)}), wanted one")
    labels = np.zeros(shapes.pop(), dtype=np.uint8)
    for structure in reversed(label_table.by_rank):
        if structure.name in named:
            labels[named[structure.name] != 0] = structure.index
    return labels


class PriorityFusion(nn.Module):
    """:func:`fuse` as a network without parameters, so that a bundle can verify and export it.

    Args:
        label_table: the table or its name; its structures are the channels, in the order of their indices.
        threshold: a value of a floating mask above it is inside (NaN is outside); a whole number or a truth value is
            inside where it is above 0.
    """

    def __init__(self, label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name, threshold: float = 0.5) -> None:
        super().__init__()
        found = table(label_table)
        channels = sorted(found.indices)
        self.channels = len(channels)
        self.lowest_first = [
            (channels.index(structure.index), structure.index) for structure in reversed(found.by_rank)
        ]
        self.threshold = threshold

    def forward(self, image: Tensor, index: Tensor | None = None) -> Tensor:
        """Masks or probabilities [b, c, i, j, k], one channel per structure, to label maps [b, 1, i, j, k], uint8.

        ``index`` (the case) is not used.

        Empty masks give 0 everywhere. Besides its result it holds one structure's voxels at a time.

        Raises:
            ValueError: another number of channels than the table's structures.
        """
        if image.ndim != 5 or image.shape[1] != self.channels:
            raise ValueError(f"masks have shape {list(image.shape)}, wanted [batch, {self.channels}, i, j, k]")
        limit = self.threshold if torch.is_floating_point(image) else 0.0
        labels = torch.zeros_like(image[:, 0], dtype=torch.uint8)
        for channel, value in self.lowest_first:
            labels = labels.masked_fill(image[:, channel] > limit, value)
        return labels[:, None]
