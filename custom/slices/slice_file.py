"""One slice: what a network that completes a heart from it is given (requirement C1).

One ``CASE-axA-KKK.npz`` a slice, without pickles. ``C`` is the number of structures of the label table, in its order;
``h`` and ``w`` are the slice's rows and columns (:mod:`custom.slices.cut_slices`), ``s`` each in a cube.

===============  =========  =======  =====================================================================
array            shape      type     meaning
===============  =========  =======  =====================================================================
``schema``       scalar     int32    the number of this layout, :data:`SCHEMA`
``case``         scalar     <U       name of the case
``label_table``  scalar     <U       name of the table the masks follow
``image``        [h, w]     float32  the scan in [0, 1] through ``window_hu``
``window_hu``    [2]        float64  Hounsfield units that are 0 and 1 in ``image``
``mask``         [C, h, w]  bool     where each structure is
``pointmap``     [h, w, 3]  float32  world mm (RAS) of the pixel's centre; NaN off all structures
``affine``       [4, 4]     float64  of the cube the slice is cut from, voxel ijk to world mm
``shape``        [3]        int32    of that cube, voxels
``axis``         scalar     int32    the axis it is cut across: 0 sagittal, 1 coronal, 2 axial
``slice_idx``    scalar     int32    its place along that axis
``gt_sdf_path``  scalar     <U       the case's ``CASE-sdf.npz``, relative to this file's folder
===============  =========  =======  =====================================================================
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..anatomy import StructureTable, table
from .case_volume import CaseVolume
from .cut_slices import WINDOW_HU, cut, masks_of, pointmap, windowed
from .npz_io import Layout, read_arrays, write_arrays

SCHEMA = 1

LAYOUT: Layout = {
    "schema": ("<i4", ()),
    "case": ("U", ()),
    "label_table": ("U", ()),
    "image": ("<f4", ("h", "w")),
    "window_hu": ("<f8", (2,)),
    "mask": ("|b1", ("C", "h", "w")),
    "pointmap": ("<f4", ("h", "w", 3)),
    "affine": ("<f8", (4, 4)),
    "shape": ("<i4", (3,)),
    "axis": ("<i4", ()),
    "slice_idx": ("<i4", ()),
    "gt_sdf_path": ("U", ()),
}


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice; the arrays are described at the head of this file."""

    case: str
    label_table: str
    image: Float32[np.ndarray, "h w"]
    window_hu: Float64[np.ndarray, "2"]
    mask: Bool[np.ndarray, "c h w"]
    pointmap: Float32[np.ndarray, "h w 3"]
    affine: Float64[np.ndarray, "4 4"]
    shape: tuple[int, int, int]
    axis: int
    slice_idx: int
    gt_sdf_path: str

    @property
    def table(self) -> StructureTable:
        return table(self.label_table)

    @classmethod
    def of(
        cls,
        volume: CaseVolume,
        axis: int,
        index: int,
        gt_sdf_path: str,
        window_hu: Sequence[float] = WINDOW_HU,
    ) -> Slice:
        """The slice ``index`` across ``axis`` of a case's volume."""
        i, j, k = volume.labels.shape
        mask = masks_of(cut(volume.labels, axis, index), volume.table)
        return cls(
            case=volume.case,
            label_table=volume.label_table,
            image=windowed(cut(volume.image_hu, axis, index), window_hu),
            window_hu=np.asarray(window_hu, np.float64),
            mask=mask,
            pointmap=pointmap(np.asarray(mask.any(axis=0)), volume.affine, (i, j, k), axis, index),
            affine=volume.affine,
            shape=(i, j, k),
            axis=axis,
            slice_idx=index,
            gt_sdf_path=gt_sdf_path,
        )

    def of_structure(self, name: str | int) -> tuple[Bool[np.ndarray, "h w"], Float32[np.ndarray, "h w 3"]]:
        """One structure's mask, and the pointmap with NaN off it; ``InputError`` for a name the table lacks."""
        mask = self.mask[self.table.indices.index(self.table[name].index)]
        return mask, np.where(mask[..., None], self.pointmap, np.float32(np.nan))

    def write(self, path: str | Path) -> None:
        """Write the file, whole or not at all; ``InputError`` where that cannot be."""
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        small = {name: arrays[name].astype(np.int32) for name in ("shape", "axis", "slice_idx")}
        write_arrays(Path(path), {"schema": np.asarray(SCHEMA, np.int32), **arrays, **small})

    @classmethod
    def read(cls, path: str | Path) -> Slice:
        """Read a file; ``InputError`` for one that is missing, damaged or of another layout."""
        arrays = read_arrays(Path(path), LAYOUT, SCHEMA, "a slice (CASE-axA-KKK.npz)")
        values: dict[str, Any] = {field.name: arrays[field.name] for field in fields(cls)}
        values |= {name: str(values[name]) for name in ("case", "label_table", "gt_sdf_path")}
        values |= {name: int(values[name]) for name in ("axis", "slice_idx")}
        i, j, k = (int(size) for size in arrays["shape"])
        return cls(**(values | {"shape": (i, j, k)}))


class LoadSliced(MapTransform):
    """Read the slice at each key's path; the value becomes a dictionary of arrays.

    ``image`` [1, h, w] in [0, 1]; ``mask`` [1, h, w] and ``pointmap`` [3, h, w], of one structure if one is chosen,
    else ``mask`` [C, h, w] and the pointmap of all; ``affine``, ``axis``, ``slice_idx``, ``case``, and ``gt_sdf_path``
    as an absolute path. With ``sdf`` true also ``sdf_mm``, the case's signed distances cut along the slice's own axis,
    [1 or C, h, w].

    Args:
        keys: where the paths are.
        structure: name or number of one structure; all of them if left out. An item's own, where ``structure_key`` is
            in the dictionary, comes first.
        sdf: whether to read the signed distances: the whole file of the case, for one slice of it.
        structure_key: where an item may name its structure.

    Raises:
        InputError: as :meth:`Slice.read`; a structure the table lacks.
    """

    def __init__(
        self,
        keys: KeysCollection = "slice",
        structure: str | int | None = None,
        sdf: bool = False,
        structure_key: str = "structure",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.structure, self.sdf, self.structure_key = structure, sdf, structure_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        read = dict(data)
        for key in self.key_iterator(read):
            read[key] = self._loaded(Path(read[key]), read.get(self.structure_key, self.structure))
        return read

    def _loaded(self, path: Path, structure: str | int | None) -> dict[str, Any]:
        one = Slice.read(path)
        mask, place = one.mask, one.pointmap
        channels = slice(None)
        if structure is not None:
            channel = one.table.indices.index(one.table[structure].index)
            channels = slice(channel, channel + 1)
            alone, place = one.of_structure(structure)
            mask = alone[None]
        truth = path.parent.absolute() / one.gt_sdf_path
        loaded = {
            "image": one.image[None],
            "mask": mask,
            "pointmap": np.moveaxis(place, -1, 0),
            "affine": one.affine,
            "axis": one.axis,
            "slice_idx": one.slice_idx,
            "case": one.case,
            "gt_sdf_path": str(truth),
        }
        if self.sdf:
            loaded["sdf_mm"] = cut(CaseVolume.read(truth).sdf_mm[channels], one.axis, one.slice_idx)
        return loaded
