"""Opening a package: every byte compared with what was written, and nothing in it run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from ..models.near.near_field import NearField
from ..near.field_checkpoint import field_of
from ..training.setting_rules import RULES
from .manifest import CODES_FILE, FIELD, FILES, MANIFEST, Manifest, read_manifest
from .packed_model import HeartModel
from .safetensors_io import codes_in, read_weights

BLOCK = 1 << 20

CODE = "codes.table.weight"
"""What a field's state dict calls its codes."""


def load(folder: str | Path, device: str = "") -> HeartModel:
    """Open a package. Every byte of it is compared with what was written, and nothing in it is run.

    Args:
        folder: that `corfield pack` has written.
        device: where it is asked, such as ``cpu`` or ``cuda``; empty for a GPU if there is one.

    Raises:
        InputError: no such folder or device, another program's or a newer format, a file that is missing, damaged or
            changed, or contents that do not belong together.
    """
    folder = Path(folder)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        raise InputError(folder, found, "the folder of a package", "Give one that `corfield pack` has written.")
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if not RULES["device"].holds(chosen):
        raise InputError("--device", repr(device), RULES["device"].wanted, "Choose one, or leave it out.")
    manifest = read_manifest(folder / MANIFEST)
    for name in FILES:
        check_file(folder / name, manifest.files[name])
    return HeartModel(folder, manifest, field_in(folder, manifest).to(chosen))


def check_file(path: Path, note: Mapping[str, Any]) -> None:
    """Refuse a file that is not what was written.

    Args:
        path: of the file.
        note: its ``bytes`` and ``sha256``.

    Raises:
        InputError: missing, cut short or longer, or changed; it names the hashes.
    """
    remedy = "Copy the folder again, or pack the run again."
    try:
        size, hashed = path.stat().st_size, sha256(path)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        found = "no such file" if missing else f"a file that cannot be read ({error.strerror})"
        raise InputError(path, found, "all files of the package", remedy) from error
    if size != note["bytes"]:
        raise InputError(path, f"{size} bytes", f"the {note['bytes']} bytes that were written", remedy)
    if hashed != note["sha256"]:
        found, wanted = f"contents with the SHA-256 {hashed}", f"those written, with {note['sha256']}"
        raise InputError(path, found, wanted, remedy)


def sha256(path: Path) -> str:
    """SHA-256 of a file, read a block at a time."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def field_in(folder: Path, manifest: Manifest) -> NearField:
    """The field with room for one code.

    Raises:
        InputError: tensors that are not those of the network that ``model.json`` describes, or codes of another number
            of cases.
    """
    weights = read_weights(folder / FIELD)
    shape, _ = codes_in(folder / CODES_FILE)
    remedy = "Pack the run again: this package does not fit together."
    if shape[0] != len(manifest.cases):
        found = f"codes of {shape[0]} cases"
        raise InputError(folder / CODES_FILE, found, f"those of {len(manifest.cases)}", remedy)
    weights[CODE] = torch.zeros(1, prod(shape[1:]))
    try:
        field = field_of({"cases": ["one"], "settings": {"network": manifest.network}, "model": weights})
    except (InputError, ValueError, IndexError, AssertionError) as error:
        found = str(error.parts[1]) if isinstance(error, InputError) else f"no network ({error})"
        raise InputError(folder / FIELD, found, f"the network that {MANIFEST} describes", remedy) from error
    if field.codes.shape != shape[1:] or field.outputs != len(manifest.label_table):
        found = f"codes of {shape[1:]} and {field.outputs} structures"
        wanted = f"codes of {field.codes.shape} and {len(manifest.label_table)} structures"
        raise InputError(folder / CODES_FILE, found, wanted, remedy)
    return field
