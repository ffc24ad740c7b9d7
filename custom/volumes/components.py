"""Connected components of a mask: counting, keeping the largest, and removing the components that do not belong (A1.7).

Keeping the k largest alone deletes every branch behind a cut in a thin structure. :func:`clean` therefore spares what
is large beside the largest component and, on request, what is near to a component already kept.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import cc3d
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt32
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type, convert_to_numpy
from scipy.spatial import KDTree

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..headers import loaded_spacing_mm
from .morphology import Box, erode, foreground_box

logger = logging.getLogger(__name__)

Connectivity = Literal[6, 18, 26]
"""Neighbours of a voxel: 6 by face, 18 by face or edge, 26 by face, edge or corner."""

DEFAULT_CONNECTIVITY: Connectivity = 26


@dataclass(frozen=True)
class Removed:
    """A component that was taken away.

    Attributes:
        volume_mm3: its volume.
        distance_mm: from its nearest voxel centre to the nearest voxel centre that was kept.
    """

    volume_mm3: float
    distance_mm: float


@dataclass(frozen=True, eq=False)
class _Parts:
    """The components inside the foreground's box, numbered 1 .. n from the largest; equals in raster order."""

    box: Box
    labels: Int[np.ndarray, "i j k"]
    voxels: Int[np.ndarray, " n"]


def connected(mask: Shaped[np.ndarray, "i j k"], connectivity: Connectivity) -> tuple[Shaped[np.ndarray, "i j k"], int]:
    """cc3d's components of a mask, in its own numbering, and how many.

    The mask is framed by a voxel of background: cc3d fails on a line of voxels one voxel thick.
    """
    framed = np.pad(mask != 0, 1)
    labels, found = cc3d.connected_components(framed, connectivity=connectivity, return_N=True)
    return labels[1:-1, 1:-1, 1:-1], int(found)


def _parts(mask: Shaped[np.ndarray, "i j k"], connectivity: Connectivity) -> _Parts | None:
    """The components of a mask by size; None if it is empty."""
    box = foreground_box(mask)
    if box is None:
        return None
    # cc3d numbers in memory order: one memory order makes the result independent of how the mask was stored.
    raw, count_ = connected(np.ascontiguousarray(mask[box]), connectivity)
    sizes = np.zeros(count_ + 1, dtype=np.int64)
    for plane in raw:
        sizes += np.bincount(plane.ravel(), minlength=count_ + 1)
    order = np.argsort(-sizes[1:], kind="stable")
    number = np.zeros(count_ + 1, dtype=np.int32)
    number[order + 1] = np.arange(1, count_ + 1)
    return _Parts(box, number[raw], sizes[1:][order])


def _pasted(shape: tuple[int, ...], box: Box, values: Shaped[np.ndarray, "i j k"]) -> Shaped[np.ndarray, "a b c"]:
    """A volume of that shape holding the values in the box, zero elsewhere."""
    volume = np.zeros(shape, dtype=values.dtype)
    volume[box] = values
    return volume


def label(
    mask: Shaped[np.ndarray, "i j k"], connectivity: Connectivity = DEFAULT_CONNECTIVITY
) -> tuple[UInt32[np.ndarray, "i j k"], int]:
    """The components numbered 1 .. n from the largest (equals in raster order), and n; 0 is background.

    Empty gives all zeros and 0; full and one voxel give one component.
    """
    parts = _parts(mask, connectivity)
    if parts is None:
        return np.zeros(mask.shape, dtype=np.uint32), 0
    return _pasted(mask.shape, parts.box, parts.labels.astype(np.uint32)), len(parts.voxels)


def count(mask: Shaped[np.ndarray, "i j k"], connectivity: Connectivity = DEFAULT_CONNECTIVITY) -> int:
    """How many components a mask has; an empty one has 0, a full one 1."""
    box = foreground_box(mask)
    if box is None:
        return 0
    return connected(mask[box], connectivity)[1]


