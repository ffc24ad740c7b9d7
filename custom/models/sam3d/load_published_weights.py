"""Published weights from a local folder into a part of the model, completely or not at all (requirement C2)."""

from __future__ import annotations

import logging
import pickle
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ...errors import InputError
from .flow_transformer import POSE, POSE_STREAM
from .published_weights import PublishedPart, published_part
from .weights_origin import record_origin

logger = logging.getLogger(__name__)

State = dict[str, Tensor]


@dataclass(frozen=True)
class LoadReport:
    """What was taken from a file and what was left.

    Attributes:
        path: of the file.
        loaded: how many tensors were taken.
        ignored: how many were left, by group.
    """

    path: Path
    loaded: int
    ignored: dict[str, int]


def load_published(
    module: nn.Module,
    name: str,
    folder: Path,
    rename: Callable[[State], State] | None = None,
) -> LoadReport:
    """Load one published part strictly, as float32, and note its origin.

    Left aside are other models in the same file and, if the module has none, the pose's stream; how many of each is
    logged. Every other tensor too many, too few or of another shape is an error. Nothing is unpickled but tensors.

    Args:
        module: of the published sizes.
        name: a key of :data:`~custom.models.sam3d.published_weights.PARTS`.
        folder: with the published files.
        rename: to names of the module, from the published ones without their prefix.

    Raises:
        InputError: the file is missing, empty, unreadable, or does not fit the module.
    """
    part = published_part(name)
    path = _found(part, folder)
    ignored: Counter[str] = Counter()
    taken: State = {}
    for key, tensor in _read(path, part).items():
        if not key.startswith(part.prefix):
            ignored[".".join(key.split(".")[:2])] += 1
        else:
            taken[key[len(part.prefix) :]] = tensor.float() if tensor.is_floating_point() else tensor
    taken = rename(taken) if rename else taken
    wanted = module.state_dict()
    for key in [key for key in taken if key not in wanted and _of_pose(key)]:
        ignored["pose"] += 1
        del taken[key]
    _compare(path, taken, wanted)
    module.load_state_dict(taken, strict=True)
    record_origin(module, f"published {path.name}")
    groups = ", ".join(f"{group} ({count})" for group, count in sorted(ignored.items())) or "nothing"
    logger.info("%s: %d tensors loaded as %s; left aside: %s", path, len(taken), name, groups)
    return LoadReport(path, len(taken), dict(ignored))


def _found(part: PublishedPart, folder: Path) -> Path:
    """The first of the part's files that is there and not empty."""
    present = [folder / file for file in part.files if (folder / file).is_file()]
    filled = [path for path in present if path.stat().st_size > 0]
    if filled:
        return filled[0]
    wanted, remedy = " or ".join(part.files), f"Download {part.source}."
    if present:
        raise InputError(present[0], "a placeholder of 0 bytes", "the weights", remedy)
    raise InputError(folder, "no such file", wanted, remedy)


def _read(path: Path, part: PublishedPart) -> Mapping[str, Tensor]:
    """The file's tensors by name, out of their ``state_dict`` if they are in one."""
    remedy = f"Download it again: {part.source}."
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(path, f"a file that does not open ({type(error).__name__})", "tensors", remedy) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state:
        raise InputError(path, type(content).__name__, "a state dict", remedy)
    others = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise InputError(path, f"{others[0]!r}, which is no tensor", "tensors only", remedy)
    return state


def _of_pose(key: str) -> bool:
    parts = key.split(".")
    mapped = parts[0] == "latent_mapping" and parts[1] in POSE
    return mapped or (parts[0] == "blocks" and POSE_STREAM in parts)


def _compare(path: Path, taken: State, wanted: Mapping[str, Tensor]) -> None:
    missing = [key for key in wanted if key not in taken]
    extra = [key for key in taken if key not in wanted]
    shapes = [key for key in wanted if key in taken and taken[key].shape != wanted[key].shape]
    if not (missing or extra or shapes):
        return
    parts = {"missing": missing, "too many": extra, "of another shape": shapes}
    told = [f"{len(keys)} {what} (such as {keys[0]})" for what, keys in parts.items() if keys]
    remedy = "Set the sizes the weights were made with; see the keys of custom.models.sam3d.network_sizes.FULL."
    raise InputError(path, "tensors " + ", ".join(told), f"exactly the {len(wanted)} of the module", remedy)
