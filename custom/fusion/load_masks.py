"""The masks of one case as channels, from a folder of masks by structure, a label map, or both (requirement A2.1)."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from ..anatomy import PUBLIC_CARDIAC_CT, Structure, StructureTable, adjusted, table
from ..data.case_list import case_name, label_maps
from ..data.label_maps import LabelMap, check_header, is_label_map_name, read_grid, read_label_map
from ..data.partner_grids import on_grid_of, order_on
from ..data.plausible_size import checked_size
from ..errors import InputError
from ..fingerprints import digest_of
from ..headers import GRID_HEADER, json_of
from ..phantoms.default_dataset import given_or_phantoms
from .stored_probabilities import Probabilities, file_of, read_all

LOGGER = logging.getLogger(__name__)

MASK = StructureTable("masks", (Structure(1, "inside", rank=0, components=1),))
"""What the values of a mask may be."""


def changed_table(label_table: str, changes: Any) -> StructureTable:
    """The table with some fields of some structures replaced, as a user has written them in a setting.

    Raises:
        InputError: changes of another form than ``{"PV": {"components": 4}}``, or what
            :func:`custom.anatomy.adjusted` refuses.
    """
    if not isinstance(changes, Mapping) or not all(isinstance(values, Mapping) for values in changes.values()):
        wanted = "fields and their values by structure, such as {'PV': {'components': 4}}"
        raise InputError("--table_changes", repr(changes), wanted, "Write it so, in quotation marks.")
    return adjusted(label_table, changes)


@dataclass(frozen=True, kw_only=True)
class CaseInputs:
    """The files of one case; whether they are there and sound is not known yet.

    Attributes:
        case: its name.
        labels: its label map; ``None`` if there is none.
        masks: its mask of each structure that has a folder of masks, by the structure's name.
        probabilities: its stored probability of each thin structure that has one, likewise.
    """

    case: str
    labels: Path | None
    masks: Mapping[str, Path]
    probabilities: Mapping[str, Path]

    @property
    def paths(self) -> tuple[Path, ...]:
        return (*([self.labels] if self.labels else []), *self.masks.values(), *self.probabilities.values())

    @property
    def first(self) -> Path:
        """The file whose grid is the case's."""
        return self.labels or next(iter(self.masks.values()))

    def check(self) -> None:
        """Look at every file's header. Raises ``InputError`` at the first that is missing or faulty."""
        for path in self.paths:
            check_header(path)

    def fingerprints(self) -> dict[str, str]:
        """Digest of the bytes of every file, by what it is of the case, wherever it lies. Raises ``OSError``."""
        roles = {"labels": self.labels} if self.labels else {}
        roles |= {f"mask {name}": path for name, path in self.masks.items()}
        roles |= {f"probability {name}": path for name, path in self.probabilities.items()}
        return {role: digest_of(path) for role, path in roles.items()}


def find_inputs(
    dataset_dir: str | Path = "",
    masks_dir: str | Path = "",
    label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name,
) -> tuple[CaseInputs, ...]:
    """The cases of a data set, by name, and where their files should be.

    With label maps their cases count, and a structure without a folder of masks is taken from them. With masks alone
    every case that has a mask counts, and a structure without a folder is absent. With neither, the phantom cohort.

    Args:
        dataset_dir: label maps, as for :func:`custom.data.case_list.find_cases`; empty for none.
        masks_dir: ``STRUCTURE/CASE.nii.gz`` below it, as stage 1 writes them; empty for none.
        label_table: the table or its name.

    Raises:
        InputError: a place that is none, that holds nothing of the kind, or two label maps of one name.
    """
    labels_of = table(label_table)
    folders = _mask_folders(Path(masks_dir), labels_of) if str(masks_dir) else {}
    if str(dataset_dir) or not folders:
        labels: dict[str, Path | None] = dict(label_maps(given_or_phantoms(str(dataset_dir))))
    else:
        files = [path for folder in folders.values() for path in folder.iterdir() if is_label_map_name(path)]
        labels = dict.fromkeys(sorted({case_name(path) for path in files if path.is_file()}))
        if not labels:
            found, wanted = f"no mask in {', '.join(folders)}", "STRUCTURE/CASE.nii.gz"
            raise InputError(masks_dir, found, wanted, "Give the folder `masks` that stage 1 has written.")
        absent = [name for name in labels_of.names if name not in folders]
        LOGGER.info("%s: %d cases, no masks of %s", masks_dir, len(labels), ", ".join(absent) or "nothing")
    probabilities = Probabilities(masks_dir, labels_of)
    return tuple(
        CaseInputs(
            case=case,
            labels=path,
            masks={name: file_of(folder, case) for name, folder in folders.items()},
            probabilities=probabilities.paths(case),
        )
        for case, path in labels.items()
    )


def load_masks(
    inputs: CaseInputs, label_table: StructureTable
) -> tuple[UInt8[np.ndarray, "structures i j k"], LabelMap]:
    """One channel of 0 and 1 per structure, in the order of the indices, and the file whose grid they lie on: the label
    map, or else the first mask. Another file of the case may hold its voxels in another order.

    Raises:
        InputError: a file is missing or faulty, a label is not in the table, a mask holds other values than 0 and 1,
            or two files lie on different grids; or as :func:`custom.data.plausible_size.checked_size`.
    """
    structures = sorted(label_table, key=lambda structure: structure.index)
    masks = read_all(lambda path: read_label_map(path, MASK), inputs.masks)
    first = read_label_map(inputs.labels, label_table) if inputs.labels else next(iter(masks.values()))
    if inputs.labels:
        checked_size(first.path, first.labels, first.spacing_mm, label_table)
    channels = np.zeros((len(structures), *first.labels.shape), np.uint8)
    for channel, structure in enumerate(structures):
        own = masks.pop(structure.name, None)
        if own is not None:
            channels[channel] = on_grid_of(own, first).labels
        elif inputs.labels:
            channels[channel] = first.labels == structure.index
    for path in inputs.probabilities.values():
        grid = read_grid(path)
        order_on(path, grid.shape, grid.affine, first.labels.shape, first.affine, f"that of {first.path}")
    return channels, first


class LoadMasksd(MapTransform):
    """Put the masks of the item's ``case`` in, [structures, i, j, k], 0 and 1 as uint8, with the case's affine.

    Args:
        keys: where they go.
        inputs: of all cases.
        label_table: the table or its name.

    Raises:
        InputError: as :func:`load_masks`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        inputs: Sequence[CaseInputs],
        label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name,
    ) -> None:
        super().__init__(keys)
        self.inputs = {one.case: one for one in inputs}
        self.label_table = table(label_table)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        channels, first = load_masks(self.inputs[item["case"]], self.label_table)
        for key in self.key_iterator(item):
            item[key] = MetaTensor(torch.from_numpy(channels), affine=torch.from_numpy(first.affine.copy()))
        item[GRID_HEADER] = json_of(first.header)
        return item


def _mask_folders(masks_dir: Path, label_table: StructureTable) -> dict[str, Path]:
    folders = {name: masks_dir / name for name in label_table.names if (masks_dir / name).is_dir()}
    if not folders:
        found = "no folder of a structure in it" if masks_dir.is_dir() else "no such folder"
        wanted = f"at least one folder of masks, named {', '.join(label_table.names)}"
        raise InputError(masks_dir, found, wanted, "Give the folder `masks` that stage 1 has written.")
    return folders