def keep_largest(
    mask: Shaped[np.ndarray, "i j k"], k: int, connectivity: Connectivity = DEFAULT_CONNECTIVITY
) -> Bool[np.ndarray, "i j k"]:
    """The ``k`` largest components of a mask, all if it has fewer (A1.7); of equals the first in raster order.

    Empty stays empty. Raises ``ValueError`` for ``k`` below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}, wanted at least 1")
    parts = _parts(mask, connectivity)
    if parts is None:
        return np.zeros(mask.shape, dtype=bool)
    return _pasted(mask.shape, parts.box, (parts.labels > 0) & (parts.labels <= k))


def _outline_mm(parts: _Parts, spacing_mm: tuple[float, float, float]) -> tuple[Any, Any]:
    """The outer voxels of all components, in mm [n 3], and the component of each [n].

    The nearest voxel of a component to anything outside it always has a free face, so the inner ones are left out.
    """
    inside = parts.labels > 0
    # Different components never share a face: the faces of the union are the faces of its components.
    outer = np.argwhere(inside & ~erode(inside, 1))
    return outer * np.asarray(spacing_mm), parts.labels[tuple(outer.T)]


def _nearest_mm(
    points_mm: Float[np.ndarray, "n 3"], owner: Int[np.ndarray, " n"], to: Bool[np.ndarray, " components"]
) -> Float[np.ndarray, " components"]:
    """The distance of every component to the nearest of those in ``to`` (0 for these themselves)."""
    target = to[owner - 1]
    nearest = np.where(to, 0.0, np.inf)
    if not target.all():
        distance, _ = KDTree(points_mm[target]).query(points_mm[~target])
        np.minimum.at(nearest, owner[~target] - 1, distance)
    return nearest


def clean(
    mask: Shaped[np.ndarray, "i j k"],
    components: int,
    spare_fraction: float = 0.1,
    reach_mm: float | None = None,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    min_volume_mm3: float = 20.0,
    connectivity: Connectivity = DEFAULT_CONNECTIVITY,
) -> tuple[Bool[np.ndarray, "i j k"], list[Removed]]:
    """Take away the components that do not belong to a structure (A1.7).

    Kept are the ``components`` largest, and each further one of at least ``spare_fraction`` of the largest. With
    ``reach_mm`` (thin structures, where a fragment is a cut branch more often than noise) also each of at least
    ``min_volume_mm3`` whose nearest voxel centre lies within ``reach_mm`` of one kept already, and so on from there.

    Returns:
        The cleaned mask, and what was removed, largest first. An empty mask gives itself and nothing removed; a full
        one or one voxel is kept.

    Raises:
        ValueError: ``components`` is below 1.
    """
    if components < 1:
        raise ValueError(f"components is {components}, wanted at least 1")
    parts = _parts(mask, connectivity)
    if parts is None:
        return np.zeros(mask.shape, dtype=bool), []
    kept = (np.arange(len(parts.voxels)) < components) | (parts.voxels >= spare_fraction * parts.voxels[0])
    if kept.all():
        return _pasted(mask.shape, parts.box, parts.labels > 0), []
    points_mm, owner = _outline_mm(parts, spacing_mm)
    volume_mm3 = parts.voxels * float(np.prod(spacing_mm))
    nearest_mm = _nearest_mm(points_mm, owner, kept)
    if reach_mm is not None:
        while (near := ~kept & (volume_mm3 >= min_volume_mm3) & (nearest_mm <= reach_mm)).any():
            kept |= near
            nearest_mm = np.minimum(nearest_mm, _nearest_mm(points_mm, owner, near))
    gone = np.flatnonzero(~kept)
    removed = [Removed(float(volume_mm3[part]), float(nearest_mm[part])) for part in gone]
    return _pasted(mask.shape, parts.box, np.concatenate([[False], kept])[parts.labels]), removed


class CleanComponentsd(MapTransform):
    """:func:`clean` for MONAI: the rules of one structure applied to its channel-first mask [1, i, j, k].

    Values above 0.5 are inside; what is kept keeps its value, type and metadata, what is removed becomes 0. The
    spacing is that of the MetaTensor's affine; a plain tensor or array is taken as 1 mm.

    Args:
        keys: where the masks are.
        structure: name or index in the table, which says how many components to keep and whether it is thin.
        label_table: the table or its name.
        spare_fraction, reach_mm, min_volume_mm3: as in :func:`clean`; ``reach_mm`` acts on thin structures only.

    Raises:
        InputError: the table or the structure is unknown.
        ValueError: a mask is not [1, i, j, k].
    """

    def __init__(
        self,
        keys: KeysCollection,
        structure: str | int,
        label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name,
        spare_fraction: float = 0.1,
        reach_mm: float | None = 8.0,
        min_volume_mm3: float = 20.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.structure = table(label_table)[structure]
        self.spare_fraction = spare_fraction
        self.reach_mm = reach_mm if self.structure.thin else None
        self.min_volume_mm3 = min_volume_mm3

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        cleaned = dict(data)
        for key in self.key_iterator(cleaned):
            cleaned[key] = self._clean(data[key])
        return cleaned

    def _clean(self, image: Any) -> Any:
        if image.ndim != 4 or image.shape[0] != 1:
            raise ValueError(f"mask has shape {tuple(image.shape)}, wanted [1, i, j, k]")
        values = convert_to_numpy(image)
        kept, removed = clean(
            values[0] > 0.5,
            self.structure.components,
            self.spare_fraction,
            self.reach_mm,
            loaded_spacing_mm(image),
            self.min_volume_mm3,
        )
        if removed:
            total_mm3 = sum(part.volume_mm3 for part in removed)
            logger.info("%s: removed %d components, %.1f mm3", self.structure.name, len(removed), total_mm3)
        return convert_to_dst_type(np.where(kept[None], values, 0), dst=image)[0]
