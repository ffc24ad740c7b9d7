"""The volume of a case: what its slices were cut from, and the truth about its structures (requirement C1).

One ``CASE-sdf.npz`` a case, without pickles. ``C`` is the number of structures of the label table, in its order; ``s``
voxels are on a side of the cube.

===============  ============  =======  ======================================================================
array            shape         type     meaning
===============  ============  =======  ======================================================================
``schema``       scalar        int32    the number of this layout, :data:`SCHEMA`
``case``         scalar        <U       name of the case
``label_table``  scalar        <U       name of the table the labels follow
``sdf_mm``       [C, s, s, s]  float32  signed distance of each voxel centre to each structure's boundary, mm,
                                        negative inside (:mod:`custom.slices.voxel_distance`); ``absent_mm``, the
                                        cube's diagonal, in all of a structure that is not there
``present``      [C]           bool     whether the cube holds the structure
``labels``       [s, s, s]     uint8    index of the structure, 0 for background: where ``sdf_mm`` is below 0
``image_hu``     [s, s, s]     float32  the scan, Hounsfield units, -1024 where it does not reach
``affine``       [4, 4]        float64  voxel ijk of the cube to world mm (RAS)
===============  ============  =======  ======================================================================
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from monai.config import KeysCollection
from monai.transforms import MapTransform
from nibabel.affines import voxel_sizes

from ..anatomy import StructureTable, table
from .npz_io import Layout, read_arrays, write_arrays
from .scan_cube import Cube
from .voxel_distance import signed_distances_mm

SCHEMA = 1

LAYOUT: Layout = {
    "schema": ("<i4", ()),
    "case": ("U", ()),
    "label_table": ("U", ()),
    "sdf_mm": ("<f4", ("C", "s", "s", "s")),
    "present": ("|b1", ("C",)),
    "labels": ("|u1", ("s", "s", "s")),
    "image_hu": ("<f4", ("s", "s", "s")),
    "affine": ("<f8", (4, 4)),
}


@dataclass(frozen=True, eq=False)
class CaseVolume:
    """The volume of one case; the arrays are described at the head of this file."""

    case: str
    label_table: str
    sdf_mm: Float32[np.ndarray, "c s s s"]
    present: Bool[np.ndarray, " c"]
    labels: UInt8[np.ndarray, "s s s"]
    image_hu: Float32[np.ndarray, "s s s"]
    affine: Float64[np.ndarray, "4 4"]

    @property
    def table(self) -> StructureTable:
        return table(self.label_table)

    @property
    def spacing_mm(self) -> float:
        """Edge of the cube's voxels."""
        return float(voxel_sizes(self.affine)[0])

    @classmethod
    def of(cls, case: str, cube: Cube, label_table: str | StructureTable) -> CaseVolume:
        """The volume of a cube: its structures' signed distances, a second or so each at 64 voxels a side."""
        labels_of = table(label_table)
        present = np.asarray([bool((cube.labels == structure.index).any()) for structure in labels_of])
        sdf_mm = signed_distances_mm(cube.labels, labels_of, float(voxel_sizes(cube.affine)[0]))
        return cls(case, labels_of.name, sdf_mm, present, cube.labels, cube.image_hu, cube.affine)

    def write(self, path: str | Path) -> None:
        """Write the file, whole or not at all; ``InputError`` where that cannot be."""
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        write_arrays(Path(path), {"schema": np.asarray(SCHEMA, np.int32), **arrays})

    @classmethod
    def read(cls, path: str | Path) -> CaseVolume:
        """Read a file; ``InputError`` for one that is missing, damaged or of another layout."""
        arrays = read_arrays(Path(path), LAYOUT, SCHEMA, "the volume of a case (CASE-sdf.npz)")
        values: dict[str, Any] = {field.name: arrays[field.name] for field in fields(cls)}
        return cls(**(values | {"case": str(arrays["case"]), "label_table": str(arrays["label_table"])}))


class LoadCaseVolumed(MapTransform):
    """Read the volume at each key's path; the value becomes the dictionary of its arrays, with a channel axis.

    ``labels`` [1, s, s, s], ``image_hu`` [1, s, s, s], ``sdf_mm`` [C, s, s, s], ``present`` [C], ``affine`` [4, 4].

    Raises:
        InputError: as :meth:`CaseVolume.read`.
    """

    def __init__(self, keys: KeysCollection = "sdf", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        read = dict(data)
        for key in self.key_iterator(read):
            volume = CaseVolume.read(read[key])
            read[key] = {
                "labels": volume.labels[None],
                "image_hu": volume.image_hu[None],
                "sdf_mm": volume.sdf_mm,
                "present": volume.present,
                "affine": volume.affine,
            }
        return read
