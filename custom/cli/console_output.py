"""How a command speaks: at once, and with the exit code that tells a script what was left out."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ..errors import InputError

LEFT_OUT, REFUSED, STOPPED, UNREAD = 1, 2, 130, 141
"""Exit codes: something was left out; refused; Ctrl-C; nobody reads what is printed any more."""


def print_line(text: str, end: str = "\n\n") -> None:
    """Print at once: what comes before hours of work must not wait for them.

    Raises:
        InputError: standard output cannot be written, such as to a full disk.
        BrokenPipeError: its reader has gone.
    """
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        found = f"a place that cannot be written ({error.strerror or error})"
        remedy = "Free some space, or send the output elsewhere."
        raise InputError("standard output", found, "a place to print to", remedy) from error


def print_error(text: str) -> None:
    """Print a line to standard error, if it can be written."""
    with suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def exit_with(faults: Sequence[str]) -> None:
    """Name what was left out, and end with exit code 1; without faults just go on."""
    if faults:
        for fault in faults:
            print_error(f"left out: {fault}")
        print_error(f"{len(faults)} faults; the rest is done")
        sys.exit(LEFT_OUT)


def exit_with_error(stream: Any) -> None:
    """Let go what a stream that cannot be written still holds: Python would try once more, and complain."""
    try:
        if stream is not None:
            stream.flush()
    except OSError:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno() if stream is not None else nowhere)
            os.close(nowhere)
