"""What decides which weights are best: the loss on patients held out; beside it the Dice of what is drawn (C3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce
from torch import nn

from ..anatomy import TOTALSEGMENTATOR_HEART, table


def loss_terms(output: dict[str, Any]) -> tuple[Any, Any]:
    """What an evaluator's output holds for :class:`HeldOutLoss`."""
    return output["pred"], output["label"]


def is_lower(one: float, other: float) -> bool:
    """Whether a value of the metric is better than another."""
    return one < other


class HeldOutLoss(Metric):
    """The mean loss of all shapes; lower is better.

    Beside it, as metrics of the engine, ``val_dice``, the mean over the structures of the mean Dice of their drawn
    shapes, and ``val_dice_STRUCTURE``: left out where nothing is drawn, or no shape is of the structure.

    Args:
        loss_function: :class:`custom.sam3d.stage_loss.ShapeLoss`, of its own for validation.
        label_table: name of the table.
        output_transform: from an engine's output to an output of
            :class:`custom.sam3d.inferers.ValidationInferer` and its target.
        device: where the sums are kept.
    """

    def __init__(
        self,
        loss_function: nn.Module,
        label_table: str = TOTALSEGMENTATOR_HEART.name,
        output_transform: Callable[[Any], Any] = loss_terms,
        device: str | torch.device = "cpu",
    ) -> None:
        self.loss_function, self.names = loss_function, table(label_table).names
        self.beside: dict[str, float] = {}
        super().__init__(output_transform, device=device)

    @reinit__is_reduced
    def reset(self) -> None:
        self.loss = torch.zeros(2, device=self._device, dtype=torch.float64)
        self.dice = torch.zeros(2, len(self.names), device=self._device, dtype=torch.float64)

    @reinit__is_reduced
    def update(self, output: tuple[Any, Any]) -> None:
        answer, target = output
        count = len(target["occupancy"])
        self.loss += torch.tensor([float(self.loss_function(answer, target)) * count, count]).to(self.loss)
        if "drawn" not in answer:
            return
        inside, wanted = answer["drawn"] > 0.5, target["occupancy"] > 0
        both = 2 * (inside & wanted).flatten(1).sum(dim=1).double()
        dice = both / (inside.flatten(1).sum(dim=1) + wanted.flatten(1).sum(dim=1))
        for one, structure in zip(dice.tolist(), target["structure"], strict=True):
            self.dice[:, self.names.index(structure)] += torch.tensor([one, 1.0]).to(self.dice)

    @sync_all_reduce("loss", "dice")
    def compute(self) -> float:
        # Kept here: summed over the processes, which the attributes are within this method only.
        drawn = {
            name: float(total / count) for name, total, count in zip(self.names, *self.dice, strict=True) if count > 0
        }
        self.beside = {f"val_dice_{name}": value for name, value in drawn.items()}
        if drawn:
            self.beside["val_dice"] = sum(drawn.values()) / len(drawn)
        return float(self.loss[0] / self.loss[1].clamp(min=1))

    def completed(self, engine: Engine, name: Any) -> None:
        super().completed(engine, name)
        engine.state.metrics.update(self.beside)
