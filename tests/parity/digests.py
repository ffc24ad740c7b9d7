"""Digests of what a run wrote: of arrays and tables, never of times, paths or archives' own bytes."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import safetensors.numpy
import torch

RECORD = Path(__file__).with_name("digests.json")
VOLATILE = ("seconds", "time", "date", "version", "path", "file", "folder")
"""Keys of tables and JSON files that differ from run to run, machine to machine or release to release."""

WEIGHTS = ("model", "parts", "adapter")
"""Keys of a checkpoint that hold tensors the network is built from."""


def machine() -> dict[str, str]:
    """What floating-point results depend on beside the code: digests of other machines are not compared."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    known = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = " ".join(sorted(known.get("flags", "").split()))
    return {
        "cpu": known.get("model name", platform.processor()),
        "flags": hashlib.sha256(flags.encode()).hexdigest()[:16],
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": platform.machine(),
    }


def digests_of(folder: Path, patterns: Iterable[str]) -> dict[str, str]:
    """A digest for each file below a folder that a pattern names, by its path in the folder.

    Raises:
        AssertionError: a pattern names no file, so that nothing would be compared.
    """
    found: dict[str, str] = {}
    for pattern in patterns:
        paths = sorted(path for path in folder.glob(pattern) if path.is_file())
        assert paths, f"{pattern}: nothing of that name in {folder}"
        for path in paths:
            found[path.relative_to(folder).as_posix()] = _digest(path, folder)
    return found


def _digest(path: Path, folder: Path) -> str:
    reader = next((read for ending, read in READERS.items() if path.name.endswith(ending)), None)
    content = path.read_bytes() if reader is None else reader(path, folder)
    return hashlib.sha256(content).hexdigest()[:16]


def _arrays(named: dict[str, Any]) -> bytes:
    """Names, types, shapes and bytes of arrays, in the order of their names."""
    out = io.BytesIO()
    for name in sorted(named):
        array = np.ascontiguousarray(named[name])
        out.write(f"{name} {array.dtype} {array.shape}\n".encode())
        out.write(array.tobytes())
    return out.getvalue()


def _nifti(path: Path, folder: Path) -> bytes:
    image = nib.load(path)
    return _arrays({"data": np.asarray(image.dataobj), "affine": image.affine})


def _npz(path: Path, folder: Path) -> bytes:
    with np.load(path) as archive:
        return _arrays({name: archive[name] for name in archive.files if name.partition("/")[0] not in VOLATILE})


def _tensors(path: Path, folder: Path) -> bytes:
    return _arrays(safetensors.numpy.load_file(path))


def _checkpoint(path: Path, folder: Path) -> bytes:
    """The weights: of a field or a network (``model``), or of the parts of one and of its adapters."""
    content = torch.load(path, weights_only=True)
    weights = {key: content[key] for key in WEIGHTS if key in content}
    return content["format"].encode() + _arrays(dict(_tensors_in(weights)))


def _tensors_in(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _tensors_in(value, f"{prefix}{key}/")
        elif isinstance(value, torch.Tensor):
            yield f"{prefix}{key}", value.numpy()


def _table(path: Path, folder: Path) -> bytes:
    with open(path, encoding="utf-8", newline="") as file:
        rows = [{key: _relative(value, folder) for key, value in _steady(row).items()} for row in csv.DictReader(file)]
    return json.dumps(rows).encode()


def _json(path: Path, folder: Path) -> bytes:
    return _relative(json.dumps(_steady(json.loads(path.read_text(encoding="utf-8"))), sort_keys=True), folder).encode()


def _steady(content: Any) -> Any:
    """The content without what :data:`VOLATILE` names."""
    if isinstance(content, dict):
        kept = {key: value for key, value in content.items() if not any(word in str(key).lower() for word in VOLATILE)}
        return {key: _steady(value) for key, value in kept.items()}
    return [_steady(one) for one in content] if isinstance(content, list) else content


def _relative(text: str, folder: Path) -> str:
    return text.replace(str(folder), ".")


READERS: dict[str, Callable[[Path, Path], bytes]] = {
    ".nii.gz": _nifti,
    ".npz": _npz,
    ".safetensors": _tensors,
    ".pt": _checkpoint,
    ".csv": _table,
    ".json": _json,
}
