"""Label maps whose headers say where they are in every way there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy.spatial.transform import Rotation

FIELDS = (
    "sform_code", "qform_code", "pixdim", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
    "srow_x", "srow_y", "srow_z", "xyzt_units",
)  # fmt: skip
"""What a header says of its grid."""


def grid_of(path: Path) -> list[bytes]:
    """The bytes of these fields as they stand in the file, in one byte order."""
    image: Any = nib.load(path)
    kind = type(image.header)
    with image.file_map["image"].get_prepare_fileobj("rb") as stream:
        header = kind(stream.read(kind.template_dtype.itemsize), check=False)
    return [np.asarray(header[name]).astype("<f4" if np.asarray(header[name]).dtype.kind == "f" else "<i2").tobytes()
            for name in FIELDS]  # fmt: skip


def scaling_of(path: Path) -> tuple[float, float]:
    """Slope and intercept as they stand in the file; nibabel shows NaN for 1 and 0 once it has opened it."""
    image: Any = nib.load(path)
    kind = type(image.header)
    with image.file_map["image"].get_prepare_fileobj("rb") as stream:
        header = kind(stream.read(kind.template_dtype.itemsize), check=False)
    return float(header["scl_slope"]), float(header["scl_inter"])


def _micron(header: Any, affine: np.ndarray) -> None:
    scaled = affine.copy()
    scaled[:3] *= 1000
    header.set_qform(scaled, code=1)
    header.set_sform(scaled, code=1)
    header.set_xyzt_units("micron", "sec")


def _metre(header: Any, affine: np.ndarray) -> None:
    scaled = affine.copy()
    scaled[:3] /= 1000
    header.set_qform(scaled, code=1)
    header.set_sform(scaled, code=1)
    header.set_xyzt_units("meter")


def _sheared(header: Any, affine: np.ndarray) -> None:
    shear = np.eye(4)
    shear[0, 1] = 0.05
    header.set_qform(affine, code=1)
    header.set_sform(affine @ shear, code=2)
    header.set_xyzt_units("mm", "msec")


def _bare(header: Any, affine: np.ndarray) -> None:
    header.set_qform(affine, code=0)
    header["qoffset_x"], header["srow_x"] = 17, (1, 2, 3, 4)  # what no code calls valid stays too


def _quaternion(header: Any, affine: np.ndarray) -> None:
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", (7, -11, 5), degrees=True).as_matrix()
    header.set_qform(turn @ affine, code=1)
    header["sform_code"] = 0
    header["pixdim"][0] = abs(header["pixdim"][0])


def _scanner(header: Any, affine: np.ndarray) -> None:
    header.set_qform(affine, code=0)
    header.set_sform(affine, code=2)
    header["pixdim"][0] = 0  # as other programs leave it, and nibabel corrects it


FORMS: dict[str, Callable[[Any, np.ndarray], None]] = {
    "micron": _micron,
    "metre": _metre,
    "good qform and sheared sform": _sheared,
    "both codes 0": _bare,
    "qform alone": _quaternion,
    "sform alone, of the scanner": _scanner,
}


def save_as(form: str, path: Path, labels: np.ndarray, affine: np.ndarray, kind: Any = nib.Nifti1Image) -> Path:
    """Save a label map that lies, in mm, where the affine says (but for what the form cannot say)."""
    header = kind.header_class()
    header.set_data_shape(labels.shape)
    FORMS[form](header, np.asarray(affine, np.float64))
    header.set_data_dtype(labels.dtype)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(kind(labels, None, header), path)
    return path
