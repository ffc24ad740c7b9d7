"""Whether a NIfTI file can hold the voxels that its header promises, found out before any memory is taken for them."""

from __future__ import annotations

import errno
import gzip
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError

DEFLATE_LIMIT = 1032
"""Bytes that a byte of a gzip file can stand for at most: the format has no shorter code."""

SLACK_BYTES = 1 << 16

PIECE_BYTES = 1 << 20


def promised_bytes(image: Any) -> int:
    """Bytes of an uncompressed file with the header of a nibabel image: all before the voxels, and the voxels."""
    return int(image.dataobj.offset) + math.prod(image.shape) * int(image.get_data_dtype().itemsize)


def is_gzip(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def check_size(path: Path, image: Any) -> None:
    """Refuse a header that promises more than a file of this size can hold, however well it is compressed.

    Raises:
        InputError: naming shape and bytes.
    """
    size = path.stat().st_size
    most = DEFLATE_LIMIT * size + SLACK_BYTES if is_gzip(path) else size
    if promised_bytes(image) > most:
        raise _short(path, image, f"a file of {size} bytes" + (", compressed" if is_gzip(path) else ""))


def check_content(path: Path, image: Any) -> None:
    """Read a gzip file to its end in pieces, where its checksum stands that nibabel never sees, and count its bytes.

    Raises:
        InputError: they are fewer than the header promises.
        OSError, EOFError, zlib.error: the file is damaged.
    """
    if not is_gzip(path):
        return
    held = 0
    with gzip.open(path) as stream:
        while piece := stream.read(PIECE_BYTES):
            held += len(piece)
    if held < promised_bytes(image):
        raise _short(path, image, f"{held} bytes when it is unpacked")


def _short(path: Path, image: Any, held: str) -> InputError:
    shape, promised = tuple(map(int, image.shape)), promised_bytes(image)
    found = f"voxels that cannot be read: its header promises {shape} voxels, {promised} bytes, in {held}"
    return InputError(path, found, "a complete file", "Copy or export it again: it is damaged or cut short.")


@contextmanager
def enough_memory(path: Path, image: Any) -> Iterator[None]:
    """Let an error for want of memory in the block name the file.

    Raises:
        InputError: there was not enough, with shape and size.
    """
    try:
        yield
    except (MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENOMEM:
            raise
        found = f"{tuple(map(int, image.shape))} voxels, {in_words(promised_bytes(image))}, for which memory is short"
        remedy = "Take fewer --workers or a machine with more memory, or crop the volume to the heart."
        raise InputError(path, found, "a volume that fits into memory", remedy) from error


def in_words(size: int) -> str:
    """Bytes in MB, or GB of many."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
