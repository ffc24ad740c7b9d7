"""Tensors in a safetensors file: written, and read without running anything from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Shaped
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import InputError

REMEDY = "Copy the folder again, or pack it again."

CODES = "codes"
"""What the one tensor of all codes is called, [cases, ...]."""

DTYPES = {"F32": torch.float32, "F16": torch.float16}
NAMES = {torch.float32: "float32", torch.float16: "float16"}


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors; equal ones give equal bytes.

    Raises:
        OSError: the place cannot be written.
    """
    # No metadata: their order in the file would change from run to run.
    path.write_bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}))


def write_codes(path: Path, codes: Shaped[Tensor, "cases *code"], dtype: torch.dtype = torch.float32) -> None:
    """Write codes as one tensor, one after the other: a table in a file need not fit into memory.

    Args:
        path: of the file.
        codes: of all cases.
        dtype: to store them in, single or half precision.

    Raises:
        OSError: the place cannot be written.
    """
    kind = next(kind for kind, known in DTYPES.items() if known == dtype)
    ends = [0, codes.numel() * dtype.itemsize]
    header = {CODES: {"dtype": kind, "shape": list(codes.shape), "data_offsets": ends}}
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for code in codes.detach():
            numbers = code.to("cpu", dtype).contiguous().numpy()
            file.write(numbers.astype(numbers.dtype.newbyteorder("<")).tobytes())


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A safetensors file, its header read and checked against its length, its tensors not read yet.

    Raises:
        InputError: it is not there, cannot be read or is no such file, a pickle for one.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file
    except (SafetensorError, OSError) as error:
        found = f"no safetensors file ({(str(error).splitlines() or [type(error).__name__])[0][:120]})"
        raise InputError(path, found, "tensors and nothing else", REMEDY) from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, finite and of single precision.

    Raises:
        InputError: see :func:`opened`, or a tensor of another type or with NaN or infinite entries.
    """
    with opened(path) as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, tensor in weights.items():
        if tensor.dtype != torch.float32:
            raise InputError(path, f"{name} as {tensor.dtype}", "torch.float32", REMEDY)
        _check_finite(path, name, tensor)
    return weights


def codes_in(path: Path) -> tuple[tuple[int, ...], str]:
    """Shape [cases, ...] and type (``float32`` or ``float16``) of the codes, from the header alone.

    Raises:
        InputError: see :func:`opened`, or another content than one tensor of codes.
    """
    with opened(path) as file:
        names = list(file.keys())
        if names != [CODES]:
            found = f"the tensors {', '.join(names[:3])}" if names else "no tensor"
            raise InputError(path, found, f"one tensor, {CODES}", REMEDY)
        stored = file.get_slice(CODES)
        shape, dtype = tuple(int(size) for size in stored.get_shape()), str(stored.get_dtype())
    if dtype not in DTYPES or len(shape) < 2 or not prod(shape):
        raise InputError(path, f"codes of type {dtype} and shape {shape}", "F32 or F16, [cases, ...]", REMEDY)
    return shape, NAMES[DTYPES[dtype]]


def read_code(path: Path, row: int) -> Tensor:
    """One code, single precision; the others are not read.

    Raises:
        InputError: see :func:`opened`, or NaN or infinite entries.
    """
    with opened(path) as file:
        code: Tensor = file.get_slice(CODES)[row : row + 1][0].float()
    _check_finite(path, f"code {row}", code)
    return code


def _check_finite(path: Path, name: str, tensor: Tensor) -> None:
    if not torch.isfinite(tensor).all():
        raise InputError(path, f"NaN or infinite entries in {name}", "finite numbers", REMEDY)
