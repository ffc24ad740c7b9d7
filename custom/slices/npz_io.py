"""Files of named arrays (.npz) with a fixed layout: written whole or not at all, read without pickles and checked."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import write_file

Layout = Mapping[str, tuple[str, tuple[str | int, ...]]]
"""Type and shape of every array; an axis with a letter is as long wherever that letter stands. ``U`` is any text."""

REMEDY = "Make it again with `corfield slices`."

_UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What numpy and zipfile raise on a damaged file."""


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays, compressed; equal arrays give equal bytes.

    Raises:
        InputError: the place cannot be written, a full disk included: what was there before is still there.
    """
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    write_file(path, packed.getbuffer())


def read_arrays(path: Path, layout: Layout, schema: int, wanted: str) -> dict[str, np.ndarray]:
    """Read a file and check that its arrays are the layout's; ``schema`` must be one of them.

    Raises:
        InputError: no such file, a damaged one, another schema, an array that is missing or of another shape or type;
            always naming the file.
    """
    if not path.is_file():
        raise InputError(path, "no such file", wanted, "Check the path.")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except _UNREADABLE as error:
        first = (str(error).splitlines() or [""])[0][:160] or type(error).__name__
        raise InputError(path, f"a file that cannot be read ({first})", wanted, REMEDY) from error
    _check(path, arrays, layout, schema)
    return arrays


def _check(path: Path, arrays: Mapping[str, np.ndarray], layout: Layout, schema: int) -> None:
    missing = [name for name in layout if name not in arrays]
    if missing:
        raise InputError(path, f"no {', '.join(missing)}", f"the arrays of schema {schema}", REMEDY)
    if arrays["schema"].shape != () or arrays["schema"].dtype.kind not in "iu" or int(arrays["schema"]) != schema:
        raise InputError(path, f"schema {arrays['schema']}", f"schema {schema}", REMEDY)
    sizes: dict[str, int] = {}
    for name, (kind, shape) in layout.items():
        array = arrays[name]
        fits = array.dtype.kind == "U" if kind == "U" else array.dtype == np.dtype(kind)
        fits &= len(array.shape) == len(shape)
        if fits:
            axes = zip(shape, array.shape, strict=True)
            fits = all(n == (sizes.setdefault(axis, n) if isinstance(axis, str) else axis) for axis, n in axes)
        if not fits:
            found = f"{name} of type {array.dtype} and shape {list(array.shape)}"
            raise InputError(path, found, f"{kind} {list(shape)} with {sizes}", REMEDY)
