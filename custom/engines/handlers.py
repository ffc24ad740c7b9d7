"""Handlers for MONAI's trainer: the clock of the run, nonsense stopped, checkpoints of a field."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..cohort.structure_dataset import StructureDataset
from ..errors import InputError
from .asking import bare
from .checkpoint import check_cases, load_checkpoint, pack
from .keeping import RunCheckpoints


@runtime_checkable
class HasEpoch(Protocol):
    """What wants to know the epoch: a point transform, a distributed sampler."""

    def set_epoch(self, epoch: int) -> None: ...


def loss_of(output: dict[str, Any]) -> float:
    """The loss of a trainer's output, for TensorBoard."""
    return float(output["loss"].detach())


class EpochClock:
    """Tell the epoch to everything whose randomness depends on it, and reseed the rest, so that a resumed run goes on
    alike.

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


class StopAtNonsense:
    """Stop a run whose loss is no number any more, before its weights reach a checkpoint.

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


class Checkpoints(RunCheckpoints):
    """The checkpoints of a field with a code for each case (A1.6): as :class:`RunCheckpoints`, and ``last.pt`` holds
    all codes.

    Args:
        folder: where both lie.
        field: the network, perhaps wrapped for several processes.
        optimizer: its state is kept in ``last.pt``.
        scheduler: likewise.
        dataset: names the cases and their frames.
        structure: name of the structure trained.
        label_table: name of its table.
        settings, evaluator, resume, seconds, rank: as there.
        extra: what else both hold, tensors and plain values.
    """

    def __init__(
        self,
        folder: str | Path,
        field: nn.Module,
        optimizer: Optimizer,
        scheduler: LRScheduler,
        dataset: StructureDataset,
        structure: str,
        label_table: str,
        settings: dict[str, Any],
        evaluator: Evaluator,
        resume: bool = True,
        seconds: float | int = 10.0,
        rank: int = 0,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(folder, optimizer, scheduler, dataset.fingerprints, settings, evaluator, resume, seconds, rank)
        self.field, self.dataset = bare(field), dataset
        self.structure, self.label_table, self.extra = structure, label_table, dict(extra or {})

    def load(self) -> dict[str, Any]:
        """On the host: what is copied from it to a device is what belongs there."""
        return load_checkpoint(self.last)

    def check_same(self, content: Mapping[str, Any]) -> None:
        check_cases(dict(content), self.dataset.cases, self.last)
        begun = {**content["settings"], "structure": content["structure"], "label_table": content["label_table"]}
        self.refuse_other(begun, {**self.settings, "structure": self.structure, "label_table": self.label_table})
        self.warn_of_changed_files(content)

    def take(self, content: Mapping[str, Any]) -> None:
        self.field.load_state_dict(content["model"])

    def written(self) -> None:
        self.field.codes.let_go()

    def content(self) -> dict[str, Any]:
        cases, frames = self.dataset.cases, self.dataset.frames
        return {**pack(self.field, self.structure, self.label_table, cases, frames, self.settings), **self.extra}
