"""Label maps as MONAI's ``LoadImaged`` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import ImageReader

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..headers import GRID_HEADER, json_of
from .label_maps import LabelMap, is_label_map_name, read_label_map


class LabelMapReader(ImageReader):
    """Reader of checked label maps, uint8 [i, j, k], with the affine in mm and the header among the metadata.

    MONAI's own reader takes an affine in the file's unit. ``LoadImaged`` falls back to it where this one refuses a
    file, so that :class:`custom.data.label_maps.CheckLabelMapd` stands before it.

    Args:
        label_table: the table or its name.
    """

    def __init__(self, label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name) -> None:
        self.label_table = table(label_table)

    def verify_suffix(self, filename: Sequence[Any] | Any) -> bool:
        """Whether all names are those of label maps."""
        names = filename if isinstance(filename, (list, tuple)) else [filename]
        return all(is_label_map_name(str(name)) for name in names)

    def read(self, data: Sequence[Any] | Any, **kwargs: Any) -> LabelMap:
        """The label map of one path. Raises ``InputError`` as :func:`read_label_map`."""
        (path,) = data if isinstance(data, (list, tuple)) else (data,)
        return read_label_map(Path(path), self.label_table)

    def get_data(self, img: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Labels [i, j, k] and their metadata."""
        meta = {
            "affine": img.affine.copy(),
            "original_affine": img.affine.copy(),
            "spatial_shape": np.asarray(img.labels.shape),
            "original_channel_dim": "no_channel",
            GRID_HEADER: json_of(img.header),
        }
        return np.ascontiguousarray(img.labels), meta
