"""What happens within a step of training: gradients are kept in bounds."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from torch import nn
from torch.optim import Optimizer


class ClipGradients:
    """Shorten the gradient of a step to a length, just before the weights move.

    Args:
        network: whose gradients.
        optimizer: of the run; a loss scaler's factor is taken out first.
        most: greatest length.
        accumulation_steps: of the trainer.
    """

    def __init__(
        self, network: nn.Module, optimizer: Optimizer, most: float | int, accumulation_steps: int = 1
    ) -> None:
        self.network, self.optimizer, self.most = network, optimizer, float(most)
        self.accumulation_steps = accumulation_steps

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        length = int(engine.state.epoch_length or 1)
        position = (engine.state.iteration - 1) % length + 1
        if position % self.accumulation_steps and position != length:
            return
        scaler: Any = getattr(engine, "scaler", None)
        if scaler is not None and getattr(engine, "amp", False):
            scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.most)


class LogSteps:
    """Log the learning rate once an epoch, as a metric of the trainer, so that TensorBoard has it by its name.

    Args:
        optimizer: of the run.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        engine.state.metrics["learning_rate"] = float(self.optimizer.param_groups[0]["lr"])
