"""Cases of a scan and its label map, in TotalSegmentator's manner: ``NAME/NAME-image.nii.gz`` and ``-label`` (C1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from ..anatomy import TOTALSEGMENTATOR_HEART, StructureTable
from ..errors import InputError
from ..fingerprints import FileState, file_state
from .case_list import case_name
from .label_maps import is_label_map_name, read_label_map, read_values
from .partner_grids import order_on

PARTS = ("image", "label")

_REMEDY = "Give both files of the case, or take it out."


@dataclass(frozen=True)
class ScanCase:
    """One case on disk.

    Attributes:
        name: what both file names begin with; unique in a data set.
        image, label: the files.
    """

    name: str
    image: Path
    label: Path

    def states(self, known: Sequence[FileState | None] = (None, None)) -> tuple[FileState, FileState]:
        """States of image and label map, as they are before anything is read of them.

        Args:
            known: at an earlier moment; a file whose numbers are the same is not read.

        Raises:
            InputError: a file that cannot be read.
        """
        try:
            image, label = (file_state(path, one) for path, one in zip((self.image, self.label), known, strict=True))
        except OSError as error:
            found = f"a file that cannot be read ({error.strerror or error})"
            raise InputError(error.filename or self.image, found, "an image and a label map", _REMEDY) from error
        return image, label


@dataclass(frozen=True, eq=False)
class Scan:
    """A checked scan with its label map, on one grid.

    Attributes:
        image_hu: Hounsfield units.
        labels: index of the structure at each voxel, 0 for background.
        affine: voxel ijk to world mm (RAS).
    """

    image_hu: Float32[np.ndarray, "i j k"]
    labels: UInt8[np.ndarray, "i j k"]
    affine: Float64[np.ndarray, "4 4"]


def find_scans(dataset_dir: str | Path) -> tuple[tuple[ScanCase, ...], tuple[str, ...]]:
    """The cases of a folder and of the folders directly in it, by name; no file is opened.

    Returns:
        The whole cases, and what is wrong with the others, a line each: a partner that is missing, a name that two
        files share.

    Raises:
        InputError: no such folder, or no file in it that is named as an image or a label of a case.
    """
    folder = Path(dataset_dir)
    wanted = "a folder of cases, NAME/NAME-image.nii.gz and NAME/NAME-label.nii.gz"
    if not folder.is_dir():
        raise InputError(folder, "no such folder", wanted, "Check the path.")
    try:
        files = [path for path in folder.iterdir() if not path.is_dir()]
        files += [path for sub in folder.iterdir() if _is_case_folder(sub) for path in sub.iterdir()]
    except PermissionError as error:
        raise InputError(error.filename or folder, "no permission to read it", wanted, "Check who may.") from error
    parts = _by_name(files)
    if not parts:
        found = f"no *-image.nii.gz and *-label.nii.gz among {len(files)} files"
        raise InputError(folder, found, wanted, "Give the folder that holds the cases.")
    cases, faults = [], []
    for name in sorted(parts):
        try:
            cases.append(_case(folder, name, parts[name]))
        except InputError as error:
            faults.append(str(error))
    return tuple(cases), tuple(faults)


def _is_case_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _by_name(files: Iterable[Path]) -> dict[str, dict[str, list[Path]]]:
    """The files of each case, by case and part."""
    parts: dict[str, dict[str, list[Path]]] = defaultdict(lambda: {part: [] for part in PARTS})
    for path in sorted(files):
        name, dash, part = case_name(path).rpartition("-")
        if is_label_map_name(path) and dash and name and part in PARTS:
            parts[name][part].append(path)
    return parts


def _case(folder: Path, name: str, files: dict[str, list[Path]]) -> ScanCase:
    for part in PARTS:
        other = files[PARTS[1 - PARTS.index(part)]]
        if not files[part]:
            raise InputError(other[0], f"no {name}-{part}.nii.gz beside it", "an image and a label map", _REMEDY)
        if len(files[part]) > 1:
            same = " and ".join(str(path) for path in files[part])
            raise InputError(folder, f"{name}-{part} twice: {same}", "one case of a name", "Rename or remove one.")
    image, label = files["image"][0], files["label"][0]
    if image.parent != label.parent:
        raise InputError(label, f"its image in another folder, {image}", "both in one folder", "Move one.")
    for path in (image, label):
        if not path.exists():
            raise InputError(path, "a link that leads nowhere", "an image and a label map", _REMEDY)
    return ScanCase(name, image, label)


def read_scan(
    image: str | Path, label: str | Path, label_table: str | StructureTable = TOTALSEGMENTATOR_HEART.name
) -> Scan:
    """Read both files of a case and check every voxel of them; the image comes in the label map's voxel order.

    Raises:
        InputError: as :func:`~custom.data.label_maps.read_label_map` for the label map; an image that cannot be read
            or has voxels that are NaN or infinite; two grids; background alone.
    """
    drawn = read_label_map(label, label_table)
    values, affine = read_values(image)
    whose, remedy = "the label map's grid", "Resample one to the grid of the other, or take the case out."
    order = order_on(image, values.shape, affine, drawn.labels.shape, drawn.affine, whose, remedy)
    image_hu = order.of(values).astype(np.float32)
    bad = int((~np.isfinite(image_hu)).sum())
    if bad:
        found = f"{bad} voxels that are NaN or infinite"
        raise InputError(image, found, "Hounsfield units at every voxel", "Set them to -1024 (air) and save it again.")
    if not drawn.labels.any():
        raise InputError(label, "background alone", "at least one structure", "Leave the case out.")
    return Scan(image_hu, drawn.labels, drawn.affine)
