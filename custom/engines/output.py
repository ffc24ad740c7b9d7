"""From a field's logits to files: back on a grid, thresholded, cleaned, written (requirement A1.7)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from ..anatomy import PUBLIC_CARDIAC_CT, table
from ..cohort.cases import find_cases
from ..cohort.dataset_dir import given_or_phantoms
from ..cohort.label_maps import LabelMap, read_label_map, write_label_map
from ..errors import InputError
from ..space import Frame
from ..volumes.along import smooth_along
from ..volumes.roi import paste
from .asking import on_grid


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
        spacing_mm: of the grid asked for; ``None`` for the label map's own.

    Raises:
        InputError: the field was asked on another grid than this one.
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
        return item


class SaveGridd(MapTransform):
    """Write ``FOLDER/CASE.nii.gz`` atomically.

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
            write_label_map(self.folder / f"{item['case']}.nii.gz", stored, np.asarray(item[key].affine), self.dtype)
        return item


class FromLabeld(MapTransform):
    """Take the mask from the case's label map, smoothed along the vessel, where ``mask_from`` is ``label``.

    A field costs a vessel two voxels wide more than the label's own noise does; it still says where the gaps lead.
    Where ``mask_from`` is ``field``, what comes in goes on.

    Args:
        keys: masks on the label map's grid.
        mask_from: ``field`` or ``label``.
        dataset_dir: the label maps, as :func:`custom.cohort.cases.find_cases` takes them; empty for the phantoms.
        structure: name or index.
        label_table: name of its table.
        along_mm: standard deviation of the smoothing, see :func:`custom.volumes.along.smooth_along`.

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
            check_same_grid(given, item[key], "Leave out --spacing_mm, or give --mask_from field.")
            mask = smooth_along(given.labels == self.index, given.spacing_mm, self.along_mm)
            item[key] = MetaTensor(torch.from_numpy(mask.astype(np.float32))[None], affine=item[key].affine)
        return item


def same_grid(affine: np.ndarray, other: np.ndarray, shape: Sequence[int]) -> bool:
    """Whether two affines put every voxel of a volume at the same place in the world, to a tenth of the smallest voxel
    edge: other programs round."""
    far = np.asarray(shape, dtype=np.float64) - 1
    corners = np.array([[i, j, k, 1.0] for i in (0, far[0]) for j in (0, far[1]) for k in (0, far[2])])
    apart_mm = np.linalg.norm((corners @ (affine - other).T)[:, :3], axis=1)
    return bool(apart_mm.max() <= 0.1 * np.linalg.norm(affine[:3, :3], axis=0).min())


def check_same_grid(given: LabelMap, predicted: MetaTensor, remedy: str) -> None:
    """Refuse a label map on another grid than a mask [1, i, j, k].

    Raises:
        InputError: another shape, or voxels at other places of the world.
    """
    shape, affine = tuple(predicted.shape[1:]), np.asarray(predicted.affine)
    if given.labels.shape != shape:
        raise InputError(given.path, f"a grid of {given.labels.shape}", f"the mask's grid {shape}", remedy)
    if not same_grid(affine, given.affine, shape):
        found, wanted = (f"an origin of {matrix[:3, 3].round(2).tolist()} mm" for matrix in (given.affine, affine))
        if found == wanted:
            found, wanted = "voxels along other axes or of another size", "the mask's own"
        raise InputError(given.path, found, wanted, remedy)


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
            check_same_grid(
                reference, item[key], "Give references on the grid of the label maps. Leave --spacing_mm out here."
            )
            mask = (reference.labels == self.index).astype(np.float32)
            item["label"] = MetaTensor(torch.from_numpy(mask)[None], affine=item[key].affine)
        return item
