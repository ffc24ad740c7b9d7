"""The memory a benchmark's process has held."""

from __future__ import annotations

from pathlib import Path


def peak_mb() -> float:
    """The most memory that this process has held so far, its libraries included, in MiB (Linux).

    ``resource.getrusage`` would count the process that started this one: its peak is passed on when a new program
    is run, so a benchmark that makes its cohort first would charge every way with it.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
