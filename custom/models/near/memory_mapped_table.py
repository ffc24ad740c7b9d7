"""Tables of many numbers in files without a name, so that memory holds the rows in use and not the table."""

from __future__ import annotations

import mmap
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from ...errors import InputError

AUTO_BYTES = 256 * 2**20
"""A smaller table stays in memory."""


@dataclass(frozen=True)
class TableStorage:
    """Where the codes of a run lie.

    Args:
        folder: for their files.
        on_disk: whether they lie there, or ``auto``: when the table takes more than :data:`AUTO_BYTES`.
    """

    folder: str | Path
    on_disk: bool | str = "auto"

    def takes(self, table_bytes: int) -> bool:
        """Whether a table of that size lies in a file."""
        return table_bytes > AUTO_BYTES if self.on_disk == "auto" else bool(self.on_disk)


class MappedTable:
    """Zeros [rows, numbers], single precision, in a file that vanishes with the process, however that ends.

    Args:
        rows, numbers: at least 1 of each.
        folder: on a disk with room for the whole table, which is taken at once: a disk that is full later on would kill
            the process in the middle of a step.

    Raises:
        InputError: no room there, or no permission.
    """

    def __init__(self, rows: int, numbers: int, folder: str | Path) -> None:
        size_bytes = 4 * rows * numbers
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                os.posix_fallocate(file.fileno(), 0, size_bytes)
                self.memory = mmap.mmap(file.fileno(), size_bytes)
        except OSError as error:
            found = f"no place for {size_bytes / 1e6:.0f} MB of codes ({error.strerror})"
            remedy = "Free some space there, choose another --output_dir, or give --codes_on_disk False."
            raise InputError(folder, found, "room for a table of codes", remedy) from error
        self.tensor = torch.frombuffer(self.memory, dtype=torch.float32).reshape(rows, numbers)

    def release_pages(self) -> None:
        """Take the pages out of this process's memory; what was written to them is kept."""
        self.memory.madvise(mmap.MADV_DONTNEED)
