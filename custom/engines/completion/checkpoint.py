"""Checkpoints of a completing network: what they hold, how a run goes on from one, how the next phase begins."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ... import __version__
from ...anatomy import PUBLIC_CARDIAC_CT
from ...errors import InputError
from ...sets.network import SetNetwork
from ...sets.parts import set_network
from ..checkpoint import read_content, save_atomically
from ..handlers import Checkpoints
from .asking import bare_network

LOGGER = logging.getLogger(__name__)

FORMAT = "corfield.heart_completion/1"
REMEDY = "Give the best.pt or last.pt of a heart_completion run."
PARTS = {"label_table": str, "phase": str, "settings": dict, "model": dict}
GOING_ON = {"optimizer": dict, "scheduler": dict, "scaler": dict, "epoch": int, "best": float, "fingerprints": dict}
"""What ``last.pt`` holds beyond what inference needs."""


def load_completion(
    path: str | Path, label_table: str = PUBLIC_CARDIAC_CT.name, device: str | torch.device = "cpu"
) -> dict[str, Any]:
    """A checkpoint's content, read with ``weights_only=True``.

    Keys: ``format, version, label_table, phase, settings, model``; and for going on ``optimizer, scheduler, scaler,
    epoch, best, fingerprints``.

    Raises:
        InputError: no such file, damaged, another program's or another bundle's, weights that are not finite, or a
            network of another table.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "a folder" if path.is_dir() else "no such file", "a checkpoint", REMEDY)
    content = read_content(path, device)
    found = content.get("format") if isinstance(content, dict) else type(content).__name__
    if found != FORMAT:
        raise InputError(path, f"a file of format {found!r}", f"a checkpoint of format {FORMAT!r}", REMEDY)
    lacking = [part for part, kind in PARTS.items() if not isinstance(content.get(part), kind)]
    if lacking:
        raise InputError(path, f"no {', '.join(lacking)} in it", "a whole checkpoint", REMEDY)
    faulty = [name for name, weights in content["model"].items() if not torch.isfinite(weights).all()]
    if faulty:
        remedy = "That run has diverged: train again with a smaller --learning_rate, into another --output_dir."
        raise InputError(path, f"weights that are NaN or infinite ({faulty[0]})", "finite weights", remedy)
    if content["label_table"] != label_table:
        found, wanted = f"a network of the table {content['label_table']}", f"one of {label_table}"
        raise InputError(path, found, wanted, f"Give --label_table {content['label_table']}.")
    return dict(content)


def network_of(content: Mapping[str, Any]) -> SetNetwork:
    """The network a checkpoint holds.

    Raises:
        InputError: the weights are not those of the network it describes.
    """
    network = set_network(**content["settings"]["network"])
    take_weights(network, content, "checkpoint")
    return network.eval()


def take_weights(network: SetNetwork, content: Mapping[str, Any], where: str | Path) -> None:
    """Give a network the weights of a checkpoint.

    Raises:
        InputError: they do not fit.
    """
    try:
        network.load_state_dict(content["model"])
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()[:120]
        found = f"weights of another network ({reason})"
        raise InputError(where, found, "those of this network", "Give the size it was trained at.") from error


class StartFrom:
    """Begin a run with the weights of another one: a phase with those of the phase before (B3-B5).

    To be attached before :class:`CompletionCheckpoints`: a run that goes on has its own.

    Args:
        path: of the checkpoint; empty to begin anew.
        network: of the run.
        label_table: name of its table.
    """

    def __init__(self, path: str | Path, network: nn.Module, label_table: str = PUBLIC_CARDIAC_CT.name) -> None:
        self.path, self.network, self.label_table = str(path), bare_network(network), label_table

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        if self.path:
            content = load_completion(self.path, self.label_table)
            take_weights(self.network, content, self.path)
            LOGGER.info("starting from %s, %s", self.path, content["phase"])


