"""Checkpoints of the three stages: what each holds, and a whole model from one of them (C2, C3).

``vae/best.pt`` holds the codec; ``base/best.pt`` conditioner and flow, and the digest of the codec it was made against;
``lora/best.pt`` the adapters alone, and the digests of codec and base. What a checkpoint was made against lies where it
says, relative to its own folder; random parts that no file has are in the checkpoint itself.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import __version__
from ..errors import InputError
from ..models.sam3d.load_published_weights import load_published
from ..models.sam3d.published_names import renamed_conditioner
from ..models.sam3d.weights_origin import log_banner, origin, record_origin
from ..training.checkpoint_file import read_content, save_atomically
from .shape_model import CODEC, NEEDED, PRIOR, STAGES, ShapeModel, weights_digest

LOGGER = logging.getLogger(__name__)

FORMAT = "corfield.heart_sam3d/1"
REMEDY = "Give the best.pt or last.pt of a heart_sam3d_lora run."
PARTS = {"label_table": str, "stage": str, "settings": dict, "parts": dict, "origins": dict, "made_against": dict}
OWN = {"vae": CODEC, "base": PRIOR, "lora": ()}
"""The parts that a stage trains as a whole."""


def load_shape_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint's content, read with ``weights_only=True``, on the CPU.

    Keys: ``format, version, label_table, stage, settings`` (``settings["network"]`` are the sizes), ``parts`` (state
    dicts by name), ``adapter`` (stage lora), ``code_mean, code_deviation, origins, made_against``; ``untrained``, the
    banner or nothing; and for going on ``optimizer, scheduler, scaler, epoch, best, fingerprints, random``.

    Raises:
        InputError: no such file, damaged, another program's or another bundle's, or weights that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "a folder" if path.is_dir() else "no such file", "a checkpoint", REMEDY)
    content = read_content(path, "cpu")
    found = content.get("format") if isinstance(content, dict) else type(content).__name__
    if found != FORMAT:
        raise InputError(path, f"a file of format {found!r}", f"a checkpoint of format {FORMAT!r}", REMEDY)
    lacking = [part for part, kind in PARTS.items() if not isinstance(content.get(part), kind)]
    if content.get("stage") not in STAGES:
        lacking.append("stage")
    if lacking:
        raise InputError(path, f"no {', '.join(lacking)} in it", "a whole checkpoint", REMEDY)
    states = [*content["parts"].values(), content.get("adapter") or {}]
    faulty = [name for state in states for name, weights in state.items() if not torch.isfinite(weights).all()]
    if faulty:
        remedy = "That run has diverged: train again with a smaller --learning_rate, into another --output_dir."
        raise InputError(path, f"weights that are NaN or infinite ({faulty[0]})", "finite weights", remedy)
    return dict(content)


def checkpoint_content(
    model: ShapeModel,
    label_table: str,
    settings: Mapping[str, Any],
    made_against: Mapping[str, Any],
    banner: str | None,
) -> dict[str, Any]:
    """What drawing needs of a model in training: its stage's own parts, and those that no file has."""
    names = [name for name in (*CODEC, *PRIOR) if name in OWN[model.stage] or _is_nowhere(model, name)]
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": __version__,
        "label_table": label_table,
        "stage": model.stage,
        "settings": dict(settings),
        "parts": {name: plain_state(model.part(name)) for name in names},
        "origins": {name: origin(model.part(name)) or "" for name in (*CODEC, *PRIOR)},
        "made_against": dict(made_against),
        "code_mean": model.code_mean.cpu(),
        "code_deviation": model.code_deviation.cpu(),
        "untrained": banner or "",
    }
    return content | ({"adapter": model.adapters()} if model.adapted else {})


def _is_nowhere(model: ShapeModel, name: str) -> bool:
    """Whether a part that the stage takes as it is has random weights: they are in no other file."""
    return name in NEEDED[model.stage] and origin(model.part(name)) is None


def plain_state(part: nn.Module) -> dict[str, Tensor]:
    """A part's state by its first names, without adapters."""
    state = part.state_dict()
    plain = {key.removeprefix("base_model.model.").replace(".base_layer", ""): value for key, value in state.items()}
    return {key: value.detach().cpu() for key, value in plain.items() if ".lora_" not in key}


