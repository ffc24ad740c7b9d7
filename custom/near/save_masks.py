"""From a field's logits to files: back on a grid, thresholded, cleaned, written (requirement A1.7)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from ..anatomy import PUBLIC_CARDIAC_CT, table
from ..data.case_list import find_cases
from ..data.label_maps import LabelMap, read_label_map, write_label_map
from ..data.partner_grids import to_grid
from ..errors import InputError
from ..headers import GRID_HEADER, header_in, json_of, loaded_spacing_mm
from ..phantoms.default_dataset import given_or_phantoms
from ..space import Frame
from ..volumes.roi import paste
from ..volumes.vessel_smoothing import smooth_along
from .inferers import on_grid


def output_items(cases: Sequence[str], only: Sequence[str | int] | str | int = ()) -> list[dict[str, Any]]:
    """One item per case of a checkpoint: its row as ``image``, and its name.

    Args:
        cases: names in code order.
        only: names to restrict to, or a single one; empty for all. A command line gives a name of digits as a number.

    Raises:
        InputError: a name in ``only`` that the checkpoint does not hold.
    """
    several = only if isinstance(only, Sequence) and not isinstance(only, str) else [only] if only != "" else []
    wanted_names = [str(name) for name in several]
    unknown = [name for name in wanted_names if name not in cases]
    if unknown:
        found, wanted = f"no code for {', '.join(unknown[:3])}", f"names among its {len(cases)} cases"
        raise InputError("only_cases", found, wanted, "Run fit.json to fit codes to new cases.")
    return [
        {"image": torch.tensor(row), "index": row, "case": name}
        for row, name in enumerate(cases)
        if not wanted_names or name in wanted_names
    ]


class ToGridd(MapTransform):
    """Put an array of a case's box [1, d, h, w] back into the whole grid [1, i, j, k], zeros around it, with its
    affine.

    Args:
        keys: arrays over the unit cube's axes.
        frames: of all cases, in code order; the item's ``index`` chooses.
        spacing_mm: of the output grid; ``None`` for the label map's own.

    Raises:
        InputError: the field was evaluated on another grid than this one.
    """

    def __init__(self, keys: KeysCollection, frames: Sequence[Frame], spacing_mm: float | None = None) -> None:
        super().__init__(keys)
        self.frames, self.spacing_mm = list(frames), spacing_mm

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        grid = on_grid(self.frames[int(item["index"])], self.spacing_mm)
        for key in self.key_iterator(item):
            if grid.empty:
                whole = np.zeros(grid.shape, np.float32)
            else:
                crop = grid.from_unit_order(np.asarray(item[key])[0])
                if crop.shape != grid.box_shape:
                    found, wanted = f"answers on a box of {crop.shape} voxels", f"one of {grid.box_shape}"
                    raise InputError("spacing_mm", found, wanted, "Leave --spacing_mm out here.")
                whole = paste(np.ascontiguousarray(crop), grid)
            item[key] = MetaTensor(torch.from_numpy(whole)[None], affine=torch.from_numpy(grid.affine.copy()))
        item[GRID_HEADER] = json_of(grid.header)
        return item


class SaveGridd(MapTransform):
    """Write ``FOLDER/CASE.nii.gz`` atomically, with the header of the grid where the item has it.

    Args:
        keys: MetaTensors [1, i, j, k].
        folder: made if it is not there.
        dtype: of the file: uint8 for masks, float32 for probabilities.
        decimals: to which values are rounded; ``None`` leaves them. Random low bits cannot be compressed.
    """

    def __init__(
        self, keys: KeysCollection, folder: str | Path, dtype: str = "uint8", decimals: int | None = None
    ) -> None:
        super().__init__(keys)
        self.folder, self.dtype, self.decimals = Path(folder), np.dtype(dtype), decimals

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            array = np.asarray(item[key][0])
            stored = (array if self.decimals is None else array.round(self.decimals)).astype(self.dtype)
            path, affine = self.folder / f"{item['case']}.nii.gz", np.asarray(item[key].affine)
            write_label_map(path, stored, affine, self.dtype, header_in(item))
        return item


class FromLabeld(MapTransform):
    """Take the mask from the case's label map, smoothed along the vessel, where ``mask_from`` is ``label``.

    A field costs a vessel two voxels wide more than the label's own noise does; its probability still leads
    across gaps. Where ``mask_from`` is ``field``, the field's mask passes through.

    Args:
        keys: masks on the label map's grid.
        mask_from: ``field`` or ``label``.
        dataset_dir: the label maps, as :func:`custom.data.case_list.find_cases` takes them; empty for the phantoms.
        structure: name or index.
        label_table: name of its table.
        along_mm: standard deviation of the smoothing, see :func:`custom.volumes.vessel_smoothing.smooth_along`.

    Raises:
        InputError: no label map of a case, or one on another grid than the mask's.
    """

    def __init__(
        self,
        keys: KeysCollection,
        mask_from: str,
        dataset_dir: str | Path,
        structure: str | int,
        label_table: str = PUBLIC_CARDIAC_CT.name,
        along_mm: float = 1.5,
    ) -> None:
        super().__init__(keys)
        self.index, self.label_table, self.along_mm = table(label_table)[structure].index, label_table, along_mm
        self.paths: dict[str, Path] | None = None
        if mask_from == "label":
            self.dataset_dir = given_or_phantoms(str(dataset_dir))
            self.paths = {case.name: case.path for case in find_cases(self.dataset_dir, label_table)}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        if self.paths is None:
            return item
        name = item["case"]
        if name not in self.paths:
            found = f"no label map of case {name}, whose mask is to be taken from it"
            raise InputError(self.dataset_dir, found, "all cases", "Give --dataset_dir, or --mask_from field.")
        given = read_label_map(self.paths[name], self.label_table)
        for key in self.key_iterator(item):
            labels = _on_grid_of_mask(given, item[key], "Leave out --spacing_mm, or give --mask_from field.")
            mask = smooth_along(labels == self.index, loaded_spacing_mm(item[key]), self.along_mm)
            item[key] = MetaTensor(torch.from_numpy(mask.astype(np.float32))[None], affine=item[key].affine)
        return item


def _on_grid_of_mask(given: LabelMap, mask: MetaTensor, remedy: str) -> Shaped[np.ndarray, "i j k"]:
    """The labels in the voxel order of a mask [1, i, j, k]. Raises ``InputError`` if the grids differ in more."""
    shape, affine = tuple(mask.shape[1:]), np.asarray(mask.affine, dtype=np.float64)
    return to_grid(given, shape, affine, "the mask's grid", remedy)


class LoadReferenced(MapTransform):
    """Add ``label``, the reference mask of the item's case, from a folder of label maps or of masks by structure.

    ``reference_dir/STRUCTURE/CASE.nii.gz`` is taken as a mask of 0 and 1 if that folder exists, else
    ``reference_dir/CASE.nii.gz`` as a label map of the table.

    Args:
        keys: the predicted mask, whose grid the reference must share.
        reference_dir: folder of references.
        structure: name or index.
        label_table: name of its table.

    Raises:
        InputError: no such folder, no reference of that name, one on another grid, or a mask of other values.
    """

    def __init__(
        self,
        keys: KeysCollection,
        reference_dir: str | Path,
        structure: str | int,
        label_table: str = PUBLIC_CARDIAC_CT.name,
    ) -> None:
        super().__init__(keys)
        if not str(reference_dir) or not Path(reference_dir).exists():
            found, wanted = f"{str(reference_dir)!r}, where nothing is", "a folder of references"
            raise InputError("--reference_dir", found, wanted, "Give the folder of true label maps or masks.")
        chosen = table(label_table)[structure]
        masks = Path(reference_dir) / chosen.name
        self.as_masks = masks.is_dir()
        self.index = 1 if self.as_masks else chosen.index
        self.folder = masks if self.as_masks else Path(reference_dir)
        self.label_table = label_table
        self.paths = {case.name: case.path for case in find_cases(self.folder, label_table)}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        name = item["case"]
        if name not in self.paths:
            remedy = "Give the folder of references of the same cases, or restrict with --only_cases."
            raise InputError(self.folder, f"no label map of case {name}", "one for every case", remedy)
        reference = read_label_map(self.paths[name], self.label_table)
        if self.as_masks and reference.labels.max() > 1:
            found = f"the value {reference.labels.max()} in a folder of masks"
            raise InputError(reference.path, found, "0 and 1", "Give masks, or label maps outside of such a folder.")
        for key in self.key_iterator(item):
            remedy = "Give references on the grid of the label maps. Leave --spacing_mm out here."
            labels = _on_grid_of_mask(reference, item[key], remedy)
            mask = np.ascontiguousarray(labels == self.index).astype(np.float32)
            item["label"] = MetaTensor(torch.from_numpy(mask)[None], affine=item[key].affine)
        return item
