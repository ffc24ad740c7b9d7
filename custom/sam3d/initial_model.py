"""The model that a run begins with: sizes, what it takes from the stage before, what it trains (C2, C3)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from ..errors import InputError
from ..files import write_file
from ..models.lora import parameter_counts
from .inferers import unwrapped
from .shape_checkpoint import load_parts, load_published_parts, load_shape_checkpoint, relative_to
from .shape_model import CODEC, NEEDED, PRIOR, STAGES, ShapeModel, weights_digest

LOGGER = logging.getLogger(__name__)


class InitialModel(ShapeModel):
    """A model in training, and what it was made against.

    Args:
        sizes: see :func:`custom.sam3d.shape_model.build_parts`.
        stage: ``vae``, ``base`` or ``lora``.
        run_dir: where the run writes; the stages before it have written beside it, to ``vae`` and ``base``.
        codec_from, base_from: checkpoints of those stages, if they lie elsewhere. With nothing given and nothing there,
            random weights are taken, and a banner says so.
        weights_dir: folder of the published weights, instead.
        lora: ``rank``, ``alpha``, ``dropout`` and ``targets`` of :func:`custom.models.lora.add_lora`.
        objective: ``unconditional_share``, ``time_mean``, ``time_deviation``, ``shape_weight``.
        train_conditioner: whether stage ``base`` trains it too.
        seed: of random weights.

    Raises:
        InputError: an unknown stage; a checkpoint that is given and not there, of another stage, of other sizes, or a
            base that was made against another codec; published weights that are not whole.
    """

    def __init__(
        self,
        sizes: Mapping[str, Any],
        stage: str,
        run_dir: str | Path,
        codec_from: str | Path = "",
        base_from: str | Path = "",
        weights_dir: str | Path = "",
        lora: Mapping[str, Any] | None = None,
        objective: Mapping[str, Any] | None = None,
        train_conditioner: bool = False,
        seed: int = 0,
    ) -> None:
        if stage not in STAGES:
            raise InputError("--stage", repr(stage), f"one of {', '.join(STAGES)}", "Choose one of them.")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            super().__init__(sizes)
            self.stage = stage
            self.made_against: dict[str, dict[str, str]] = {}
            self._take(Path(run_dir), {"codec": codec_from, "base": base_from}, weights_dir)
            for name, value in (objective or {}).items():
                setattr(self, name, value)
            if stage == "lora":
                self.adapt(**dict(lora or {}))
        self.set_stage(stage, train_conditioner)

    def _take(self, run_dir: Path, given: Mapping[str, str | Path], weights_dir: str | Path) -> None:
        needed = {name: parts for name, parts in (("codec", CODEC), ("base", PRIOR)) if parts[0] in NEEDED[self.stage]}
        if weights_dir and needed:
            load_published_parts(self, weights_dir)
        notes = {}
        for name in needed:
            stage = "vae" if name == "codec" else "base"
            path = Path(given[name]) if given[name] else run_dir.parent / stage / "best.pt"
            if weights_dir or not (given[name] or path.is_file()):
                self.made_against[name] = {"path": ""}
                continue
            content = load_shape_checkpoint(path)
            if content["stage"] != stage:
                remedy = f"Give --{name}_from with a best.pt of stage {stage}."
                raise InputError(path, f"a checkpoint of stage {content['stage']}", f"one of stage {stage}", remedy)
            load_parts(self, content, path)
            notes[name] = path, content["made_against"]
            self.made_against[name] = {"path": relative_to(path, run_dir)}
        for name, parts in needed.items():
            self.made_against[name]["digest"] = weights_digest(self, parts)
        self._check_codec(notes)

    def _check_codec(self, notes: Mapping[str, tuple[Path, Mapping[str, Any]]]) -> None:
        """Refuse a base of another codec: its codes would mean other shapes."""
        if "base" in notes:
            path, noted = notes["base"]
            if noted["codec"]["digest"] != self.made_against["codec"]["digest"]:
                remedy = "Give --codec_from with the codec it was trained on, or train the base again."
                raise InputError(path, "a base made against another codec", "one made against the codec taken", remedy)


class LatentStatistics:
    """Before stage ``base`` begins: mean and deviation of the codes of all its shapes, which it then draws at 0 and 1.

    To be attached before the checkpoints: a run that goes on has its own. Published weights are left as they are.

    Args:
        network: of the run.
        items: of the training shapes.
        load: gives ``occupancy`` of an item, see :class:`custom.sam3d.slice_conditions.LoadShaped`.
    """

    def __init__(
        self,
        network: nn.Module,
        items: Iterable[Mapping[str, Any]],
        load: Callable[[Any], Mapping[Any, Any]],
    ) -> None:
        self.model, self.items, self.load = unwrapped(network), items, load

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        model = self.model
        if model.stage != "base":
            return
        model.code_mean.zero_()
        model.code_deviation.fill_(1)
        codes = []
        for item in self.items:
            occupancy = torch.as_tensor(self.load({**item})["occupancy"])
            codes.append(model.encoded(occupancy[None].to(model.code_mean.device))[0].double())
        rows = torch.cat(codes)
        model.code_mean.copy_(rows.mean(dim=0))
        model.code_deviation.copy_(rows.std(dim=0, correction=0).clamp(min=1e-3))


class RunSummary:
    """Say when a run begins what it trains and what it stands on, in the log and in ``run.json``.

    Args:
        folder: of the run.
        network: of the run.
        rank: only process 0 logs.
    """

    def __init__(self, folder: str | Path, network: nn.Module, rank: int = 0) -> None:
        self.folder, self.model, self.rank = Path(folder), unwrapped(network), rank

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        banner = self.model.banner()
        engine.state.metrics["untrained"] = float(banner is not None)
        if self.rank:
            return
        trained, every = parameter_counts(self.model)
        share = trained / every
        LOGGER.info("stage %s trains %d of %d parameters (%.3f %%)", self.model.stage, trained, every, 100 * share)
        if banner:
            LOGGER.warning(banner)
        told = {"stage": self.model.stage, "trained": trained, "parameters": every, "share": share}
        content = told | {"flow_parameters": self.flow_parameters(), "untrained": banner or ""}
        write_file(self.folder / "run.json", json.dumps(content, indent=2) + "\n")

    def flow_parameters(self) -> int:
        """Of the flow, its adapters included."""
        return sum(parameter.numel() for parameter in self.model.part("flow").parameters())
