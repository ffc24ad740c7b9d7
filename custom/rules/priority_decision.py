"""From ten probabilities to one label: thresholds and priority in one pass (requirement A3.5)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..errors import InputError

FALLBACKS = ("background", "best")

BINS = 200
"""Thresholds that calibration looks at, evenly from 0 to 1."""


class PriorityDecision(nn.Module):
    """From the highest priority down, the first structure whose probability reaches its threshold wins.

    Where none does, ``fallback`` decides: ``background``; or ``best``, the structure of the highest probability if that
    is above one half (thresholds are above it, then), else background.

    Args:
        label_table: the table or its name; probabilities come in the order of its structures.
        thresholds: t_c by the structure's name; one half where a name is missing.
        fallback: ``background`` or ``best``.

    Raises:
        InputError: an unknown structure or fallback, or a threshold outside of (0, 1).
    """

    def __init__(
        self,
        label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name,
        thresholds: Mapping[str, float] | None = None,
        fallback: str = "background",
    ) -> None:
        super().__init__()
        if fallback not in FALLBACKS:
            raise InputError("fallback", repr(fallback), f"one of {', '.join(FALLBACKS)}", "Choose one of them.")
        self.label_table, self.fallback = table(label_table), fallback
        given = {self.label_table[name].name: float(value) for name, value in (thresholds or {}).items()}
        for name, value in given.items():
            if not 0 < value < 1:
                raise InputError(f"threshold of {name}", repr(value), "a number between 0 and 1", "0.5 is usual.")
        self.thresholds = tuple(given.get(structure.name, 0.5) for structure in self.label_table)
        channels = {structure.name: channel for channel, structure in enumerate(self.label_table)}
        self.order = tuple(channels[structure.name] for structure in self.label_table.by_rank)
        self.indices = self.label_table.indices

    def forward(self, image: Tensor) -> Tensor:
        """Labels [batch, 1, ...], uint8, of probabilities [batch, structures, ...]."""
        labels = torch.zeros_like(image[:, :1], dtype=torch.uint8)
        if self.fallback == "best":
            highest, best = image.max(dim=1, keepdim=True)
            by_channel = torch.tensor(self.indices, dtype=torch.uint8, device=image.device)
            labels = torch.where(highest > 0.5, by_channel[best], labels)
        for channel in reversed(self.order):
            reached = image[:, channel : channel + 1] >= self.thresholds[channel]
            labels = torch.where(reached, torch.full_like(labels, self.indices[channel]), labels)
        return labels


class Calibration:
    """Per structure, the threshold at which probabilities overlap a set of label maps best.

    Cases are taken in one after the other; only two histograms a structure are kept.

    Args:
        label_table: the table; probabilities come in the order of its structures.
    """

    def __init__(self, label_table: StructureTable) -> None:
        self.label_table = label_table
        self.inside = np.zeros((len(label_table), BINS), dtype=np.int64)
        self.outside = np.zeros((len(label_table), BINS), dtype=np.int64)

    def take(self, probability: Float[np.ndarray, "c *shape"], labels: Shaped[np.ndarray, "*shape"]) -> None:
        """Count one case: its probabilities and its labels on the same voxels."""
        for channel, structure in enumerate(self.label_table):
            bins = np.minimum((probability[channel].ravel() * BINS).astype(np.int64), BINS - 1)
            own = labels.ravel() == structure.index
            self.inside[channel] += np.bincount(bins[own], minlength=BINS)
            self.outside[channel] += np.bincount(bins[~own], minlength=BINS)

    def thresholds(self, least: float = 0.2, most: float = 0.8) -> dict[str, float]:
        """t_c by name, between ``least`` and ``most``; of equals the nearest to one half, which an absent one has.

        At threshold k / BINS the overlap is Dice over all voxels of all cases.
        """
        chosen = {}
        for channel, structure in enumerate(self.label_table):
            dice = _dice_from(self.inside[channel], self.outside[channel])
            allowed = np.arange(BINS) / BINS
            fits = (allowed >= least) & (allowed <= most)
            best = fits & (dice >= dice[fits].max() - 1e-9)
            chosen[structure.name] = float(min(allowed[best], key=lambda value: (abs(value - 0.5), value)))
        return chosen


def _dice_from(inside: Int[np.ndarray, " bins"], outside: Int[np.ndarray, " bins"]) -> Float[np.ndarray, " bins"]:
    """Dice of all that lies in bin k or above, for every k; 0 where there is nothing."""
    hit = np.cumsum(inside[::-1])[::-1]
    wrong = np.cumsum(outside[::-1])[::-1]
    total = hit + wrong + inside.sum()
    return np.asarray(np.where(total > 0, 2 * hit / np.maximum(total, 1), 0.0))
