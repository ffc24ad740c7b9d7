"""The grid in a NIfTI header: read in millimetres, kept as it came in, and written.

Programs read a header differently. Some take the sform, some the quaternion, some the bare voxel size where both codes
are 0. So what is written on the grid of a label map keeps all three as they were, not an affine that one of them gave.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from json import dumps, loads
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Shaped
from nibabel.affines import voxel_sizes

GRID_HEADER = "grid_header"
"""The key under which an item, or the metadata of a tensor, holds :meth:`GridHeader.to_json` of its grid."""

MM_PER_UNIT = {1: 1e3, 2: 1.0, 3: 1e-3}
"""By the spatial code of ``xyzt_units``: metre, mm, micron. Any other code counts as mm."""

_SPATIAL = 7
_QUATERNION = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
_ROWS = ("srow_x", "srow_y", "srow_z")
_LONGEST = np.iinfo(np.int16).max
"""Voxels along an axis of a NIfTI-1 file, at most."""


def mm_per_unit(xyzt_units: int) -> float:
    """How many mm the header's unit of length is."""
    return MM_PER_UNIT.get(int(xyzt_units) & _SPATIAL, 1.0)


def affine_mm(affine: npt.NDArray[Any], xyzt_units: int) -> Float64[np.ndarray, "4 4"]:
    """Voxel ijk to world mm, of an affine in the header's unit."""
    scaled = np.array(affine, dtype=np.float64)
    scaled[:3] *= mm_per_unit(xyzt_units)
    return scaled


def loaded_affine_mm(volume: Any) -> Float64[np.ndarray, "4 4"]:
    """Voxel ijk to world mm of a MONAI ``MetaTensor``, whose affine is in the unit of the file it was loaded from."""
    units = np.asarray(getattr(volume, "meta", {}).get("xyzt_units", 0)).ravel()
    return affine_mm(np.asarray(volume.affine, dtype=np.float64), int(units[0]) if units.size else 0)


def loaded_spacing_mm(volume: Any) -> tuple[float, float, float]:
    """Edges of a voxel of a MONAI ``MetaTensor`` along i, j, k; 1 of a plain tensor or array."""
    if not hasattr(volume, "affine"):
        return 1.0, 1.0, 1.0
    i, j, k = (float(edge) for edge in voxel_sizes(loaded_affine_mm(volume)))
    return i, j, k


@dataclass(frozen=True)
class GridHeader:
    """The fields of a NIfTI header that place its voxels in the world, as they stand in the file.

    Attributes:
        sform_code, qform_code: what the two transforms mean; 0: there is none.
        xyzt_units: units of length and time.
        pixdim: eight numbers; the first is the sign of the quaternion's third axis, then the voxel's edges.
        quaternion: b, c, d and the offset x, y, z.
        sform: three rows of four.
    """

    sform_code: int
    qform_code: int
    xyzt_units: int
    pixdim: tuple[float, ...]
    quaternion: tuple[float, ...]
    sform: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for what no header can hold."""
        for name, lowest, highest in (
            ("sform_code", -_LONGEST - 1, _LONGEST),
            ("qform_code", -_LONGEST - 1, _LONGEST),
            ("xyzt_units", 0, 255),
        ):
            value: Any = getattr(self, name)
            if type(value) is not int or not lowest <= value <= highest:
                raise ValueError(f"{name} {value!r} of a header")
        for name, count in (("pixdim", 8), ("quaternion", 6), ("sform", 12)):
            if len(getattr(self, name)) != count:
                raise ValueError(f"{len(getattr(self, name))} numbers as {name} of a header")

    @classmethod
    def of(cls, header: Any) -> GridHeader:
        """What stands in a nibabel header."""
        return cls(
            sform_code=int(header["sform_code"]),
            qform_code=int(header["qform_code"]),
            xyzt_units=int(header["xyzt_units"]) & 255,
            pixdim=tuple(float(value) for value in header["pixdim"]),
            quaternion=tuple(float(header[name]) for name in _QUATERNION),
            sform=tuple(float(value) for row in _ROWS for value in header[row]),
        )

    def fill(self, header: Any) -> None:
        """Put all of it into a nibabel header."""
        with np.errstate(over="ignore"):  # a NIfTI-2 file's doubles in single precision
            header["sform_code"], header["qform_code"] = self.sform_code, self.qform_code
            header["xyzt_units"], header["pixdim"] = self.xyzt_units, self.pixdim
            for name, value in zip(_QUATERNION, self.quaternion, strict=True):
                header[name] = value
            for number, row in enumerate(_ROWS):
                header[row] = self.sform[4 * number : 4 * number + 4]

    def to_dict(self) -> dict[str, Any]:
        """Numbers and lists of numbers, those that are not finite as words: JSON has no other way."""
        plain = asdict(self)
        return {key: _plain(value) if isinstance(value, tuple) else value for key, value in plain.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GridHeader:
        """The inverse of :meth:`to_dict`; ``KeyError``, ``TypeError`` or ``ValueError`` for anything else."""
        pixdim, quaternion, sform = (
            tuple(float(value) for value in data[key]) for key in ("pixdim", "quaternion", "sform")
        )
        return cls(data["sform_code"], data["qform_code"], data["xyzt_units"], pixdim, quaternion, sform)

    def to_json(self) -> str:
        """One string, which MONAI's loaders hand on as it is."""
        return dumps(self.to_dict(), allow_nan=False)


