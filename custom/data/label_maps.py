"""Reading and writing label maps: one NIfTI file in, one checked volume out, and the other way round.

Whatever is wrong with a file is one :class:`InputError` that names the file, before any training has started.
"""

from __future__ import annotations

import errno
import gzip
import io
import zlib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Shaped, UInt8
from monai.config import KeysCollection
from monai.transforms import MapTransform
from nibabel.affines import voxel_sizes
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..errors import InputError
from ..files import write_file
from ..headers import GridHeader, affine_mm, nifti_bytes, stored_header
from .plausible_size import checked_size
from .volume_size import check_content, check_size, enough_memory

SUFFIXES = (".nii.gz", ".nii")

_UNREADABLE = (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError, OverflowError)
"""What nibabel, gzip and numpy raise on a damaged file; ``gzip.BadGzipFile`` is an ``OSError``."""

_NEAR_INTEGER = 1e-4
"""A scale slope is stored in single precision, so that a scaled label may miss its integer by a hair."""

_DEGENERATE = 1e-6
"""Least voxel edge in mm, and least volume of the voxel as a share of its box, of an affine that can be inverted."""


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A checked label map.

    Attributes:
        labels: index of the structure at each voxel, 0 for background.
        affine: voxel ijk to world mm (RAS), whatever unit the file has.
        spacing_mm: edge lengths of a voxel along i, j, k.
        path: the file it was read from.
        header: what the file says of its grid, for those that are written on it.
    """

    labels: UInt8[np.ndarray, "i j k"]
    affine: Float64[np.ndarray, "4 4"]
    spacing_mm: tuple[float, float, float]
    path: Path
    header: GridHeader | None = None


@dataclass(frozen=True, eq=False)
class StoredGrid:
    """The grid of a file.

    Attributes:
        shape: voxels along i, j, k.
        affine: voxel ijk to world mm (RAS).
        header: as it stands in the file.
    """

    shape: tuple[int, int, int]
    affine: Float64[np.ndarray, "4 4"]
    header: GridHeader


def is_label_map_name(path: str | Path) -> bool:
    """Whether a name ends as a NIfTI file's; hidden files (those of macOS among them) never do."""
    name = Path(path).name
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _first_line(error: BaseException) -> str:
    """What an error of another library says, short enough for one line of ours."""
    return (str(error).splitlines() or [""])[0][:160] or type(error).__name__


def _check_affine(path: Path, affine: npt.NDArray[np.float64]) -> None:
    remedy = "Write the file again with the affine of the image it was drawn on."
    if not np.isfinite(affine).all():
        raise InputError(path, "an affine with NaN or infinite entries", "a finite one", remedy)
    edges_mm = voxel_sizes(affine)
    flat = edges_mm.min() < _DEGENERATE or abs(np.linalg.det(affine[:3, :3] / edges_mm)) < _DEGENERATE
    if flat:
        found = f"a singular affine (voxel edges {', '.join(f'{edge:g}' for edge in edges_mm)} mm)"
        raise InputError(path, found, "three independent axes longer than 0 mm", remedy)


def _check_permission(path: Path) -> None:
    """nibabel reports a file it may not read as missing."""
    try:
        with open(path, "rb"):
            pass
    except PermissionError as error:
        raise InputError(path, "no permission to read it", "a readable file", "Check who may read it.") from error
    except OSError:
        return  # not there, or a folder: said by name afterwards