def load_parts(model: ShapeModel, content: Mapping[str, Any], where: str | Path) -> None:
    """Give a model, not yet adapted, the parts that a checkpoint holds, and their origins.

    Raises:
        InputError: they do not fit.
    """
    for name, state in content["parts"].items():
        try:
            model.part(name).load_state_dict(state)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()[:120]
            found = f"{name} of another size ({reason})"
            raise InputError(where, found, "one of the size that is set", "Give the size of its training.") from error
        if content["origins"].get(name):
            record_origin(model.part(name), content["origins"][name])
    if content["stage"] != "vae":
        model.code_mean.copy_(content["code_mean"])
        model.code_deviation.copy_(content["code_deviation"])


def load_published_parts(model: ShapeModel, folder: str | Path) -> None:
    """Give a model of the published sizes the published weights of a folder; ``InputError`` as for each file."""
    for name in (*CODEC, *PRIOR):
        rename = renamed_conditioner if name == "conditioner" else None
        load_published(model.part(name), name, Path(folder), rename)


def save_whole(model: ShapeModel, checkpoint: str | Path, path: str | Path) -> None:
    """Write one checkpoint of all parts, the adapters merged into the flow: it needs no other file, and is larger.

    Args:
        model: of :func:`load_model`; its adapters are merged.
        checkpoint: what it was made of: its settings are kept.
        path: of the new one, of stage ``base``: nothing in it is to be tuned.

    Raises:
        InputError: as :func:`load_shape_checkpoint`, or the place cannot be written.
    """
    content = load_shape_checkpoint(checkpoint)
    banner = model.banner()
    whole = checkpoint_content(
        model.merge() if model.adapted else model, content["label_table"], content["settings"], {}, banner
    )
    whole["parts"] = {name: plain_state(model.part(name)) for name in (*CODEC, *PRIOR)}
    whole.pop("adapter", None)
    save_atomically(whole | {"stage": "base"}, Path(path))
    LOGGER.info("wrote all parts of %s to %s", checkpoint, path)


def relative_to(path: Path, folder: Path) -> str:
    """Where a checkpoint lies, seen from a run's folder: both can then be moved together."""
    return os.path.relpath(path.absolute(), folder.absolute())


def load_model(
    checkpoint: str | Path,
    codec_from: str | Path = "",
    base_from: str | Path = "",
    weights_dir: str | Path = "",
    adapted: bool = True,
    device: str | torch.device = "cpu",
) -> ShapeModel:
    """The whole model of a checkpoint, in evaluation mode.

    Args:
        checkpoint: of any stage. Of ``lora`` the whole system; of ``base`` the untuned one; of ``vae`` the codec with a
            random flow, good for round trips alone.
        codec_from, base_from: checkpoints to take instead of those it was made against; they must be the same weights.
        weights_dir: folder of the published weights, if they are what it was made against.
        adapted: whether adapters are put in; without them it is the base that they were trained on.
        device: where it goes.

    Raises:
        InputError: as :func:`load_shape_checkpoint`; what it was made against is not there, or is another.
    """
    path = Path(checkpoint)
    content = load_shape_checkpoint(path)
    model = ShapeModel(content["settings"]["network"])
    model.set_stage(content["stage"])
    model.crop = content["settings"].get("crop", False)
    if weights_dir:
        load_published_parts(model, weights_dir)
    given = {"codec": str(codec_from), "base": str(base_from)}
    for name, noted in content["made_against"].items():
        if noted["path"] and not weights_dir:
            other = Path(given[name]) if given.get(name) else path.parent / noted["path"]
            load_parts(model, load_shape_checkpoint(other), other)
    load_parts(model, content, path)
    for name, noted in content["made_against"].items():
        names = CODEC if name == "codec" else PRIOR
        if weights_digest(model, names) != noted["digest"]:
            source = weights_dir or given.get(name) or path.parent / str(noted["path"])
            remedy = f"Give --{name}_from (or --weights_dir) with the weights it was trained on."
            raise InputError(path, f"weights made against another {name} than {source}", "the same", remedy)
    if content["stage"] == "lora" and adapted:
        model.adapt(**content["settings"]["lora"])
        model.take_adapters(content["adapter"])
    log_banner({name: model.part(name) for name in NEEDED[content["stage"]]})
    return model.to(device).eval()
