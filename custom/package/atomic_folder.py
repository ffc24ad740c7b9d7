"""A folder that takes its place whole, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError
from ..files import is_part_of, part_of
from ..fingerprints import content_digest
from ..output_record import RECORD, record
from .manifest import FILES, MANIFEST


@contextmanager
def built(output: Path, overwrite: bool) -> Iterator[Path]:
    """A new folder beside ``output``, moved there at the end; if anything fails, what was there stays.

    Raises:
        InputError: see :func:`check_place`, or the place cannot be written.
    """
    output = output.resolve()
    check_place(output, overwrite)
    part = part_of(output)
    try:
        part.mkdir(parents=True)
        yield part
        check_place(output, overwrite)
        for path in sorted(part.iterdir()):
            record(path, content_digest(path))
        _move(part, output)
        _clear(output)
    except OSError as error:
        found = f"a place that cannot be written ({error.strerror or error})"
        raise InputError(output, found, "a writable folder", "Choose another --output or free some space.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_place(output: Path, overwrite: bool) -> None:
    """Refuse a place that holds anything but a package that may be replaced. Nothing, and an empty folder, is free.

    Raises:
        InputError: a file is there, a folder of other files, or a package while ``overwrite`` is false.
    """
    if not output.exists():
        return
    if not output.is_dir():
        raise InputError(output, "a file", "a folder to write", "Choose another --output.")
    there = {path.name for path in output.iterdir() if path.name != RECORD}
    others = sorted(there - {*FILES, MANIFEST})
    if others or (there and MANIFEST not in there):
        found = f"a folder that holds {', '.join((others or sorted(there))[:3])}"
        raise InputError(output, found, "a new folder, or a package to replace", "Choose another --output.")
    if there and not overwrite:
        raise InputError(output, "a package", "a new folder", "Choose another --output, or add --overwrite.")


def _move(part: Path, output: Path) -> None:
    """Into its place; a package there stands aside first, and comes back if that fails."""
    if not output.exists():
        os.rename(part, output)
        return
    aside = part_of(output.with_name(f"{output.name}.old"))
    os.rename(output, aside)
    try:
        os.rename(part, output)
    except OSError:
        os.rename(aside, output)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _clear(output: Path) -> None:
    """Remove what packing that was killed has left beside the place."""
    for path in output.parent.iterdir():
        ours = is_part_of(path, output) or is_part_of(path, output.with_name(f"{output.name}.old"))
        if ours and path.is_dir() and not _alive(int(path.name.split(".")[-2])):
            shutil.rmtree(path, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
