"""Checkpoints of a completing network: what they hold, how a run goes on from one, how the next phase begins."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .. import __version__
from ..anatomy import PUBLIC_CARDIAC_CT
from ..errors import InputError
from ..models.vecset.part_network import set_network
from ..models.vecset.set_network import SetNetwork
from ..training.checkpoint_file import read_content
from ..training.run_checkpoints import CheckpointHandler
from .inferers import unwrapped

LOGGER = logging.getLogger(__name__)

FORMAT = "corfield.heart_completion/1"
REMEDY = "Give the best.pt or last.pt of a heart_completion run."
PARTS = {"label_table": str, "phase": str, "settings": dict, "model": dict}


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
    load_weights(network, content, "checkpoint")
    return network.eval()


def load_weights(network: SetNetwork, content: Mapping[str, Any], where: str | Path) -> None:
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


class LoadInitialWeights:
    """Begin a run with the weights of another one: a phase with those of the phase before (B3-B5).

    To be attached before :class:`CompletionCheckpointHandler`: a run that goes on has its own.

    Args:
        path: of the checkpoint; empty to begin anew.
        network: of the run.
        label_table: name of its table.
    """

    def __init__(self, path: str | Path, network: nn.Module, label_table: str = PUBLIC_CARDIAC_CT.name) -> None:
        self.path, self.network, self.label_table = str(path), unwrapped(network), label_table

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        if self.path:
            content = load_completion(self.path, self.label_table)
            load_weights(self.network, content, self.path)
            LOGGER.info("starting from %s, %s", self.path, content["phase"])


class CompletionCheckpointHandler(CheckpointHandler):
    """The checkpoints of a completing network, as :class:`custom.training.run_checkpoints.CheckpointHandler`.

    All that is random in an epoch follows from the seed and the epoch, so that a run broken off and taken up again ends
    with the weights of an unbroken one.

    Args:
        folder: where both lie.
        network: perhaps wrapped for several processes.
        optimizer, scheduler: their states are kept in ``last.pt``.
        fingerprints: of the files trained on, by case.
        phase: name of the phase.
        label_table: name of the table.
        settings, evaluator, resume, seconds, rank: as there.
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
        seconds: float | int = 10.0,
        rank: int = 0,
    ) -> None:
        super().__init__(folder, optimizer, scheduler, fingerprints, settings, evaluator, resume, seconds, rank)
        self.network, self.phase, self.label_table = unwrapped(network), phase, label_table

    def load(self) -> dict[str, Any]:
        return load_completion(self.last, self.label_table, next(self.network.parameters()).device)

    def check_same(self, content: Mapping[str, Any]) -> None:
        begun = {**content["settings"], "phase": content["phase"], "cases": sorted(content["fingerprints"])}
        self.refuse_other(begun, {**self.settings, "phase": self.phase, "cases": sorted(self.fingerprints)})
        self.warn_of_changed_files(content)

    def take(self, content: Mapping[str, Any]) -> None:
        load_weights(self.network, content, self.last)

    def content(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": __version__,
            "label_table": self.label_table,
            "phase": self.phase,
            "settings": self.settings,
            "model": self.network.state_dict(),
        }
