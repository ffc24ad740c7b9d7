"""Files that are there whole or not at all, whenever the program is stopped, and never in the place of a user's."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import InputError
from .fingerprints import content_digest
from .output_record import is_recorded, record, refuse_foreign

WANTED = "a writable file"
REMEDY = "Choose another output folder or free some space."

_PART = re.compile(r"\..+\.\d+\.corfield-part", re.DOTALL)


def part_of(path: Path) -> Path:
    """The hidden place beside ``path`` where this process writes what is to be moved there once it is whole."""
    return path.with_name(f".{path.name}.{os.getpid()}.corfield-part")


def is_part(path: Path) -> bool:
    """Whether a name is one of :func:`part_of`, of any process: found later, it is what a kill has left."""
    return _PART.fullmatch(path.name) is not None


def is_part_of(path: Path, whole: Path) -> bool:
    """Whether a name is what :func:`part_of` gives for ``whole``, in any process."""
    return is_part(path) and path.name.rsplit(".", 2)[0] == f".{whole.name}"


FULL = (errno.ENOSPC, errno.EDQUOT)
"""No space left on the device; the user's share of it used up."""


@contextmanager
def replacing(path: Path, wanted: str = WANTED, remedy: str = REMEDY, state: bool = False) -> Iterator[Path]:
    """A place beside ``path`` to write to, which takes the place of ``path`` at the end of the block.

    If the block fails, what was at ``path`` before is still there and nothing else. Missing folders are made. The file
    is noted in the record of its folder (:mod:`custom.output_record`).

    Args:
        path: of the file.
        wanted, remedy: of the error.
        state: whether it is a run's note of what it has done: one that was torn or edited since is replaced, too.

    Raises:
        InputError: the place cannot be written; a full disk is such a place. Or a file is there that this project has
            not written, or that was edited since.
    """
    if not (state and is_recorded(path)):
        refuse_foreign(path)
    part = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        record(path, content_digest(part))
        os.replace(part, path)
    except OSError as error:
        found = f"a place that cannot be written ({error.strerror or error})"
        raise InputError(path, found, wanted, remedy) from error
    finally:
        with suppress(OSError):
            part.unlink()


def write_file(path: Path, content: str | bytes | memoryview, state: bool = False) -> None:
    """Write a file, text in UTF-8, whole or not at all. Raises ``InputError`` as :func:`replacing` does."""
    with replacing(path, state=state) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def check_folder(folder: Path, remedy: str = REMEDY) -> None:
    """Refuse a folder that cannot be made or written, and leave nothing: one that is not there is not made.

    Args:
        folder: that will be written to.
        remedy: of the error.

    Raises:
        InputError: naming the folder.
    """
    try:
        there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
        with tempfile.TemporaryDirectory(dir=there) as empty:
            for part in set(folder.absolute().relative_to(there.absolute()).parts) - {".."}:
                (Path(empty) / part).mkdir()  # a name that is too long, say
    except OSError as error:
        found = f"a folder that cannot be written ({error.strerror})"
        raise InputError(folder, found, "a writable folder", remedy) from error


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that led to it; one that stands in it twice ends it."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def is_full_disk(error: BaseException) -> bool:
    """Whether an error comes of a disk without room. Some libraries keep no more of it than the words."""
    return any(
        isinstance(link, OSError) and link.errno in FULL or "No space left on device" in str(link)
        for link in chain(error)
    )
