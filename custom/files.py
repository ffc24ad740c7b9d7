"""Files that are there whole or not at all, whenever the program is stopped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import InputError

WANTED = "a writable file"
REMEDY = "Choose another output folder or free some space."


@contextmanager
def replacing(path: Path, wanted: str = WANTED, remedy: str = REMEDY) -> Iterator[Path]:
    """A place beside ``path`` to write to, which takes the place of ``path`` at the end of the block.

    If the block fails, what was at ``path`` before is still there and nothing else. Missing folders are made.

    Args:
        path: of the file.
        wanted, remedy: of the error.

    Raises:
        InputError: the place cannot be written; a full disk is such a place.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        found = f"a place that cannot be written ({error.strerror or error})"
        raise InputError(path, found, wanted, remedy) from error
    finally:
        with suppress(OSError):
            part.unlink()


def write_file(path: Path, content: str | bytes | memoryview) -> None:
    """Write a file, text in UTF-8, whole or not at all. Raises ``InputError`` as :func:`replacing` does."""
    with replacing(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
