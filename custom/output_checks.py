"""Checks of a run before anything is touched: no output is an input or holds one, and none is a foreign file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from .errors import InputError
from .output_record import RECORD, refuse_foreign

REMEDY = "Choose another output."


def refuse_covering(
    places: Iterable[str | Path], inputs: Iterable[str | Path], flat: Iterable[str | Path] = ()
) -> None:
    """Refuse output places that are an input, or that hold one.

    Both are compared as they are on the disk, links followed; of files also whether they are one by a hard link.

    Args:
        places: files, and folders of which anything may be overwritten or deleted, that the run writes. They need not
            be there.
        inputs: files and folders that it reads; an empty name stands for none.
        flat: folders in which the run writes files, and nothing below.

    Raises:
        InputError: naming the input and the place.
    """
    owned = [Path(place) for place in places if str(place)]
    resolved = {place.resolve(): place for place in owned}
    level = {Path(place).resolve(): Path(place) for place in flat}
    files = {(stat.st_dev, stat.st_ino): place for place in owned if (stat := _file_stat(place)) is not None}
    for given in inputs:
        if not str(given):
            continue
        real = Path(given).resolve()
        place = next((resolved[above] for above in (real, *real.parents) if above in resolved), None)
        if place is None:
            place = level.get(real, level.get(real.parent) if real.is_file() else None)
        if place is None and (stat := _file_stat(Path(given))) is not None:
            place = files.get((stat.st_dev, stat.st_ino))
        if place is not None:
            same = "which this run would write" if real == place.resolve() else f"inside {place}, which this run writes"
            raise InputError(given, f"an input {same}", "inputs that no output can overwrite or delete", REMEDY)


def refuse_foreign_files(paths: Iterable[str | Path]) -> None:
    """Refuse files to be written where somebody else's are. Raises ``InputError`` at the first."""
    for path in paths:
        refuse_foreign(Path(path))


def refuse_foreign_tree(folder: Path) -> None:
    """Refuse a folder that is to be replaced as a whole and holds somebody else's files. Raises ``InputError``."""
    if folder.is_dir() and not folder.is_symlink():
        refuse_foreign_files(path for path in sorted(folder.rglob("*")) if not path.is_dir() and path.name != RECORD)
    else:
        refuse_foreign_files([folder])


def _file_stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat() if path.is_file() else None
    except OSError:
        return None