def _open(path: str | Path) -> Any:
    """The opened image, its header checked, its voxels not read yet."""
    path = Path(path)
    _check_permission(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise InputError(path, found, "a label map", "Check the path.")
    if not path.name.lower().endswith(SUFFIXES):
        found = f"the suffix {path.suffix!r}"
        raise InputError(path, found, "a NIfTI file, .nii or .nii.gz", "Convert it to NIfTI.")
    try:
        image = nib.load(path)
    except Exception as error:  # whatever a damaged header leads nibabel to
        found = f"a file that cannot be opened ({_first_line(error)})"
        raise InputError(path, found, "a NIfTI file", "Export it again, or leave it out.") from error
    if not isinstance(image, nib.Nifti1Image):  # the parent of Nifti2Image too
        raise InputError(path, type(image).__name__, "a NIfTI volume", "Convert it to a plain NIfTI volume.")
    if len(image.shape) < 3 or any(length != 1 for length in image.shape[3:]):
        found = f"{len(image.shape)} axes {image.shape}"
        raise InputError(path, found, "exactly 3 axes (i, j, k)", "Save one 3-D volume per file.")
    if min(image.shape) < 1:
        raise InputError(path, f"an empty axis {image.shape}", "at least one voxel along each axis", "Export it again.")
    _check_affine(path, _affine_of(image))
    check_size(path, image)
    return image


def _affine_of(image: Any) -> Float64[np.ndarray, "4 4"]:
    """Voxel ijk to world mm."""
    return affine_mm(image.affine, int(image.header["xyzt_units"]))


def _grid_of(path: Path, image: Any) -> StoredGrid:
    """The grid of an opened image."""
    i, j, k = (int(size) for size in image.shape[:3])
    try:
        return StoredGrid((i, j, k), _affine_of(image), stored_header(image))
    except _UNREADABLE as error:
        found = f"a file that cannot be opened ({_first_line(error)})"
        raise InputError(path, found, "a NIfTI file", "Export it again, or leave it out.") from error


def check_header(path: str | Path) -> None:
    """Check all that can be known of a label map without reading its voxels.

    Raises:
        InputError: no such file or no permission to read it, no .nii or .nii.gz, not a NIfTI, not exactly 3 axes (more
            of length 1 behind them are ignored), an axis of length 0, an affine with NaN or of no volume, more voxels
            than a file of its size can hold.
    """
    _open(path)


def _voxels(path: Path, image: Any) -> npt.NDArray[Any]:
    """The stored numbers [i, j, k] with the header's scaling applied."""
    if image.get_data_dtype().kind not in "iuf":
        found = f"voxels of type {image.get_data_dtype()}"
        raise InputError(path, found, "one whole number a voxel", "Save the labels as unsigned 8-bit integers.")
    try:
        check_content(path, image)
        return np.asanyarray(image.dataobj).reshape(image.shape[:3])
    except InputError:
        raise
    except _UNREADABLE as error:
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            raise
        found = f"voxels that cannot be read ({_first_line(error)})"
        raise InputError(
            path, found, "a complete file", "Copy or export it again: it is damaged or cut short."
        ) from error


def _whole(path: Path, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The values as whole numbers."""
    if values.dtype.kind != "f":
        return values
    finite = np.isfinite(values)
    if not finite.all():
        found = f"{int((~finite).sum())} voxels that are NaN or infinite"
        raise InputError(path, found, "a label at every voxel", "Set them to 0 (background) and save it again.")
    whole = np.rint(values)
    off = np.abs(values - whole) > _NEAR_INTEGER
    if off.any():
        found = f"{int(off.sum())} voxels that are no whole number, such as {float(values[off][0]):g}"
        remedy = "Give label maps, not probabilities or images; resample labels with nearest neighbour."
        raise InputError(path, found, "labels", remedy)
    return whole


def _known(path: Path, values: npt.NDArray[Any], labels_of: StructureTable) -> UInt8[np.ndarray, "i j k"]:
    """The values as uint8, all of them in the table or 0."""
    known = np.zeros(256, dtype=bool)
    known[[0, *labels_of.indices]] = True
    if values.min() >= 0 and values.max() <= 255:
        labels = values.astype(np.uint8)
        occurs = np.zeros(256, dtype=np.int64)
        for plane in np.moveaxis(labels, -1, 0):
            occurs += np.bincount(plane.ravel(order="K"), minlength=256)
        unknown = np.flatnonzero((occurs > 0) & ~known)
        if not unknown.size:
            return labels
    else:
        unknown = np.setdiff1d(values, [0, *labels_of.indices])
    shown = ", ".join(f"{float(value):.0f}" for value in unknown[:5])
    found = f"the label values {shown}" + (f" and {unknown.size - 5} more" if unknown.size > 5 else "")
    wanted = f"0 (background) or an index of table {labels_of.name!r}: {', '.join(map(str, labels_of.indices))}"
    raise InputError(path, found, wanted, "Choose the label_table these labels follow, or map them to it.")


def read_label_map(path: str | Path, label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name) -> LabelMap:
    """Read one label map and check every voxel of it.

    The header's scaling (``scl_slope``) is applied; floating-point files are taken if their values are whole numbers.
    A map of background alone is allowed.

    Raises:
        InputError: anything :func:`check_header` refuses; voxels that are cut short, fail the file's checksum, do not
            fit into memory, are NaN or infinite, no whole number, or not in the table.
    """
    labels_of, path = table(label_table), Path(path)
    image = _open(path)
    with enough_memory(path, image):
        labels = _known(path, _whole(path, _voxels(path, image)), labels_of)
    grid = _grid_of(path, image)
    edges_mm = voxel_sizes(grid.affine)
    spacing_mm = (float(edges_mm[0]), float(edges_mm[1]), float(edges_mm[2]))
    return LabelMap(labels, grid.affine, spacing_mm, path, grid.header)


def read_grid(path: str | Path) -> StoredGrid:
    """The grid of any 3-D NIfTI, without its voxels; ``InputError`` as :func:`check_header`."""
    path = Path(path)
    return _grid_of(path, _open(path))


def read_values(path: str | Path) -> tuple[npt.NDArray[Any], Float64[np.ndarray, "4 4"]]:
    """The numbers of any 3-D NIfTI, scaling applied, and its affine in mm; ``InputError`` as :func:`check_header` and
    for voxels that cannot be read. What the numbers mean is not looked at."""
    path = Path(path)
    image = _open(path)
    with enough_memory(path, image):
        return _voxels(path, image), _affine_of(image)


def _packed(content: bytes) -> bytes:
    """As a gzip file without a name or a time in it."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=packed, mtime=0) as stream:
        stream.write(content)
    return packed.getvalue()


def write_label_map(
    path: str | Path,
    labels: Shaped[np.ndarray, "i j k"],
    affine: Shaped[np.ndarray, "4 4"],
    dtype: npt.DTypeLike = np.uint8,
    header: GridHeader | None = None,
) -> None:
    """Write a label map, whole or not at all: a full disk leaves the file that was there as it was.

    Missing folders are made. The bytes depend on the arguments alone, whenever and wherever they are written.

    Args:
        path: .nii or .nii.gz.
        labels: at each voxel.
        affine: voxel ijk to world mm.
        dtype: of the stored voxels.
        header: of the file that the grid came from, kept as it is; ``None``: one is made from the affine, in mm.

    Raises:
        InputError: the suffix is neither .nii nor .nii.gz, or the place cannot be written.
        ValueError: a label does not fit ``dtype``.
    """
    path = Path(path)
    if not path.name.lower().endswith(SUFFIXES):
        raise InputError(path, f"the suffix {path.suffix!r}", ".nii or .nii.gz", "Name the output so.")
    stored = labels.astype(dtype)
    if not np.array_equal(stored, labels):
        raise ValueError(f"labels from {labels.min()} to {labels.max()} do not fit {np.dtype(dtype)}")
    content = nifti_bytes(stored, affine, header)
    write_file(path, _packed(content) if path.name.lower().endswith(".gz") else content)


class CheckLabelMapd(MapTransform):
    """:func:`read_label_map` as a gate before MONAI's ``LoadImaged``: the dictionary passes, or not at all.

    Beside it, for key ``label``: ``label_size``, plain numbers of :class:`custom.data.plausible_size.Size`.

    Args:
        keys: where the paths are.
        label_table: the table or its name.

    Raises:
        InputError: as :func:`read_label_map` and :func:`custom.data.plausible_size.checked_size`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label_table = table(label_table)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            read = read_label_map(item[key], self.label_table)
            item[f"{key}_size"] = list(checked_size(read.path, read.labels, read.spacing_mm, self.label_table))
        return item
