"""How a command speaks: at once, and with the exit code that tells a script what was left out."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def say(text: str) -> None:
    """Print at once: what comes before hours of work must not wait for them."""
    print(f"{text}\n", flush=True)


def end_with(faults: Sequence[str]) -> None:
    """Name what was left out, and end with exit code 1; without faults just go on."""
    if faults:
        for fault in faults:
            sys.stderr.write(f"left out: {fault}\n")
        sys.stderr.write(f"{len(faults)} faults; the rest is done\n")
        sys.exit(1)
