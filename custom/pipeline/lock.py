"""One run at a time in an output folder."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import InputError

LOGGER = logging.getLogger(__name__)

PATIENCE_SECONDS = 3.0
"""The workers of a run that was killed need a moment to notice."""

UNFINISHED = re.compile(r"\..+\.\d+\.(part|tmp)", re.DOTALL)
"""The name of a file beside its place holds the number of the process; hidden files of other programs do not."""


@contextmanager
def only_run_in(output: Path) -> Iterator[None]:
    """Hold an output folder alone, and clear away what a killed run had half written.

    The operating system gives the lock back with the process that holds it, however that ends: none goes stale.

    Raises:
        InputError: the folder cannot be written, or another run holds it.
    """
    with _opened(output) as stream:
        _wait_for(stream.fileno(), output)
        stream.seek(0)
        stream.truncate()
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        for part in unfinished(output):
            part.unlink(missing_ok=True)
        yield


def _opened(output: Path) -> IO[str]:
    try:
        output.mkdir(parents=True, exist_ok=True)
        return (output / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        found = f"a folder that cannot be written ({error.strerror})"
        raise InputError(output, found, "a writable folder", "Choose another --output.") from error


def _wait_for(descriptor: int, output: Path) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > until:
                holder = (output / ".lock").read_text(encoding="utf-8").strip() or "unknown"
                found = f"another run at work in it (process {holder})"
                remedy = "Wait for it, or choose another --output."
                raise InputError(output, found, "one run at a time", remedy) from error
        except OSError as error:
            LOGGER.warning("%s: no locks on this file system (%s); see that one run at a time uses it", output, error)
            return
        time.sleep(0.1)


def unfinished(output: Path) -> list[Path]:
    """The files that were being written beside their place when their process was killed."""
    return [path for path in output.rglob(".*") if UNFINISHED.fullmatch(path.name) and path.is_file()]
