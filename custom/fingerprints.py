"""What a file holds, as a digest of its bytes: size and time of change stay the same where two files are swapped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PIECE_BYTES = 1 << 20

TICK_NS = 20_000_000
"""File systems keep times by ticks of up to 10 ms: a second change within one leaves no trace in them."""

_NUMBERS = ("bytes", "mtime_ns", "ctime_ns", "inode")


@dataclass(frozen=True)
class FileState:
    """A file at one moment.

    Attributes:
        bytes: its size.
        mtime_ns: time of the last change of its content, which any program can set.
        ctime_ns: time of the last change of content, name or times, which none can set; 0 if the file was read so soon
            after it that another change could have the same time: no file is taken for it unread.
        inode: its number in the file system.
        digest: of its bytes, see :func:`content_digest`.
    """

    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    digest: str

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def of(cls, record: Any) -> FileState | None:
        """What :meth:`plain` gave, other keys beside it or not; ``None`` of anything else."""
        if not isinstance(record, Mapping) or not isinstance(record.get("digest"), str):
            return None
        numbers = {name: record.get(name) for name in _NUMBERS}
        if not all(isinstance(number, int) for number in numbers.values()):
            return None
        return cls(**numbers, digest=record["digest"])  # type: ignore[arg-type]


_READ: dict[tuple[str, int, int, int, int], str] = {}
"""Digests of the files that this process has read, by path, size, times and inode."""


def content_digest(path: str | Path) -> str:
    """blake2b of a file's bytes, 32 hexadecimal digits, read in pieces. Raises ``OSError``."""
    hashed = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            hashed.update(piece)
    return hashed.hexdigest()


def file_state(path: str | Path, known: FileState | None = None) -> FileState:
    """The state of a file now, as it is before anything else is read of it.

    It is read only if its size, its times or its inode are not those of ``known``, nor of a state that this process has
    taken of it before.

    Args:
        path: of the file.
        known: its state at an earlier moment.

    Raises:
        OSError: it cannot be read, or is not there.
    """
    now, stat = time.time_ns(), Path(path).stat()
    numbers = stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
    key = (str(Path(path).absolute()), *numbers)
    if known is not None and numbers == (known.bytes, known.mtime_ns, known.ctime_ns, known.inode):
        _READ[key] = known.digest
        return known
    if key in _READ:
        return FileState(*numbers, digest=_READ[key])
    digest = content_digest(path)
    if now - stat.st_ctime_ns < TICK_NS:
        return FileState(stat.st_size, stat.st_mtime_ns, 0, stat.st_ino, digest)
    _READ[key] = digest
    return FileState(*numbers, digest=digest)


def digest_of(path: str | Path) -> str:
    """The digest of a file as it is now, read at most once by this process while it does not change. Raises
    ``OSError`` as :func:`file_state`."""
    return file_state(path).digest


def state_if_there(path: str | Path | None, known: FileState | None = None) -> FileState | None:
    """As :func:`file_state`; ``None`` if there is no such file, or it cannot be read."""
    try:
        return None if path is None else file_state(path, known)
    except OSError:
        return None


def digest_if_there(path: str | Path | None) -> str:
    """As :func:`digest_of`; empty if there is no such file, or it cannot be read."""
    state = state_if_there(path)
    return "" if state is None else state.digest
