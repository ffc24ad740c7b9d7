"""One run at a time in an output folder."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ..errors import InputError
from ..files import is_part

LOGGER = logging.getLogger(__name__)

LOCK = ".corfield_lock"

PATIENCE_SECONDS = 3.0
"""The workers of a run that was killed need a moment to notice."""


@contextmanager
def only_run_in(output: Path) -> Iterator[None]:
    """Hold an output folder alone, and clear away what a killed run had half written.

    The operating system gives the lock back with the process that holds it, however that ends: none goes stale. A run
    that fails before it has written any file leaves no folder that it has made.

    Raises:
        InputError: the folder cannot be written, or another run holds it.
    """
    made = [folder for folder in (output, *output.parents) if not folder.exists()]
    with _held(output) as stream:
        stream.seek(0)
        stream.truncate()
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        for part in unfinished(output):
            part.unlink(missing_ok=True)
        try:
            yield
        except BaseException:
            _leave_nothing(output, made)
            raise


def _held(output: Path) -> IO[str]:
    """The lock's file, held; another run may have taken it away while this one waited for it."""
    while True:
        stream = _opened(output)
        try:
            _wait_for(stream.fileno(), output)
            with suppress(OSError):
                if os.path.samestat(os.fstat(stream.fileno()), os.stat(output / LOCK)):
                    return stream
        except BaseException:
            stream.close()
            raise
        stream.close()


def _opened(output: Path) -> IO[str]:
    try:
        output.mkdir(parents=True, exist_ok=True)
        return (output / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        found = f"a folder that cannot be written ({error.strerror})"
        raise InputError(output, found, "a writable folder", "Choose another --output.") from error


def _leave_nothing(output: Path, made: Sequence[Path]) -> None:
    """Take away folders that were made if there is no file in them but the lock."""
    if output not in made or any(path != output / LOCK and not path.is_dir() for path in output.rglob("*")):
        return
    shutil.rmtree(output, ignore_errors=True)
    with suppress(OSError):
        for folder in made[1:]:
            folder.rmdir()


def _wait_for(descriptor: int, output: Path) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > until:
                holder = (output / LOCK).read_text(encoding="utf-8").strip() or "unknown"
                found = f"another run at work in it (process {holder})"
                remedy = "Wait for it, or choose another --output."
                raise InputError(output, found, "one run at a time", remedy) from error
        except OSError as error:
            LOGGER.warning("%s: no locks on this file system (%s); see that one run at a time uses it", output, error)
            return
        time.sleep(0.1)


def unfinished(output: Path) -> list[Path]:
    """The files that were being written beside their place when their process was killed."""
    return [path for path in output.rglob(".*") if is_part(path) and path.is_file()]
