"""Zip archives whose bytes depend on their content alone."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

from ..errors import InputError

TIME = (1980, 1, 1, 0, 0, 0)
"""The time of every entry: the earliest that a zip can hold."""

UNIX = 3


def check_output(output: Path, overwrite: bool) -> None:
    """Refuse a place for an archive before any work is done for it.

    Raises:
        InputError: it is not called ``.zip``, is a folder, or exists and may not be overwritten.
    """
    if output.suffix != ".zip":
        raise InputError(output, f"a name that ends in {output.suffix or 'nothing'!r}", "X.zip", "Call it X.zip.")
    if output.is_dir():
        raise InputError(output, "a folder", "a file to write", "Choose another --output.")
    if output.exists() and not overwrite:
        raise InputError(output, "a file", "a new one", "Choose another --output, or add --overwrite.")


def write_archive(path: Path, top: str, files: Mapping[str, bytes]) -> None:
    """Write files, sorted, with fixed times and permissions, into one folder of a zip.

    Args:
        path: of the zip.
        top: name of the folder in it.
        files: contents by path in that folder; none makes an empty zip.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{top}/{name}", TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = UNIX, 0o100644 << 16
            archive.writestr(entry, files[name], compresslevel=9)


def place(part: Path, output: Path, overwrite: bool) -> None:
    """Move a finished archive to its place, whole; one that has appeared there meanwhile is refused again.

    Raises:
        InputError: as :func:`check_output`.
    """
    check_output(output, overwrite)
    os.replace(part, output)
