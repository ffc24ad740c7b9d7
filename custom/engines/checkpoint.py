"""Checkpoints of a field: what they hold, how they are written and what is refused."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch

from .. import __version__
from ..errors import InputError
from ..fields.codes import Codes
from ..fields.near import NearField
from ..space import Frame

FORMAT = "corfield.near_stage1/1"
REMEDY = "Give the best.pt or last.pt of a near_stage1 run."


def save_atomically(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that ``path`` holds either the old one or the whole new one, even on a full disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(unfinished, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        raise InputError(path, f"{error.strerror or error}", "a place to write to", "Free some space there.") from error
    finally:
        unfinished.unlink(missing_ok=True)


def load_checkpoint(
    path: str | Path, device: str | torch.device = "cpu", structure: str | None = None
) -> dict[str, Any]:
    """A checkpoint's content, read with ``weights_only=True``.

    Args:
        path: the file.
        device: where its tensors go.
        structure: refuse a checkpoint of another one.

    Keys: ``format, version, structure, label_table, cases`` (names in code order), ``frames`` (by case name),
    ``settings``, ``model``; and for going on ``optimizer, scheduler, engine, best``.

    Raises:
        InputError: no such file, truncated, not a checkpoint, another program's, or another structure's.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file", "a checkpoint", REMEDY)
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, BadZipFile, pickle.UnpicklingError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InputError(path, f"a file that cannot be read ({reason})", "a whole checkpoint", REMEDY) from error
    found = content.get("format") if isinstance(content, dict) else type(content).__name__
    if found != FORMAT:
        raise InputError(path, f"a file of format {found!r}", f"a checkpoint of format {FORMAT!r}", REMEDY)
    if structure is not None and content["structure"] != structure:
        remedy = f"Give --structure {content['structure']}, or the checkpoint of {structure}."
        raise InputError(path, f"a field of {content['structure']}", f"a field of {structure}", remedy)
    return dict(content)


def field_of(content: dict[str, Any]) -> NearField:
    """The field a checkpoint holds, ready to be asked."""
    field = NearField(len(content["cases"]), **content["settings"]["network"])
    field.load_state_dict(content["model"])
    return field.eval()


def field_for_new_cases(content: dict[str, Any], cases: int) -> NearField:
    """The trained field with fresh codes for cases it has never seen; everything but the codes is frozen.

    All codes start at the mean of the trained ones: a search that starts far from every known code does not find one
    (a known failure of auto-decoders, Park et al., "DeepSDF", CVPR 2019, and its users).
    """
    field = field_of(content)
    mean = field.codes.mean().detach()
    field.codes = Codes(cases, field.codes.shape)
    with torch.no_grad():
        field.codes.table.weight.copy_(mean.reshape(1, -1).expand(cases, -1))
    for name, parameter in field.named_parameters():
        parameter.requires_grad_(name.startswith("codes."))
    return field


def frames_of(content: dict[str, Any]) -> list[Frame]:
    """The frames of a checkpoint's cases, in code order."""
    return [Frame.from_dict(content["frames"][case]) for case in content["cases"]]


def pack(
    field: NearField,
    structure: str,
    label_table: str,
    cases: Sequence[str],
    frames: dict[str, Frame],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """The content of a checkpoint that inference needs."""
    return {
        "format": FORMAT,
        "version": __version__,
        "structure": structure,
        "label_table": label_table,
        "cases": list(cases),
        "frames": {case: frame.to_dict() for case, frame in frames.items()},
        "settings": settings,
        "model": field.state_dict(),
    }


def check_cases(content: dict[str, Any], cases: Sequence[str], path: str | Path) -> None:
    """Refuse a checkpoint of other cases: codes belong to names.

    Raises:
        InputError: naming up to three cases on either side that the other lacks.
    """
    if list(cases) == list(content["cases"]):
        return
    lacking = sorted(set(cases) - set(content["cases"]))[:3]
    extra = sorted(set(content["cases"]) - set(cases))[:3]
    found = f"codes of {len(content['cases'])} cases" + (f", among them {', '.join(extra)}" if extra else "")
    wanted = f"codes of {len(cases)} cases" + (f", among them {', '.join(lacking)}" if lacking else " in another order")
    remedy = "Choose another --output_dir to train these cases, or run fit.json to fit codes to new cases."
    raise InputError(path, found, wanted, remedy)
