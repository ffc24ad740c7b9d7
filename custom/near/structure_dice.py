"""Dice of every structure over the points of a validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce

from ..anatomy import PUBLIC_CARDIAC_CT, table


class StructureDice(Metric):
    """The mean over the structures of their Dice, and each one's own as ``NAME_STRUCTURE`` beside it.

    A structure's Dice is taken over the points of all cases together: a vessel has few among a case's. A target below 0
    is unknown and not counted. A structure that is neither wanted nor found at any point has no Dice and does not count
    in the mean, which is 0 if there is none at all.

    Args:
        label_table: name of the table.
        output_transform: from an engine's output to probabilities and targets, lists of [structures, n].
        device: where the sums are kept.
    """

    def __init__(
        self,
        label_table: str = PUBLIC_CARDIAC_CT.name,
        output_transform: Callable[[Any], Any] = lambda output: output,
        device: str | torch.device = "cpu",
    ) -> None:
        self.names = table(label_table).names
        self.by_structure: dict[str, float] = {}
        super().__init__(output_transform, device=device)

    @reinit__is_reduced
    def reset(self) -> None:
        self.both = torch.zeros(len(self.names), device=self._device)
        self.sizes = torch.zeros(len(self.names), device=self._device)

    @reinit__is_reduced
    def update(self, output: Sequence[Any]) -> None:
        for probability, target in zip(output[0], output[1], strict=True):
            known = target >= 0
            found, wanted = (probability >= 0.5) & known, (target >= 0.5) & known
            self.both += (found & wanted).sum(dim=1).to(self.both)
            self.sizes += (found.sum(dim=1) + wanted.sum(dim=1)).to(self.sizes)

    @sync_all_reduce("both", "sizes")
    def compute(self) -> float:
        # Kept here: summed over the processes, which the attributes are within this method only.
        sums = zip(self.names, self.both.tolist(), self.sizes.tolist(), strict=True)
        self.by_structure = {name: 2 * both / size for name, both, size in sums if size > 0}
        return sum(self.by_structure.values()) / max(len(self.by_structure), 1)

    def completed(self, engine: Engine, name: Any) -> None:
        super().completed(engine, name)
        for structure, dice in self.by_structure.items():
            engine.state.metrics[f"{name}_{structure}"] = dice
