"""What lies in a folder, as the tests compare it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from custom.output_record import RECORD


def entries(paths: Iterable[Path]) -> list[Path]:
    """The paths but the records of written files, which lie in every folder written to."""
    return [path for path in paths if path.name != RECORD]
