"""Handlers for MONAI's trainer: the clock of the run, nonsense stopped, checkpoints and resuming."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Sequence
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
from .checkpoint import check_cases, load_checkpoint, pack, save_atomically

LOGGER = logging.getLogger(__name__)


GOING_ON = ("optimizer", "scheduler", "scaler", "epoch", "best", "fingerprints")
"""What ``last.pt`` holds beyond what inference needs."""

SHARE = 0.05
"""Of a run's time, at most, in which ``last.pt`` is written: the codes of a thousand cases are gigabytes."""


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


class Checkpoints:
    """Keep ``last.pt`` and ``best.pt`` (A1.6), and go on from ``last.pt`` when the run starts.

    ``last.pt`` is written at the end of an epoch when ``seconds`` have passed since it was last written, and at the
    end; a run killed in between repeats the epochs since, with the same points, and ends with the same weights. It
    holds all codes and is written whole: where that takes long it is written less often, see :data:`SHARE`.
    ``best.pt`` has the highest validation metric so far.

    Args:
        folder: where both lie.
        field: the network, perhaps wrapped for several processes.
        optimizer: its state is kept in ``last.pt``.
        scheduler: likewise.
        dataset: names the cases and their frames.
        structure: name of the structure trained.
        label_table: name of its table.
        settings: what a resumed run must share; ``settings["network"]`` rebuilds the network.
        evaluator: whose best metric decides on ``best.pt``.
        resume: whether to go on from ``last.pt``; if not, a folder that holds one is refused.
        seconds: least time between two writings of ``last.pt``; 0: after every epoch, however long it takes.
        rank: only process 0 writes.
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
        self.last, self.best = Path(folder) / "last.pt", Path(folder) / "best.pt"
        self.field, self.optimizer, self.scheduler = bare(field), optimizer, scheduler
        self.dataset, self.structure, self.label_table = dataset, structure, label_table
        self.settings, self.evaluator = settings, evaluator
        self.resume, self.seconds, self.rank = resume, seconds, rank
        self.written_at, self.pause, self.best_metric = 0.0, self.seconds, -1.0
        self.extra = dict(extra or {})

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.go_on)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.keep)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def go_on(self, engine: Engine) -> None:
        """Take up ``last.pt`` if there is one."""
        self.written_at = time.monotonic()
        if not self.last.is_file():
            return
        if not self.resume:
            remedy = "Choose another --output_dir, delete it, or leave --resume at true."
            raise InputError(self.last, "a run's checkpoint", "an empty folder, because resume is false", remedy)
        content = load_checkpoint(self.last)  # on the host: what is copied from it to a device is what belongs there
        lacking = [key for key in GOING_ON if key not in content]
        if lacking:
            found, wanted = f"a checkpoint without {', '.join(lacking)}", "the last.pt of a run, to go on from"
            raise InputError(self.last, found, wanted, "Delete it to begin anew, or choose another --output_dir.")
        check_cases(content, self.dataset.cases, self.last)
        self.check_settings(content)
        self.warn_of_changed_files(content)
        self.field.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.scheduler.load_state_dict(content["scheduler"])
        if content["scaler"]:
            self.scaler_of(engine).load_state_dict(content["scaler"])
        self.best_metric = content["best"]
        epoch, length = content["epoch"], engine.state.epoch_length
        engine.state.epoch, engine.state.iteration = epoch, epoch * int(length or 1)
        LOGGER.info("going on after epoch %d of %d from %s", epoch, engine.state.max_epochs, self.last)

    @staticmethod
    def scaler_of(engine: Engine) -> torch.amp.GradScaler:
        """The trainer's loss scaler; one that does nothing if it trains without."""
        scaler = getattr(engine, "scaler", None)
        return scaler if scaler is not None else torch.amp.GradScaler("cpu", enabled=False)

    def check_settings(self, content: dict[str, Any]) -> None:
        """Refuse to go on with other settings than the run was begun with, its length included: the learning rate
        follows from it."""
        begun = {**content["settings"], "structure": content["structure"], "label_table": content["label_table"]}
        now = {**self.settings, "structure": self.structure, "label_table": self.label_table}
        for key in sorted(set(begun) | set(now)):
            if begun.get(key) != now.get(key):
                found, wanted = f"a run begun with {key} = {begun.get(key)!r}", f"{key} = {now.get(key)!r} as given now"
                raise InputError(self.last, found, wanted, "Give the same value, or choose another --output_dir.")

    def warn_of_changed_files(self, content: dict[str, Any]) -> None:
        """Name in the log the label maps that are no longer the files the run was begun with."""
        begun = content["fingerprints"]
        changed = [case for case, now in self.dataset.fingerprints.items() if begun.get(case) != now]
        if changed:
            LOGGER.warning(
                "%d label maps have changed since the run was begun, among them %s",
                len(changed),
                ", ".join(changed[:3]),
            )

    def keep(self, engine: Engine) -> None:
        """At the end of an epoch: perhaps the best, perhaps the last."""
        metric = self.evaluator.state.best_metric if self.evaluator.state.iteration else -1.0
        better = metric > self.best_metric
        self.best_metric = max(metric, self.best_metric)
        if better and self.rank == 0:
            save_atomically(self.content(), self.best)
        if time.monotonic() - self.written_at > self.pause:
            self.keep_last(engine)

    def finish(self, engine: Engine) -> None:
        """At the end of the run: the last; and the best too if nothing was ever validated."""
        self.keep_last(engine)
        if self.rank == 0 and not self.best.is_file():
            save_atomically(self.content(), self.best)

    def keep_last(self, engine: Engine) -> None:
        if self.rank != 0:
            return
        going_on = {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler_of(engine).state_dict(),
            "epoch": engine.state.epoch,
            "best": self.best_metric,
            "fingerprints": self.dataset.fingerprints,
        }
        begun = time.monotonic()
        save_atomically({**self.content(), **going_on}, self.last)
        self.field.codes.let_go()
        self.written_at = time.monotonic()
        if self.seconds:
            self.pause = max(self.seconds, (self.written_at - begun) / SHARE)

    def content(self) -> dict[str, Any]:
        cases, frames = self.dataset.cases, self.dataset.frames
        return {**pack(self.field, self.structure, self.label_table, cases, frames, self.settings), **self.extra}
