"""Dice of every structure on the voxels of validation, given and completed structures apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce

from ..anatomy import PUBLIC_CARDIAC_CT, table
from ..models.vecset.evaluate_distance_grid import labels_of

GROUPS = ("present", "completed")


def dice_inputs(output: dict[str, Any]) -> tuple[Any, Any]:
    """What an evaluator's output holds for :class:`CompletionDice`."""
    return output["pred"], output["label"]


class CompletionDice(Metric):
    """The mean over the structures of their Dice against the label map; inside is a distance below 0.

    Beside it ``NAME_present`` and ``NAME_completed``, the means over the structures given and over those that were not
    given but labelled, and ``NAME_STRUCTURE``. A structure's Dice is taken over the voxels of all cases together; where
    it is not labelled it is not scored. A group without a structure is left out; nothing at all is 0.

    Args:
        label_table: name of the table.
        output_transform: from an engine's output to distances [batch, structures, n] and a dictionary of
            ``lattice_labels`` [batch, n], ``label_valid`` and ``input_present`` [batch, structures].
        device: where the sums are kept.
    """

    def __init__(
        self,
        label_table: str = PUBLIC_CARDIAC_CT.name,
        output_transform: Callable[[Any], Any] = dice_inputs,
        device: str | torch.device = "cpu",
    ) -> None:
        self.names = table(label_table).names
        self.beside: dict[str, float] = {}
        super().__init__(output_transform, device=device)

    @reinit__is_reduced
    def reset(self) -> None:
        self.both = torch.zeros(len(GROUPS), len(self.names), device=self._device)
        self.sizes = torch.zeros(len(GROUPS), len(self.names), device=self._device)

    @reinit__is_reduced
    def update(self, output: tuple[Any, Any]) -> None:
        distances, target = output
        numbers = torch.arange(1, len(self.names) + 1, device=distances.device)[:, None]
        for row, found in enumerate(distances):
            wanted = target["lattice_labels"][row] == numbers
            inside = labels_of(found) == numbers
            shown, valid = target["input_present"][row], target["label_valid"][row]
            groups = torch.stack([shown & valid, ~shown & valid])
            self.both += groups.to(self.both) * (inside & wanted).sum(dim=1).to(self.both)
            self.sizes += groups.to(self.sizes) * (inside.sum(dim=1) + wanted.sum(dim=1)).to(self.sizes)

    @sync_all_reduce("both", "sizes")
    def compute(self) -> float:
        # Kept here: summed over the processes, which the attributes are within this method only.
        self.beside = {}
        for group, both, sizes in zip(GROUPS, self.both, self.sizes, strict=True):
            if (sizes > 0).any():
                self.beside[group] = float((2 * both[sizes > 0] / sizes[sizes > 0]).mean())
        both, sizes = self.both.sum(dim=0), self.sizes.sum(dim=0)
        each = {name: float(2 * both[at] / sizes[at]) for at, name in enumerate(self.names) if sizes[at] > 0}
        self.beside |= each
        return sum(each.values()) / max(len(each), 1)

    def completed(self, engine: Engine, name: Any) -> None:
        super().completed(engine, name)
        for key, value in self.beside.items():
            engine.state.metrics[f"{name}_{key}"] = value
