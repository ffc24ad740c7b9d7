"""Checkpoints of a field: what they hold, how they are written and what is refused."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..errors import InputError
from ..models.near.latent_codes import TABLE
from ..models.near.memory_mapped_table import TableStorage
from ..models.near.near_field import NearField
from ..space import Frame
from ..training.checkpoint_file import REMEDY, read_content

FORMAT = "corfield.near_stage1/1"
PARTS = {"structure": str, "label_table": str, "cases": list, "frames": dict, "settings": dict, "model": dict}


def _check_parts(path: Path, content: dict[str, Any]) -> None:
    lacking = [part for part, kind in PARTS.items() if not isinstance(content.get(part), kind)]
    lacking += [f"frame of {case}" for case in content.get("cases") or () if case not in (content.get("frames") or ())]
    if lacking:
        raise InputError(path, f"no {', '.join(lacking[:3])} in it", "a whole checkpoint", REMEDY)
    faulty = [name for name, weights in content["model"].items() if not _is_finite(weights)]
    if faulty:
        found = f"weights that are NaN or infinite ({faulty[0]})"
        remedy = "That run has diverged: train again with a smaller --learning_rate, into another --output_dir."
        raise InputError(path, found, "finite weights", remedy)


def _is_finite(weights: torch.Tensor) -> bool:
    """Whether none is NaN or infinite: both show in the extremes, which take no copy of a large table."""
    return not weights.numel() or all(bool(torch.isfinite(end)) for end in weights.aminmax())


def load_checkpoint(
    path: str | Path, device: str | torch.device = "cpu", structure: str | None = None
) -> dict[str, Any]:
    """A checkpoint's content, read with ``weights_only=True``.

    Args:
        path: the file.
        device: where its tensors go. On the CPU they are the file's own pages, read when they are looked at.
        structure: refuse a checkpoint of another one.

    Keys: ``format, version, structure, label_table, cases`` (names in code order), ``frames`` (by case name),
    ``settings``, ``model``; and for going on ``optimizer, scheduler, engine, best``.

    Raises:
        InputError: no such file, damaged, truncated, not a checkpoint, another program's, of weights that are not
            finite, or another structure's.
    """
    path = Path(path)
    if not os.path.isfile(path):  # unlike Path's, false for a file in a folder that may not be entered
        raise InputError(path, "a folder" if os.path.isdir(path) else "no such file", "a checkpoint", REMEDY)
    content = read_content(path, device)
    found = content.get("format") if isinstance(content, dict) else type(content).__name__
    if found != FORMAT:
        raise InputError(path, f"a file of format {found!r}", f"a checkpoint of format {FORMAT!r}", REMEDY)
    _check_parts(path, content)
    if structure is not None and content["structure"] != structure:
        remedy = f"Give --structure {content['structure']}, or the checkpoint of {structure}."
        raise InputError(path, f"a field of {content['structure']}", f"a field of {structure}", remedy)
    return dict(content)


def field_of(content: dict[str, Any]) -> NearField:
    """The field of a checkpoint, in evaluation mode; its codes are the checkpoint's own, without a copy.

    Raises:
        InputError: the weights are not those of the network it describes, or the codes of another number of cases.
    """
    try:
        table = content["model"][TABLE]
        if len(table) != len(content["cases"]):
            raise RuntimeError(f"{len(table)} codes of {len(content['cases'])} cases")
        field = NearField(1, **content["settings"]["network"])
        field.load_state_dict({**content["model"], TABLE: table[:1]})
        field.codes.take(table)
    except (RuntimeError, TypeError, KeyError) as error:
        found = f"weights of another network ({' '.join(str(error).split())[:120]})"
        raise InputError("checkpoint", found, "those of the network it describes", REMEDY) from error
    return field.eval()


def field_for_new_cases(content: dict[str, Any], cases: int, place: TableStorage | None = None) -> NearField:
    """The trained field with fresh codes for cases it has never seen; everything but the codes is frozen.

    All codes start at the mean of the trained ones: a search that starts far from every known code does not find one
    (a known failure of auto-decoders, Park et al., "DeepSDF", CVPR 2019, and its users).

    Args:
        content: of the checkpoint.
        cases: how many new ones.
        place: where a large table of their codes lies; ``None``: in memory.
    """
    trained = field_of(content)
    mean = trained.codes.mean().detach().flatten()
    field = NearField(cases, place=place, **content["settings"]["network"])
    field.pyramid, field.head = trained.pyramid, trained.head
    field.codes.fill(lambda row: row.copy_(mean))
    for name, parameter in field.named_parameters():
        parameter.requires_grad_(name.startswith("codes."))
    return field.eval()


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
