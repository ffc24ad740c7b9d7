"""The cases of a cohort as whole hearts, with what training needs to know of all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.transforms import Compose

from ..anatomy import PUBLIC_CARDIAC_CT, table
from .structure_dataset import StructureDataset


class HeartDataset(StructureDataset):
    """The cases that hold any structure, stored once as :class:`StructureDataset` stores them.

    Args:
        data: items, from ``case_items``.
        transform: a MONAI ``Compose``; its deterministic part must leave what
            :class:`custom.volumes.heart_box.HeartBoxd` leaves.
        cache_dir: folder of the stored results.
        label_table: name of the structure table.

    Raises:
        InputError: no case holds any structure.
    """

    remedy = "Choose another --dataset_dir, or another --label_table."

    def __init__(
        self,
        data: Sequence[dict[str, Any]],
        transform: Compose,
        cache_dir: str | Path,
        label_table: str = PUBLIC_CARDIAC_CT.name,
    ) -> None:
        self.label_table = table(label_table)
        self.counted: list[np.ndarray] = []
        self.placed: list[np.ndarray] = []
        super().__init__(data, transform, cache_dir, "heart")

    def note(self, stored: dict[str, Any]) -> None:
        self.counted.append(np.asarray(stored["label_voxels"]))
        self.placed.append(np.asarray(stored["label_extents"], dtype=np.float64))

    @property
    def voxels(self) -> list[int]:
        """Voxels of each structure in all cases together, in the table's order."""
        return [int(count) for count in np.sum(self.counted, axis=0)]

    @property
    def extents(self) -> dict[str, list[list[float]]]:
        """Where each structure begins and ends in the unit cube, (x, y, z), on the average of the cases that hold it;
        one that no case holds is left out."""
        placed = np.stack(self.placed)
        held = {
            structure.name: placed[~np.isnan(placed[:, channel]).any(axis=(1, 2)), channel]
            for channel, structure in enumerate(self.label_table)
        }
        return {name: cases.mean(axis=0).tolist() for name, cases in held.items() if len(cases)}
