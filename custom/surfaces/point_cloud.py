"""The cloud of a case: what a network that learns from points is given of a label map (requirement B1).

One ``.npz`` a case, without pickles (``numpy.load(path, allow_pickle=False)`` opens it). ``C`` is the number of
structures of the label table, in the table's order: channel ``c`` is ``table(label_table).structures[c]``.

=====================  ===========  =======  =================================================================
array                  shape        type     meaning
=====================  ===========  =======  =================================================================
``schema``             scalar       int32    the number of this layout, :data:`SCHEMA`
``label_table``        scalar       <U       name of the table the labels follow
``surface_points_mm``  [n, 3]       float32  points on the surfaces, world mm (RAS)
``surface_normals``    [n, 3]       float32  unit normals there, out of the structure
``surface_class``      [n]          uint8    the index, in the table, of the structure whose surface it is
``volume_points_mm``   [m, 3]       float32  uniform in the part of the label map that lies in the frame, world mm
``volume_sdf_mm``      [m, C]       float32  signed distance to each structure's surface, negative inside
``near_points_mm``     [k, 3]       float32  scattered round the surfaces of all structures in turn, world mm
``near_sdf_mm``        [k, C]       float32  as ``volume_sdf_mm``
``present``            [C]          bool     whether the label map holds the structure
``centre_mm``          [3]          float64  world mm that is the frame's 0
``scale_mm``           scalar       float64  mm that are the frame's 1
``affine``             [4, 4]       float64  of the label map, voxel ijk to world mm
``shape``              [3]          int32    of the label map, voxels
=====================  ===========  =======  =================================================================

The *frame* is world mm minus ``centre_mm``, divided by ``scale_mm``: the axes stay patient Right, Anterior, Superior,
and one unit is as long in every case. Neither number depends on which structures a case holds
(:mod:`custom.surfaces.cloud_frame`).

A structure that the label map lacks has no surface points; its distances are all :func:`absent_mm`, further than
anything in the frame can be. Whether that means *there is none* or *nobody labelled it* is not known here: that is for
the loss to say.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..anatomy import StructureTable, table
from ..errors import InputError
from ..files import write_file

SCHEMA = 1

_UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What numpy and zipfile raise on a damaged file."""


def absent_mm(scale_mm: float) -> float:
    """The distance given for a structure that is not there: the diagonal of the frame's cube."""
    return 2 * math.sqrt(3) * scale_mm


@dataclass(frozen=True, eq=False)
class Cloud:
    """The cloud of one case; the arrays are described at the head of this file."""

    surface_points_mm: Float32[np.ndarray, "n 3"]
    surface_normals: Float32[np.ndarray, "n 3"]
    surface_class: UInt8[np.ndarray, " n"]
    volume_points_mm: Float32[np.ndarray, "m 3"]
    volume_sdf_mm: Float32[np.ndarray, "m c"]
    near_points_mm: Float32[np.ndarray, "k 3"]
    near_sdf_mm: Float32[np.ndarray, "k c"]
    present: Bool[np.ndarray, " c"]
    centre_mm: Float64[np.ndarray, "3"]
    scale_mm: float
    affine: Float64[np.ndarray, "4 4"]
    shape: tuple[int, int, int]
    label_table: str

    @property
    def table(self) -> StructureTable:
        return table(self.label_table)

    def to_frame(self, points_mm: np.ndarray) -> Float32[np.ndarray, "n 3"]:
        """World mm to the frame."""
        return ((points_mm - self.centre_mm) / self.scale_mm).astype(np.float32)

    def one_hot(self) -> Float32[np.ndarray, "n c"]:
        """The structure of each surface point, one channel per structure of the table."""
        return (self.surface_class[:, None] == np.asarray(self.table.indices)).astype(np.float32)

    def in_frame(self) -> dict[str, np.ndarray]:
        """The cloud in the frame, float32: coordinates in [-1, 1] where the frame holds them, distances in its units.

        Returns:
            ``surface`` [n, 3 + C], x, y, z and the one-hot structure (requirement B1: (N, 13)); ``normals`` [n, 3];
            ``surface_class`` [n]; ``volume_points`` [m, 3]; ``volume_sdf`` [m, C]; ``near_points`` [k, 3]; ``near_sdf``
            [k, C]; ``present`` [C].
        """
        return {
            "surface": np.concatenate([self.to_frame(self.surface_points_mm), self.one_hot()], axis=1),
            "normals": self.surface_normals,
            "surface_class": self.surface_class,
            "volume_points": self.to_frame(self.volume_points_mm),
            "volume_sdf": (self.volume_sdf_mm / self.scale_mm).astype(np.float32),
            "near_points": self.to_frame(self.near_points_mm),
            "near_sdf": (self.near_sdf_mm / self.scale_mm).astype(np.float32),
            "present": self.present,
        }

    def write(self, path: str | Path) -> None:
        """Write the file, whole or not at all; equal clouds give equal bytes.

        Raises:
            InputError: the place cannot be written, a full disk included: what was there before is still there.
        """
        packed = io.BytesIO()
        np.savez(packed, allow_pickle=False, **self._arrays())
        write_file(Path(path), packed.getbuffer())

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {"schema": np.asarray(SCHEMA, np.int32), "label_table": np.asarray(self.label_table)}
        for field in fields(self):
            arrays.setdefault(field.name, np.asarray(getattr(self, field.name)))
        arrays["scale_mm"] = arrays["scale_mm"].astype(np.float64)
        arrays["shape"] = arrays["shape"].astype(np.int32)
        return arrays

    @classmethod
    def read(cls, path: str | Path) -> Cloud:
        """Read a file and check that its arrays are what they should be; their values are checked by the gate.

        Raises:
            InputError: no such file, a damaged one, another schema, an array that is missing or of another shape or
                type; always naming the file.
        """
        path = Path(path)
        arrays = _loaded(path)
        _check(path, arrays)
        i, j, k = (int(size) for size in arrays["shape"])
        given = {name: arrays[name] for name in _LAYOUT if name not in ("schema", "shape", "scale_mm", "label_table")}
        scale_mm, label_table = float(arrays["scale_mm"]), str(arrays["label_table"])
        return cls(**given, shape=(i, j, k), scale_mm=scale_mm, label_table=label_table)


