"""The checkpoint handler of every bundle: when checkpoints are written, and how a run resumes (A1.6, B2)."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..errors import InputError
from ..output_checks import refuse_foreign_files
from ..output_record import record_event_files
from .checkpoint_file import save_atomically

LOGGER = logging.getLogger(__name__)

GOING_ON: dict[str, type | tuple[type, ...]] = {
    "optimizer": dict,
    "scheduler": dict,
    "scaler": dict,
    "epoch": int,
    "best": (float, int),
    "fingerprints": dict,
}
"""What ``last.pt`` holds beyond what inference needs."""

SHARE = 0.05
"""Of a run's time, at most, in which ``last.pt`` is written: the codes of a thousand cases are gigabytes."""


class CheckpointHandler(ABC):
    """Write ``last.pt`` and ``best.pt``, and resume from ``last.pt`` when the run starts.

    ``last.pt`` is written at the end of an epoch when ``seconds`` have passed since it was last written, and at the
    end; a run killed in between repeats the epochs since, with the same points, and ends with the same weights. Where
    writing it takes long it is written less often, see :data:`SHARE`. ``best.pt`` has the highest validation metric so
    far.

    Args:
        folder: where both lie.
        optimizer, scheduler: their states are kept in ``last.pt``.
        fingerprints: of the files trained on, by case.
        settings: what a resumed run must share; ``settings["network"]`` rebuilds the network.
        evaluator: whose best metric decides on ``best.pt``.
        resume: whether to resume from ``last.pt``; if not, a folder that holds one is refused.
        seconds: least time between two writings of ``last.pt``; 0: after every epoch, however long it takes.
        rank: only process 0 writes.
    """

    def __init__(
        self,
        folder: str | Path,
        optimizer: Optimizer,
        scheduler: LRScheduler,
        fingerprints: Mapping[str, str],
        settings: dict[str, Any],
        evaluator: Evaluator,
        resume: bool = True,
        seconds: float | int = 10.0,
        rank: int = 0,
    ) -> None:
        self.last, self.best = Path(folder) / "last.pt", Path(folder) / "best.pt"
        self.optimizer, self.scheduler, self.fingerprints = optimizer, scheduler, fingerprints
        self.settings, self.evaluator = settings, evaluator
        self.resume, self.seconds, self.rank = resume, seconds, rank
        self.written_at, self.pause, self.best_metric = 0.0, self.seconds, -1.0

    @abstractmethod
    def load(self) -> dict[str, Any]:
        """The content of ``last.pt``. Raises ``InputError``: it is no checkpoint of this kind."""

    @abstractmethod
    def check_same(self, content: Mapping[str, Any]) -> None:
        """Refuse to resume with other settings or cases than the run was begun with. Raises ``InputError``."""

    @abstractmethod
    def take(self, content: Mapping[str, Any]) -> None:
        """Give the network the weights of ``last.pt``."""

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What inference needs."""

    def written(self) -> None:  # noqa: B027 - most have nothing to do here
        """Called when ``last.pt`` has been written."""

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.go_on)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.keep)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def go_on(self, engine: Engine) -> None:
        """Take up ``last.pt`` if there is one."""
        self.written_at = time.monotonic()
        self.record_event_files()
        refuse_foreign_files([self.best])
        if not self.last.is_file():
            return
        if not self.resume:
            remedy = "Choose another --output_dir, delete it, or leave --resume at true."
            raise InputError(self.last, "a run's checkpoint", "an empty folder, because resume is false", remedy)
        content = self.load()
        lacking = [key for key, kind in GOING_ON.items() if not isinstance(content.get(key), kind)]
        if lacking:
            found, wanted = f"a checkpoint without {', '.join(lacking)}", "the last.pt of a run, to go on from"
            raise InputError(self.last, found, wanted, "Delete it to begin anew, or choose another --output_dir.")
        self.check_same(content)
        refuse_foreign_files([self.last])
        self.take(content)
        self.optimizer.load_state_dict(content["optimizer"])
        self.scheduler.load_state_dict(content["scheduler"])
        if content["scaler"]:
            self.scaler_of(engine).load_state_dict(content["scaler"])
        self.best_metric = content["best"]
        epoch, length = content["epoch"], engine.state.epoch_length
        engine.state.epoch, engine.state.iteration = epoch, epoch * int(length or 1)
        LOGGER.info("going on after epoch %d of %d from %s", epoch, engine.state.max_epochs, self.last)

    def record_event_files(self) -> None:
        """Note which of TensorBoard's files are this run's, so that a later one may delete them."""
        if self.rank == 0:
            record_event_files(self.last.parent / "tensorboard")

    @staticmethod
    def scaler_of(engine: Engine) -> torch.amp.GradScaler:
        """The trainer's loss scaler; one that does nothing if it trains without."""
        scaler = getattr(engine, "scaler", None)
        return scaler if scaler is not None else torch.amp.GradScaler("cpu", enabled=False)

    def refuse_other(self, begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Refuse to resume where a value differs, the run's length included: the learning rate follows from it.

        Raises:
            InputError: naming the first that does.
        """
        for key in sorted(set(begun) | set(now)):
            if begun.get(key) != now.get(key):
                found, wanted = f"a run begun with {key} = {begun.get(key)!r}", f"{key} = {now.get(key)!r} as given now"
                raise InputError(self.last, found, wanted, "Give the same value, or choose another --output_dir.")

    def warn_of_changed_files(self, content: Mapping[str, Any]) -> None:
        """Name in the log the label maps that are no longer the files the run was begun with."""
        begun = content["fingerprints"]
        changed = [case for case, now in self.fingerprints.items() if begun.get(case) != now]
        if changed:
            LOGGER.warning(
                "%d label maps have changed since the run was begun, among them %s",
                len(changed),
                ", ".join(changed[:3]),
            )

    def keep(self, engine: Engine) -> None:
        """At the end of an epoch: perhaps the best, perhaps the last."""
        metric = float(self.evaluator.state.best_metric) if self.evaluator.state.iteration else -1.0
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
            "fingerprints": self.fingerprints,
        }
        begun = time.monotonic()
        self.record_event_files()
        save_atomically({**self.content(), **going_on}, self.last)
        self.written()
        self.written_at = time.monotonic()
        if self.seconds:
            self.pause = max(self.seconds, (self.written_at - begun) / SHARE)
