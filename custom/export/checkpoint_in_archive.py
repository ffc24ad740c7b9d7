"""Weights that go with an exported bundle, and the settings that follow them."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from .bundle_source import README, alone, configs_of

SETTING = "checkpoint"
MODEL, CHECKPOINT = "models/model.pt", "models/checkpoint.pt"
"""Weights alone, where MONAI looks for them; and with all else that a run has kept, if it has."""
TERMS = "docs/data_license.txt"
WITHOUT = " and no trained weights"
"""The sentence in the terms of data of a bundle that comes without weights."""


def takers(files: Mapping[str, bytes]) -> list[str]:
    """The configs that have a setting ``checkpoint``."""
    return sorted(name for name, config in configs_of(files).items() if SETTING in config)


def with_setting(content: bytes, key: str, value: Any) -> bytes:
    """A JSON config whose top-level ``key``, which it has, stands at another value; the rest keeps its form."""
    text = content.decode("utf-8")
    config = json.loads(text)
    wanted = config | {key: value}
    line = f'"{key}": {json.dumps(config[key], ensure_ascii=False)}'
    changed = text.replace(line, f'"{key}": {json.dumps(value, ensure_ascii=False)}', 1)
    if json.loads(changed) != wanted:  # written in another form, or the same words stand deeper and earlier
        changed = json.dumps(wanted, indent=4, ensure_ascii=False) + "\n"
    return changed.encode("utf-8")


def location(path: str) -> str:
    """A file of the bundle, as a config writes it."""
    return f"$os.path.join(@bundle_root, {', '.join(repr(part) for part in path.split('/'))})"


def saved(content: Any) -> bytes:
    """What ``torch.save`` writes; the same content gives the same bytes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def read_checkpoint(path: Path) -> Any:
    """What a checkpoint holds.

    Raises:
        InputError: no such file, or one that cannot be loaded without running code from it.
    """
    wanted, remedy = "a checkpoint (.pt)", "Give the best.pt of a run."
    if not path.is_file():
        raise InputError(path, "a folder" if path.is_dir() else "no such file", wanted, remedy)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = "objects besides weights, which are not loaded because loading them could run any code"
        raise InputError(path, found, wanted, remedy) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InputError(path, f"a file that cannot be read ({reason})", wanted, remedy) from error


def texts_in(content: Any) -> dict[str, str]:
    """The words in a checkpoint, such as the structure that was trained; weights alone hold none."""
    return {key: text for key, text in content.items() if isinstance(text, str)} if isinstance(content, dict) else {}


def models_of(path: Path, content: Any) -> dict[str, bytes]:
    """The files of ``models/``: the checkpoint as it is, and its weights alone if it holds them under ``model``."""
    weights = content.get("model") if isinstance(content, dict) else None
    if isinstance(weights, dict) and all(isinstance(weight, torch.Tensor) for weight in weights.values()):
        return {CHECKPOINT: path.read_bytes(), MODEL: saved(weights)}
    return {MODEL: path.read_bytes()}


def add_checkpoint(files: dict[str, bytes], path: Path, bundle: str) -> dict[str, bytes]:
    """The files of an exported bundle with weights in ``models/``, which its configs then take by default.

    ``models/model.pt`` is what MONAI expects there, weights that load into the network. A checkpoint that holds more,
    such as the frames of cases, lies beside it as it was given; that is the one the configs take. Settings that it
    names, such as the structure that was trained, become defaults too, in the configs that are run by themselves.

    Raises:
        InputError: the bundle takes no checkpoint, or see :func:`read_checkpoint`.
    """
    configs, ready = takers(files), alone(files)
    if not configs:
        remedy = "Leave --checkpoint out."
        raise InputError("--checkpoint", f"weights for {bundle}, whose network has none", "nothing", remedy)
    content = read_checkpoint(path)
    models = models_of(path, content)
    place = location(CHECKPOINT if CHECKPOINT in models else MODEL)
    done, follow = files | models, {SETTING: place}
    for config in configs:
        done[config] = with_setting(done[config], SETTING, place)
    for key, text in texts_in(content).items():
        for config in ready:
            value = json.loads(done[config]).get(key)
            if isinstance(value, str) and not value.startswith(("$", "@", "%")) and value != text:
                done[config] = with_setting(done[config], key, text)
                follow[key] = text
    return explained(done, sorted(models), follow)


def explained(files: dict[str, bytes], models: Sequence[str], follow: Mapping[str, str]) -> dict[str, bytes]:
    """The documents of a bundle, saying that weights go with it and which defaults follow them."""
    added = f"{' and '.join(models)} added when this bundle was exported"
    rows = "".join(f"- `{key}`: `{json.dumps(value, ensure_ascii=False)}`\n" for key, value in follow.items())
    weights = f"\n## Weights\n\nIn `models`: {added}. Defaults that follow:\n\n{rows}"
    done = files | {README: files[README] + weights.encode("utf-8")}
    if TERMS in files:
        terms = files[TERMS].decode("utf-8").replace(", no label maps" + WITHOUT, " and no label maps")
        done[TERMS] = (terms + f"\nWeights, {added}, stay under the terms of what they were trained on.\n").encode(
            "utf-8"
        )
    return done