_LAYOUT: dict[str, tuple[str, tuple[str | int, ...]]] = {
    "schema": ("<i4", ()),
    "label_table": ("U", ()),
    "surface_points_mm": ("<f4", ("n", 3)),
    "surface_normals": ("<f4", ("n", 3)),
    "surface_class": ("|u1", ("n",)),
    "volume_points_mm": ("<f4", ("m", 3)),
    "volume_sdf_mm": ("<f4", ("m", "C")),
    "near_points_mm": ("<f4", ("k", 3)),
    "near_sdf_mm": ("<f4", ("k", "C")),
    "present": ("|b1", ("C",)),
    "centre_mm": ("<f8", (3,)),
    "scale_mm": ("<f8", ()),
    "affine": ("<f8", (4, 4)),
    "shape": ("<i4", (3,)),
}
"""Type and shape of every array; an axis with a letter is as long wherever that letter stands."""

_REMEDY = "Make it again with `corfield clouds`."


def _loaded(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(path, "no such file", "the cloud of a case (.npz)", "Check the path.")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except _UNREADABLE as error:
        first = (str(error).splitlines() or [""])[0][:160] or type(error).__name__
        raise InputError(path, f"a file that cannot be read ({first})", "a whole .npz of arrays", _REMEDY) from error


def _check(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    missing = [name for name in _LAYOUT if name not in arrays]
    if missing:
        raise InputError(path, f"no {', '.join(missing)}", f"the arrays of schema {SCHEMA}", _REMEDY)
    if arrays["schema"].shape != () or int(arrays["schema"]) != SCHEMA:
        raise InputError(path, f"schema {arrays['schema']}", f"schema {SCHEMA}", _REMEDY)
    sizes: dict[str, int] = {}
    for name, (kind, shape) in _LAYOUT.items():
        array = arrays[name]
        fits = array.dtype.kind == "U" if kind == "U" else array.dtype == np.dtype(kind)
        if len(array.shape) == len(shape):
            axes = zip(shape, array.shape, strict=True)
            fits &= all(n == (sizes.setdefault(axis, n) if isinstance(axis, str) else axis) for axis, n in axes)
        else:
            fits = False
        if not fits:
            found = f"{name} of type {array.dtype} and shape {list(array.shape)}"
            raise InputError(path, found, f"{kind} {list(shape)} with {sizes}", _REMEDY)
    if len(table(str(arrays["label_table"]))) != sizes["C"]:
        found = f"{sizes['C']} channels for the table {str(arrays['label_table'])!r}"
        raise InputError(path, found, f"{len(table(str(arrays['label_table'])))}", _REMEDY)


class LoadCloudd(MapTransform):
    """Read the cloud at each key's path; the value becomes :meth:`Cloud.in_frame`'s dictionary.

    Raises:
        InputError: as :meth:`Cloud.read`.
    """

    def __init__(self, keys: KeysCollection = "cloud", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        read = dict(data)
        for key in self.key_iterator(read):
            read[key] = Cloud.read(read[key]).in_frame()
        return read