def _plain(values: Sequence[float]) -> list[float | str]:
    return [value if math.isfinite(value) else repr(value) for value in values]


def header_in(data: Mapping[Any, Any]) -> GridHeader | None:
    """The header that an item or a tensor's metadata holds, if there is one."""
    text = data.get(GRID_HEADER)
    return GridHeader.from_dict(loads(text)) if text else None


def json_of(header: GridHeader | None) -> str:
    """What stands under :data:`GRID_HEADER`; empty without a header."""
    return header.to_json() if header else ""


def stored_header(image: Any) -> GridHeader:
    """The header of an opened file as it stands there: nibabel corrects some of its fields as it opens it."""
    kind = type(image.header)
    with image.file_map["image"].get_prepare_fileobj("rb") as stream:
        return GridHeader.of(kind(stream.read(kind.template_dtype.itemsize), check=False))


def header_of_affine(affine: Shaped[np.ndarray, "4 4"], shape: Sequence[int]) -> GridHeader:
    """A header in mm made from an affine. A quaternion holds no shear: then the sform alone places the voxels."""
    header = nib.Nifti2Header()
    header.set_data_shape(shape)
    header.set_sform(affine, code=1)
    header.set_qform(affine, code=1)
    if not np.allclose(header.get_qform(), affine, atol=1e-3):
        header.set_qform(affine, code=0)
    header.set_xyzt_units("mm")
    return GridHeader.of(header)


def nifti_bytes(
    voxels: Shaped[np.ndarray, "i j k"], affine: Shaped[np.ndarray, "4 4"], header: GridHeader | None = None
) -> bytes:
    """A NIfTI file, not compressed: NIfTI-1 unless an axis is too long for it. The bytes follow from the arguments.

    Args:
        voxels: as they are to be stored; no scaling.
        affine: voxel ijk to world mm, where there is no ``header``.
        header: of the grid that the voxels lie on, to be kept.
    """
    written = nib.Nifti1Header(endianness="<") if max(voxels.shape) <= _LONGEST else nib.Nifti2Header(endianness="<")
    stored = voxels.astype(voxels.dtype.newbyteorder("<"), copy=False)
    written.set_data_dtype(stored.dtype)
    written.set_data_shape(stored.shape)
    (header or header_of_affine(affine, stored.shape)).fill(written)
    written["scl_slope"], written["scl_inter"] = 1, 0
    start = io.BytesIO()
    written["vox_offset"] = (int(written["sizeof_hdr"]) + 4 + 15) // 16 * 16
    written.write_to(start)
    start.write(b"\0" * (int(written["vox_offset"]) - start.tell()))
    return start.getvalue() + stored.tobytes(order="F")