class CompletionCheckpoints:
    """Keep ``last.pt`` and ``best.pt``, and go on from ``last.pt`` when the run starts.

    As :class:`custom.engines.handlers.Checkpoints`: ``last.pt`` is written when ``seconds`` have passed and at the end,
    ``best.pt`` when validation is better than ever. All that is random in an epoch follows from the seed and the epoch,
    so that a run broken off and taken up again ends with the weights of an unbroken one.

    Args:
        folder: where both lie.
        network: perhaps wrapped for several processes.
        optimizer, scheduler: their states are kept in ``last.pt``.
        fingerprints: of the files trained on, by case.
        phase: name of the phase.
        label_table: name of the table.
        settings: what a resumed run must share; ``settings["network"]`` rebuilds the network.
        evaluator: whose best metric decides on ``best.pt``.
        resume: whether to go on from ``last.pt``; if not, a folder that holds one is refused.
        seconds: least time between two writings of ``last.pt``.
        rank: only process 0 writes.
    """

    def __init__(
        self,
        folder: str | Path,
        network: nn.Module,
        optimizer: Optimizer,
        scheduler: LRScheduler,
        fingerprints: dict[str, str],
        phase: str,
        label_table: str,
        settings: dict[str, Any],
        evaluator: Evaluator,
        resume: bool = True,
        seconds: float = 10.0,
        rank: int = 0,
    ) -> None:
        self.last, self.best = Path(folder) / "last.pt", Path(folder) / "best.pt"
        self.network, self.optimizer, self.scheduler = bare_network(network), optimizer, scheduler
        self.fingerprints, self.phase, self.label_table = fingerprints, phase, label_table
        self.settings, self.evaluator = settings, evaluator
        self.resume, self.seconds, self.rank = resume, seconds, rank
        self.written_at, self.best_metric = 0.0, -1.0

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
        content = load_completion(self.last, self.label_table, next(self.network.parameters()).device)
        lacking = [key for key, kind in GOING_ON.items() if not isinstance(content.get(key), kind)]
        if lacking:
            found, wanted = f"a checkpoint without {', '.join(lacking)}", "the last.pt of a run, to go on from"
            raise InputError(self.last, found, wanted, "Delete it to begin anew, or choose another --output_dir.")
        self.check_same(content)
        take_weights(self.network, content, self.last)
        self.optimizer.load_state_dict(content["optimizer"])
        self.scheduler.load_state_dict(content["scheduler"])
        if content["scaler"]:
            Checkpoints.scaler_of(engine).load_state_dict(content["scaler"])
        self.best_metric = content["best"]
        epoch, length = content["epoch"], engine.state.epoch_length
        engine.state.epoch, engine.state.iteration = epoch, epoch * int(length or 1)
        LOGGER.info("going on after epoch %d of %d from %s", epoch, engine.state.max_epochs, self.last)

    def check_same(self, content: Mapping[str, Any]) -> None:
        """Refuse to go on with other settings or cases than the run was begun with; name changed files in the log."""
        begun = {**content["settings"], "phase": content["phase"], "cases": sorted(content["fingerprints"])}
        now = {**self.settings, "phase": self.phase, "cases": sorted(self.fingerprints)}
        for key in sorted(set(begun) | set(now)):
            if begun.get(key) != now.get(key):
                found, wanted = f"a run begun with {key} = {begun.get(key)!r}", f"{key} = {now.get(key)!r} as given now"
                raise InputError(self.last, found, wanted, "Give the same value, or choose another --output_dir.")
        changed = [case for case, file in self.fingerprints.items() if content["fingerprints"][case] != file]
        if changed:
            LOGGER.warning("%d cases have changed since the run was begun: %s", len(changed), ", ".join(changed[:3]))

    def keep(self, engine: Engine) -> None:
        """At the end of an epoch: perhaps the best, perhaps the last."""
        metric = float(self.evaluator.state.best_metric) if self.evaluator.state.iteration else -1.0
        better = metric > self.best_metric
        self.best_metric = max(metric, self.best_metric)
        if better and self.rank == 0:
            save_atomically(self.content(), self.best)
        if time.monotonic() - self.written_at > self.seconds:
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
            "scaler": Checkpoints.scaler_of(engine).state_dict(),
            "epoch": engine.state.epoch,
            "best": self.best_metric,
            "fingerprints": self.fingerprints,
        }
        save_atomically({**self.content(), **going_on}, self.last)
        self.written_at = time.monotonic()

    def content(self) -> dict[str, Any]:
        """What inference needs."""
        return {
            "format": FORMAT,
            "version": __version__,
            "label_table": self.label_table,
            "phase": self.phase,
            "settings": self.settings,
            "model": self.network.state_dict(),
        }
