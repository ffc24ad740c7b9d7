"""The checkpoints of a run: the best, the last, those of some epochs; and going on from the last (C3)."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ...errors import InputError
from ...sparse.origins import record_origin
from ..checkpoint import save_atomically
from ..handlers import Checkpoints
from .asking import bare_model
from .checkpoint import OWN, load_shapes, packed
from .starting import StartingModel

LOGGER = logging.getLogger(__name__)

GOING_ON = {"optimizer": dict, "scheduler": dict, "scaler": dict, "epoch": int, "best": float, "fingerprints": dict}
"""What ``last.pt`` holds beyond what drawing needs."""


class ShapeCheckpoints:
    """Keep ``last.pt``, ``best.pt`` and ``epoch_NNNN.pt``, and go on from ``last.pt`` when the run starts.

    ``last.pt`` is written when ``seconds`` have passed and at the end, ``best.pt`` when the validation loss is lower
    than ever, ``epoch_NNNN.pt`` after each validation. All that is random in an epoch follows from the seed and the
    epoch (:class:`custom.engines.handlers.EpochClock`), so that a run broken off and taken up again ends with the
    weights of an unbroken one.

    Args:
        folder: where all lie.
        network: perhaps wrapped for several processes.
        optimizer, scheduler: their states are kept in ``last.pt``.
        fingerprints: of the files trained on, by case.
        label_table: name of the table.
        settings: what a resumed run must share; ``settings["network"]`` are the sizes.
        evaluator: whose metric decides on ``best.pt``.
        metric: its name.
        resume: whether to go on from ``last.pt``; if not, a folder that holds one is refused.
        seconds: least time between two writings of ``last.pt``.
        keep: how many ``epoch_NNNN.pt`` stay, the latest; 0 writes none.
        rank: only process 0 writes.
    """

    def __init__(
        self,
        folder: str | Path,
        network: nn.Module,
        optimizer: Optimizer,
        scheduler: LRScheduler,
        fingerprints: dict[str, str],
        label_table: str,
        settings: dict[str, Any],
        evaluator: Evaluator,
        metric: str = "val_loss",
        resume: bool = True,
        seconds: float | int = 10.0,
        keep: int = 3,
        rank: int = 0,
    ) -> None:
        self.folder, self.last, self.best = Path(folder), Path(folder) / "last.pt", Path(folder) / "best.pt"
        model = bare_model(network)
        assert isinstance(model, StartingModel)
        self.model, self.optimizer, self.scheduler = model, optimizer, scheduler
        self.fingerprints, self.label_table, self.settings = fingerprints, label_table, settings
        self.evaluator, self.metric = evaluator, metric
        self.resume, self.seconds, self.count, self.rank = resume, float(seconds), keep, rank
        self.written_at, self.lowest, self.validated_at = 0.0, math.inf, 0

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
        content = load_shapes(self.last)
        lacking = [key for key, kind in GOING_ON.items() if not isinstance(content.get(key), kind)]
        if lacking:
            found, wanted = f"a checkpoint without {', '.join(lacking)}", "the last.pt of a run, to go on from"
            raise InputError(self.last, found, wanted, "Delete it to begin anew, or choose another --output_dir.")
        self.check_same(content)
        self.take(content)
        self.optimizer.load_state_dict(content["optimizer"])
        self.scheduler.load_state_dict(content["scheduler"])
        if content["scaler"]:
            Checkpoints.scaler_of(engine).load_state_dict(content["scaler"])
        self.lowest = content["best"]
        epoch, length = content["epoch"], engine.state.epoch_length
        engine.state.epoch, engine.state.iteration = epoch, epoch * int(length or 1)
        LOGGER.info("going on after epoch %d of %d from %s", epoch, engine.state.max_epochs, self.last)

    def take(self, content: Mapping[str, Any]) -> None:
        """Give the model what the run has trained so far."""
        for name in OWN[self.model.stage]:
            self.model.part(name).load_state_dict(content["parts"][name])
        if self.model.stage == "lora":
            self.model.take_adapters(content["adapter"])
        self.model.code_mean.copy_(content["code_mean"])
        self.model.code_deviation.copy_(content["code_deviation"])

    def check_same(self, content: Mapping[str, Any]) -> None:
        """Refuse to go on with other settings, cases or weights of the stages before; name changed files in the log."""
        begun = {**content["settings"], "cases": sorted(content["fingerprints"])}
        now = {**self.settings, "cases": sorted(self.fingerprints)}
        for which, noted in (("begun", content["made_against"]), ("now", self.model.made_against)):
            (begun if which == "begun" else now).update(
                {f"weights of the {key}": noted[key]["digest"] for key in noted}
            )
        for key in sorted(set(begun) | set(now)):
            if begun.get(key) != now.get(key):
                found, wanted = f"a run begun with {key} = {begun.get(key)!r}", f"{key} = {now.get(key)!r} as given now"
                raise InputError(self.last, found, wanted, "Give the same value, or choose another --output_dir.")
        changed = [case for case, file in self.fingerprints.items() if content["fingerprints"][case] != file]
        if changed:
            LOGGER.warning("%d cases have changed since the run was begun: %s", len(changed), ", ".join(changed[:3]))

    def keep(self, engine: Engine) -> None:
        """At the end of an epoch: perhaps the best, perhaps one of the epoch, perhaps the last."""
        state = self.evaluator.state
        if state.iteration and state.epoch == engine.state.epoch:
            loss = float(state.metrics[self.metric])
            better = loss < self.lowest
            self.lowest = min(loss, self.lowest)
            if self.rank == 0:
                self.keep_validated(engine.state.epoch, better)
        if time.monotonic() - self.written_at > self.seconds:
            self.keep_last(engine)

    def keep_validated(self, epoch: int, better: bool) -> None:
        if better:
            save_atomically(self.content(epoch), self.best)
        if self.count:
            save_atomically(self.content(epoch), self.folder / f"epoch_{epoch:04d}.pt")
            for old in sorted(self.folder.glob("epoch_*.pt"))[: -self.count]:
                old.unlink()

    def finish(self, engine: Engine) -> None:
        """At the end of the run: the last; and the best too if nothing was ever validated."""
        self.keep_last(engine)
        if self.rank == 0 and not self.best.is_file():
            save_atomically(self.content(engine.state.epoch), self.best)

    def keep_last(self, engine: Engine) -> None:
        if self.rank != 0:
            return
        going_on = {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": Checkpoints.scaler_of(engine).state_dict(),
            "epoch": engine.state.epoch,
            "best": self.lowest,
            "fingerprints": self.fingerprints,
        }
        save_atomically({**self.content(engine.state.epoch), **going_on}, self.last)
        self.written_at = time.monotonic()

    def content(self, epoch: int) -> dict[str, Any]:
        """What drawing needs."""
        for name in OWN[self.model.stage]:
            record_origin(self.model.part(name), f"stage {self.model.stage}, {epoch} epochs")
        banner = self.model.banner()
        return packed(self.model, self.label_table, self.settings, self.model.made_against, banner)
