"""Handlers for MONAI's trainer and evaluator: epochs for samplers and TensorBoard, seeds, losses that are NaN."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from ignite.engine import Engine, Events

from ..errors import InputError


@runtime_checkable
class HasEpoch(Protocol):
    """Whatever draws by the epoch: a point transform, a distributed sampler."""

    def set_epoch(self, epoch: int) -> None: ...


def loss_of(output: dict[str, Any]) -> float:
    """The loss of a trainer's output, for TensorBoard."""
    return float(output["loss"].detach())


class SamplingEpoch:
    """The training epoch of a sampler, as ``global_epoch_transform`` of an evaluator's TensorBoard handler: the
    evaluator's own engine counts one epoch.

    Args:
        sampling: the sampler, with its ``epoch``.
    """

    def __init__(self, sampling: Any) -> None:
        self.sampling = sampling

    def __call__(self, epoch: int) -> int:
        return int(self.sampling.epoch)


class EpochSeeder:
    """Set the epoch of every sampler, and reseed all other random numbers, so that a resumed run goes on alike.

    Args:
        listeners: objects with ``set_epoch``.
        seed: of the run.
    """

    def __init__(self, listeners: Sequence[HasEpoch], seed: int = 0) -> None:
        self.listeners = list(listeners)
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        for listener in self.listeners:
            listener.set_epoch(epoch)
        torch.manual_seed(self.seed * 1_000_003 + epoch)
        np.random.seed((self.seed * 1_000_003 + epoch) % 2**32)
        random.seed(self.seed * 1_000_003 + epoch)


class NanGuard:
    """Stop a run whose loss is NaN or infinite, before its weights reach a checkpoint.

    Args:
        folder: where the run writes, for the message.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        output: Any = engine.state.output
        loss = loss_of(output)
        if not math.isfinite(loss):
            found = f"a loss of {loss} in epoch {engine.state.epoch}"
            remedy = "Lower --learning_rate; the checkpoint of an earlier epoch is intact."
            raise InputError(self.folder, found, "a loss that is a number", remedy)
