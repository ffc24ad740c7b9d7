"""One file, read whole: a good case, or what is wrong with it."""

from __future__ import annotations

import hashlib
import logging
import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from scipy import ndimage

from ..anatomy import StructureTable
from ..data.case_list import case_name
from ..data.label_maps import read_label_map
from ..data.plausible_size import Size, checked_size
from ..errors import InputError, in_one_line
from ..files import is_full_disk
from ..fingerprints import FileState, digest_of, state_if_there
from ..surfaces.cloud_frame import grid_centre_mm, reach_mm
from ..volumes.extent import box_mm

LOGGER = logging.getLogger(__name__)

LONGEST_NAME_BYTES = 200
"""Of a case: file systems take 255 for a file, and outputs are longer, the more so while they are written."""


@dataclass(frozen=True)
class CheckedCase:
    """A label map that was read whole and found good.

    Attributes:
        name: of the case.
        path: absolute.
        fingerprint: digest of the file's bytes.
        shape: voxels along i, j, k.
        spacing_mm: edge lengths of a voxel.
        structures: by the name of each structure in it, a digest of its voxels and of the grid. It stays the same when
            a file is copied or other structures are edited.
        size: how large what is labelled is.
        box_mm: lowest and highest world mm of what is labelled, six numbers; empty if nothing is.
        centre_mm: world mm of the middle of the grid.
    """

    name: str
    path: str
    fingerprint: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    structures: dict[str, str]
    size: Size = Size()
    box_mm: tuple[float, ...] = ()
    centre_mm: tuple[float, ...] = ()

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> CheckedCase:
        """A case from what ``dataclasses.asdict`` gave, by way of a JSON file."""
        whole: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in plain.items()}
        return cls(**(whole | {"size": Size(*whole.get("size", ()))}))

    @property
    def voxels(self) -> int:
        i, j, k = self.shape
        return i * j * k


def reaches_mm(cases: Sequence[CheckedCase], centre_mm: Sequence[float] = ()) -> dict[str, float]:
    """How far what is labelled reaches from a place, or from the middle of its grid if none is given, by case; one with
    nothing labelled is left out."""
    return {
        case.name: reach_mm(np.reshape(case.box_mm, (2, 3)), list(centre_mm) or case.centre_mm)
        for case in cases
        if case.box_mm
    }


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
    """The case in a file, or what is wrong with it, whatever that is, in one line."""
    try:
        return _checked(path, label_table)
    except InputError as error:
        return str(error)
    except OSError as error:
        if is_full_disk(error):
            raise
        return f"{path}: found a file that cannot be read ({error.strerror}); wanted a label map. Check the path."
    except Exception as error:
        LOGGER.exception("%s failed", path)
        return f"{path}: {in_one_line(error)}"


def _checked(path: str, label_table: StructureTable) -> CheckedCase:
    check_name(path)
    fingerprint = digest_of(path)  # as the file is before anything else is read of it
    found = read_label_map(path, label_table)
    size = checked_size(path, found.labels, found.spacing_mm, label_table)
    grid = repr((found.labels.shape, found.header)).encode() + found.affine.tobytes()
    i, j, k = found.labels.shape
    held_mm = box_mm(found.labels > 0, found.affine)
    return CheckedCase(
        case_name(path),
        path,
        fingerprint,
        (i, j, k),
        found.spacing_mm,
        voxel_digests(found.labels, grid, label_table),
        size,
        () if held_mm is None else tuple(held_mm.ravel().tolist()),
        tuple(grid_centre_mm(found.labels.shape, found.affine).tolist()),
    )


def check_files(
    paths: Sequence[str], label_table: StructureTable
) -> list[tuple[str, CheckedCase | str, FileState | None]]:
    """:func:`check_file` of several, for a worker: path, case or fault, and the state of a good file."""
    return [(path, *_with_state(path, label_table)) for path in paths]


def _with_state(path: str, label_table: StructureTable) -> tuple[CheckedCase | str, FileState | None]:
    state = state_if_there(path)
    found = check_file(path, label_table)
    same = isinstance(found, CheckedCase) and state is not None and state.digest == found.fingerprint
    return found, state if same else None
