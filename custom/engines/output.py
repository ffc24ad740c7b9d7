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
from ..cohort.label_maps import read_label_map, write_label_map
from ..errors import InputError
from ..space import Frame
from ..volumes.roi import paste
from .asking import on_grid


def output_items(cases: Sequence[str], only: Sequence[str] = ()) -> list[dict[str, Any]]:
    """One item per case of a checkpoint: its row as ``image``, and its name.

    Args:
        cases: names in code order.
        only: names to restrict to; empty for all.

    Raises:
        InputError: a name in ``only`` that the checkpoint does not hold.
    """
    unknown = [name for name in only if name not in cases]
    if unknown:
        found, wanted = f"no code for {', '.join(unknown[:3])}", f"names among its {len(cases)} cases"
        raise InputError("only_cases", found, wanted, "Run fit.json to fit codes to new cases.")
    return [
        {"image": torch.tensor(row), "index": row, "case": name}
        for row, name in enumerate(cases)
        if not only or name in only
    ]


class ToGridd(MapTransform):
    """Put an array of a case's box [1, d, h, w] back into the whole grid [1, i, j, k], zeros around it, with its
    affine.

    Args:
        keys: arrays over the unit cube's axes.
        frames: of all cases, in code order; the item's ``index`` chooses.
        spacing_mm: of the grid asked for; ``None`` for the label map's own.
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
                whole = paste(np.ascontiguousarray(grid.from_unit_order(np.asarray(item[key])[0])), grid)
            item[key] = MetaTensor(torch.from_numpy(whole)[None], affine=torch.from_numpy(grid.affine.copy()))
        return item


class SaveGridd(MapTransform):
    """Write ``FOLDER/CASE.nii.gz`` atomically.

    Args:
        keys: MetaTensors [1, i, j, k].
        folder: made if it is not there.
        dtype: of the file: uint8 for masks, float32 for probabilities.
    """

    def __init__(self, keys: KeysCollection, folder: str | Path, dtype: str = "uint8") -> None:
        super().__init__(keys)
        self.folder, self.dtype = Path(folder), np.dtype(dtype)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            array = np.asarray(item[key][0])
            stored = array.astype(self.dtype)
            write_label_map(self.folder / f"{item['case']}.nii.gz", stored, np.asarray(item[key].affine), self.dtype)
        return item


class LoadReferenced(MapTransform):
    """Add ``label``, the reference mask of the item's case, from a folder of label maps or of masks by structure.

    ``reference_dir/STRUCTURE/CASE.nii.gz`` is taken as a mask if that folder exists, else ``reference_dir/CASE.nii.gz``
    as a label map of the table.

    Args:
        keys: the predicted mask, whose grid the reference must share.
        reference_dir: folder of references.
        structure: name or index.
        label_table: name of its table.

    Raises:
        InputError: no reference of that name, or one on another grid.
    """

    def __init__(
        self,
        keys: KeysCollection,
        reference_dir: str | Path,
        structure: str | int,
        label_table: str = PUBLIC_CARDIAC_CT.name,
    ) -> None:
        super().__init__(keys)
        chosen = table(label_table)[structure]
        masks = Path(reference_dir) / chosen.name
        self.index = 1 if masks.is_dir() else chosen.index
        self.folder = masks if masks.is_dir() else Path(reference_dir)
        self.label_table = label_table
        self.paths = {case.name: case.path for case in find_cases(self.folder, label_table)}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        name = item["case"]
        if name not in self.paths:
            remedy = "Give the folder of references of the same cases, or restrict with --only_cases."
            raise InputError(self.folder, f"no label map of case {name}", "one for every case", remedy)
        reference = read_label_map(self.paths[name], self.label_table)
        for key in self.key_iterator(item):
            if tuple(item[key].shape[1:]) != reference.labels.shape:
                found, wanted = f"a grid of {reference.labels.shape}", f"the case's grid {tuple(item[key].shape[1:])}"
                raise InputError(reference.path, found, wanted, "Give references on the grid of the label maps.")
            item["label"] = MetaTensor(
                torch.from_numpy((reference.labels == self.index).astype(np.float32))[None], affine=item[key].affine
            )
        return item
