"""The record of the files that this project has written: nothing else is overwritten or deleted.

Each folder written to holds a file :data:`RECORD` with one line of JSON a written file, ``[name, digest, writer]``: the
file's name, or a pattern of names, the digest of its content, and which command or bundle has written it: what one has
written may be another's input. A file belongs to the project while its content is one that
was recorded for its name; edited by hand it is the user's. The digest ``*`` stands for any content: event files of
TensorBoard and caches, which other libraries write.

Lines are only ever appended, each before its file takes its place, so that a kill between the two leaves no file
without its line.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path

from .errors import InputError
from .fingerprints import digest_of

LOGGER = logging.getLogger(__name__)

RECORD = ".corfield_written"
ANY = "*"

EVENT_FILES = "events.out.tfevents.*"
"""Names of the files that TensorBoard's writer makes."""

OVERWRITE = "CORFIELD_OVERWRITE"
"""Environment variable that allows foreign files to be overwritten; worker processes inherit it."""

WRITER = "CORFIELD_WRITER"
"""Environment variable with the name of the command or bundle at work; worker processes inherit it. Without one, as
where a function is called from Python, every recorded file counts as the caller's."""

REMEDY = "Move it away, choose another output, or add --overwrite."

_bundle = ""
"""The bundle that :func:`write_as` was last called for in this process."""


def record(path: Path, digest: str) -> None:
    """Note that a file of that content, which is about to take its place at ``path``, is the project's."""
    line = json.dumps([path.name, digest, writer()]).encode() + b"\n"
    descriptor = os.open(path.parent / RECORD, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        with suppress(OSError):  # a file system without locks: appending is then as safe as it gets
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, b"\n" + line if torn else line)
    finally:
        os.close(descriptor)


def claim(folder: Path, pattern: str) -> None:
    """Record all files of a pattern in a folder, whatever their content, unless foreign ones are there already."""
    folder.mkdir(parents=True, exist_ok=True)
    known = recorded(folder)
    if ANY in known.get(pattern, ()):
        return
    if not any(fnmatchcase(path.name, pattern) and not is_own(path) for path in folder.iterdir()):
        record(folder / pattern, ANY)


def record_event_files(folder: Path) -> None:
    """Record the event files of TensorBoard that this process is writing in a folder, whatever they come to hold."""
    own = f".{socket.gethostname()}.{os.getpid()}."
    for path in folder.glob(EVENT_FILES):
        if own in path.name and not is_recorded(path):
            record(path, ANY)


def recorded(folder: Path) -> dict[str, set[str]]:
    """The digests that the writer at work has recorded in a folder, by file name or pattern; lines that a full disk has
    cut short are left out."""
    known: dict[str, set[str]] = {}
    try:
        lines = (folder / RECORD).read_bytes().splitlines()
    except OSError:
        return known
    for line in lines:
        try:
            name, digest, by = json.loads(line)
        except ValueError:
            continue
        if "" not in (by, writer()) and by != writer():
            continue
        known.setdefault(name, set()).add(digest)
    return known


def is_recorded(path: Path) -> bool:
    """Whether a file of that name was ever written there, whatever has become of its content since."""
    return bool(_digests(path))


def is_own(path: Path) -> bool:
    """Whether a file is there and its content is what this project has written; a link never is."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        digest = digest_of(path)
    except OSError:
        return False
    # Read last: another process records a content before it puts it in its place.
    digests = _digests(path)
    return ANY in digests or digest in digests


def _digests(path: Path) -> set[str]:
    """Those recorded for a file; a name is a pattern only where any content is the project's."""
    known = recorded(path.parent)
    claimed = any(ANY in digests and fnmatchcase(path.name, name) for name, digests in known.items())
    return known.get(path.name, set()) | ({ANY} if claimed else set())


def writer() -> str:
    """The name of the command or bundle at work; empty if none is."""
    return os.environ.get(WRITER, "")


def write_as(name: str) -> None:
    """Record what is written from here on as that bundle's, unless a command runs it; the bundle that a process ran
    before it gives way."""
    global _bundle
    if writer() in ("", _bundle):
        os.environ[WRITER] = _bundle = name


@contextmanager
def writing_as(name: str) -> Iterator[None]:
    """Record what is written inside the block as that command's or bundle's, worker processes included."""
    global _bundle
    before, bundle_before = os.environ.get(WRITER), _bundle
    os.environ[WRITER] = name
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(WRITER, None)
        else:
            os.environ[WRITER] = before
        _bundle = bundle_before


@contextmanager
def overwriting(allowed: bool) -> Iterator[None]:
    """Allow foreign files to be overwritten inside the block, by worker processes too; else leave it as it is."""
    before = os.environ.get(OVERWRITE)
    if allowed:
        allow_overwriting()
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(OVERWRITE, None)
        else:
            os.environ[OVERWRITE] = before


def allow_overwriting() -> None:
    """Allow foreign files to be overwritten from here on, until an enclosing :func:`overwriting` block ends."""
    os.environ[OVERWRITE] = "1"


def may_overwrite() -> bool:
    """Whether foreign files may be overwritten."""
    return os.environ.get(OVERWRITE) == "1"


def is_free(path: Path) -> bool:
    """Whether a file may be written at ``path``: nothing is there, or what this project has written, or it may be
    overwritten."""
    return not os.path.lexists(path) or may_overwrite() or is_own(path)


def refuse_foreign(path: Path) -> None:
    """Refuse to overwrite a file that this project has not written, or that was edited since.

    Raises:
        InputError: naming it.
    """
    if not is_free(path):
        found = "a file that was changed since it was written" if is_recorded(path) else "a file of somebody else"
        raise InputError(path, found, "a place to write", REMEDY)


def remove(path: Path) -> bool:
    """Delete a file that this project has written; any other stays, and a warning names it. Whether it is gone."""
    if not os.path.lexists(path):
        return True
    if not is_own(path) and not (may_overwrite() and path.is_file()):
        LOGGER.warning("%s: left as it is, because this project has not written it, or it was edited since", path)
        return False
    path.unlink(missing_ok=True)
    return True


def remove_tree(folder: Path) -> bool:
    """Delete the files in a folder and below that this project has written, and the folders that are then empty.

    A link to a folder is not followed, and stays. Whether nothing is left.
    """
    if not os.path.lexists(folder):
        return True
    if folder.is_symlink() or not folder.is_dir():
        return remove(folder)
    gone = [_remove_entry(path) for path in folder.iterdir() if path.name != RECORD]
    if not all(gone):
        return False
    (folder / RECORD).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def _remove_entry(path: Path) -> bool:
    if path.is_symlink() or not path.is_dir():
        return remove(path)
    if ANY in _digests(path):
        shutil.rmtree(path, ignore_errors=True)
    return remove_tree(path)
