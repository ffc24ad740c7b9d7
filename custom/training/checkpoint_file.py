"""A checkpoint as a file: written whole or not at all, read with weights only and checked for damage."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

from ..errors import InputError
from ..files import replacing

REMEDY = "Give the best.pt or last.pt of a training run."


def save_atomically(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that ``path`` holds either the old one or the whole new one, even on a full disk."""
    remedy = "Free some space there, or choose another."
    with replacing(path, "room for a checkpoint", remedy) as part, open(part, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # torch wraps the file's error in one of its own
            cause = error.__cause__ or error.__context__
            raise cause if isinstance(cause, OSError) else OSError(str(error).splitlines()[0][:80]) from error
        file.flush()
        os.fsync(file.fileno())


def read_content(path: Path, device: str | torch.device) -> Any:
    """What the file holds, once every record of it has passed its checksum; torch itself does not look at them."""
    try:
        with ZipFile(path) as records:
            damaged = records.testzip()
        if damaged is None:
            # Memory-mapped: of a table of many codes only the rows that are read are ever in memory.
            return torch.load(path, map_location=device, weights_only=True, mmap=True)
        reason = f"record {damaged} fails its checksum"
    except pickle.UnpicklingError as error:
        found = "objects besides weights, which are not loaded because loading them could run any code"
        raise InputError(path, found, "a checkpoint", REMEDY) from error
    except PermissionError as error:
        raise InputError(path, "no permission to read it", "a readable file", "Check who may read it.") from error
    except (RuntimeError, EOFError, BadZipFile, ValueError, KeyError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
    remedy = f"It is damaged or cut short: copy it again. {REMEDY}"
    raise InputError(path, f"a file that cannot be read ({reason})", "a whole checkpoint", remedy)
