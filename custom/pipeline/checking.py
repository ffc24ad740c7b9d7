"""One file, read whole: a good case, or what is wrong with it."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from scipy import ndimage

from ..anatomy import StructureTable
from ..cohort.cases import case_name
from ..cohort.label_maps import read_label_map
from ..errors import InputError

LONGEST_NAME_BYTES = 200
"""Of a case: file systems take 255 for a file, and outputs are longer, the more so while they are written."""


@dataclass(frozen=True)
class CheckedCase:
    """A label map that was read whole and found good.

    Attributes:
        name: of the case.
        path: absolute.
        fingerprint: size in bytes and time of change in ns.
        shape: voxels along i, j, k.
        spacing_mm: edge lengths of a voxel.
        structures: by the name of each structure in it, a digest of its voxels and of the grid. It stays the same when
            a file is copied or other structures are edited.
    """

    name: str
    path: str
    fingerprint: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    structures: dict[str, str]

    @property
    def voxels(self) -> int:
        i, j, k = self.shape
        return i * j * k


def voxel_digests(labels: UInt8[np.ndarray, "i j k"], grid: bytes, labels_of: StructureTable) -> dict[str, str]:
    """By structure of a label map: a digest of where it is; absent structures are left out.

    Args:
        labels: indices of structures.
        grid: whatever tells one grid from another.
        labels_of: the table of the indices.
    """
    boxes = ndimage.find_objects(labels)
    digests = {}
    for structure in labels_of:
        box = boxes[structure.index - 1] if structure.index <= len(boxes) else None
        if box is not None:
            hashed = hashlib.blake2b(grid, digest_size=8)
            hashed.update(repr([(side.start, side.stop) for side in box]).encode())
            hashed.update(np.packbits(np.ascontiguousarray(labels[box] == structure.index)).tobytes())
            digests[structure.name] = hashed.hexdigest()
    return digests


def check_name(path: str) -> None:
    """Refuse a file whose outputs could not be named after it.

    Raises:
        InputError: the name is too long, or no text.
    """
    size = len(os.fsencode(case_name(path)))
    if size > LONGEST_NAME_BYTES:
        raise InputError(path, f"a name of {size} bytes", f"at most {LONGEST_NAME_BYTES}", "Rename it.")
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in case_name(path)):
        found, wanted = f"the name {ascii(case_name(path))}", "characters that can be shown"
        raise InputError(ascii(path)[1:-1], found, wanted, "Rename it.")


def check_file(path: str, label_table: StructureTable) -> CheckedCase | str:
    """The case in a file, or what is wrong with it."""
    try:
        check_name(path)
        stat = Path(path).stat()
        found = read_label_map(path, label_table)
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"{path}: found a file that cannot be read ({error.strerror}); wanted a label map. Check the path."
    grid = repr(found.labels.shape).encode() + found.affine.tobytes()
    i, j, k = found.labels.shape
    return CheckedCase(
        case_name(path),
        path,
        f"{stat.st_size}-{stat.st_mtime_ns}",
        (i, j, k),
        found.spacing_mm,
        voxel_digests(found.labels, grid, label_table),
    )


def check_files(paths: Sequence[str], label_table: StructureTable) -> list[CheckedCase | str]:
    """:func:`check_file` of several, for a worker."""
    return [check_file(path, label_table) for path in paths]
