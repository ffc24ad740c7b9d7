"""The checkpoints of a run: the best, the last, those of some epochs; and going on from the last (C3)."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine
from monai.engines import Evaluator
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..models.sam3d.weights_origin import record_origin
from ..output_record import remove
from ..training.checkpoint_file import save_atomically
from ..training.run_checkpoints import CheckpointHandler
from .inferers import unwrapped
from .initial_model import InitialModel
from .shape_checkpoint import OWN, checkpoint_content, load_shape_checkpoint


class ShapeCheckpointHandler(CheckpointHandler):
    """The checkpoints of a stage, as :class:`custom.training.run_checkpoints.CheckpointHandler`; but low is good.

    ``best.pt`` is written when the validation loss is lower than ever, ``epoch_NNNN.pt`` after each validation.
    All that is random in an epoch follows from the seed and the epoch (:class:`custom.training.handlers.EpochSeeder`),
    so that a run broken off and taken up again ends with the weights of an unbroken one.

    Args:
        folder: where all lie.
        network: perhaps wrapped for several processes.
        optimizer, scheduler: their states are kept in ``last.pt``.
        fingerprints: of the files trained on, by case.
        label_table: name of the table.
        settings: what a resumed run must share; ``settings["network"]`` are the sizes.
        evaluator: whose metric decides on ``best.pt``.
        metric: its name.
        keep: how many ``epoch_NNNN.pt`` stay, the latest; 0 writes none.
        resume, seconds, rank: as there.
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
        super().__init__(folder, optimizer, scheduler, fingerprints, settings, evaluator, resume, seconds, rank)
        model = unwrapped(network)
        assert isinstance(model, InitialModel)
        self.model, self.label_table, self.metric, self.count = model, label_table, metric, keep
        self.best_metric, self.epoch = math.inf, 0

    def load(self) -> dict[str, Any]:
        return load_shape_checkpoint(self.last)

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
        self.refuse_other(begun, now)
        self.warn_of_changed_files(content)

    def keep(self, engine: Engine) -> None:
        """At the end of an epoch: perhaps the best, perhaps one of the epoch, perhaps the last."""
        self.epoch, state = engine.state.epoch, self.evaluator.state
        if state.iteration and state.epoch == self.epoch:
            loss = float(state.metrics[self.metric])
            better = loss < self.best_metric
            self.best_metric = min(loss, self.best_metric)
            if self.rank == 0:
                self.keep_validated(better)
        if time.monotonic() - self.written_at > self.pause:
            self.keep_last(engine)

    def keep_validated(self, better: bool) -> None:
        if better:
            save_atomically(self.content(), self.best)
        if self.count:
            save_atomically(self.content(), self.last.with_name(f"epoch_{self.epoch:04d}.pt"))
            for old in sorted(self.last.parent.glob("epoch_*.pt"))[: -self.count]:
                remove(old)

    def finish(self, engine: Engine) -> None:
        self.epoch = engine.state.epoch
        super().finish(engine)

    def content(self) -> dict[str, Any]:
        """What drawing needs."""
        for name in OWN[self.model.stage]:
            record_origin(self.model.part(name), f"stage {self.model.stage}, {self.epoch} epochs")
        banner = self.model.banner()
        return checkpoint_content(self.model, self.label_table, self.settings, self.model.made_against, banner)
