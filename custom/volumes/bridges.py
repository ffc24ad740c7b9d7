"""Fragments of a cut vessel joined again by short tubes: a thin structure is bridged before it is judged."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from .components import connected
from .morphology import foreground_box

LOGGER = logging.getLogger(__name__)

TIP_MM = 4.0
"""How far from the gap a fragment's own course and width are read."""


@dataclass(frozen=True)
class Bridge:
    """One tube drawn between two fragments.

    Attributes:
        length_mm: of the gap, between the nearest voxel centres of the two.
        volume_mm3: of the voxels added.
    """

    length_mm: float
    volume_mm3: float


def bridge(
    mask: Shaped[np.ndarray, "i j k"],
    components: int,
    reach_mm: float,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    min_volume_mm3: float = 20.0,
) -> tuple[Bool[np.ndarray, "i j k"], list[Bridge]]:
    """Join the fragments of a thin structure, the shortest gap first, until ``components`` are left.

    A gap longer than ``reach_mm`` and a fragment below ``min_volume_mm3`` are left alone. Each bridge is a tube from
    the middle of one fragment's end to the middle of the other's, its radius tapering from the one's to the other's.

    Returns:
        The mask with the bridges, and the bridges. An empty mask, one component or one voxel gives itself.
    """
    joined = np.asarray(mask > 0)
    box = foreground_box(joined, margin_voxels=1)
    if box is None:
        return joined, []
    crop = joined[box].copy()
    labels, count = connected(crop, connectivity=26)
    spacing = np.asarray(spacing_mm)
    sizes_mm3 = np.bincount(labels.ravel(), minlength=count + 1) * float(spacing.prod())
    large = [part for part in range(1, count + 1) if sizes_mm3[part] >= min_volume_mm3]
    if len(large) <= components:
        return joined, []
    voxels = {part: np.argwhere(labels == part) * spacing for part in large}
    half_widths_mm = distance_transform_edt(np.pad(crop, 1), sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
    bridges = []
    for length_mm, one, other in _shortest_gaps(voxels, components, reach_mm):
        ends = [_end(voxels[part], tip, half_widths_mm, spacing) for part, tip in (one, other)]
        added = _tube(crop.shape, spacing, *ends) & ~crop
        crop |= added
        bridges.append(Bridge(length_mm, float(added.sum() * spacing.prod())))
    joined = joined.copy()
    joined[box] = crop
    return joined, bridges


Tip = tuple[int, Float[np.ndarray, "3"]]


def _shortest_gaps(
    voxels: dict[int, Float[np.ndarray, "n 3"]], components: int, reach_mm: float
) -> list[tuple[float, Tip, Tip]]:
    """Kruskal's forest over the fragments: gaps by length, until ``components`` groups are left."""
    trees = {part: KDTree(places) for part, places in voxels.items()}
    parts, gaps = sorted(voxels), []
    for at, one in enumerate(parts):
        for other in parts[at + 1 :]:
            distances, nearest = trees[one].query(voxels[other], distance_upper_bound=reach_mm)
            place = int(distances.argmin())
            if np.isfinite(distances[place]):
                tips = voxels[one][nearest[place]], voxels[other][place]
                gaps.append((float(distances[place]), (one, tips[0]), (other, tips[1])))
    group = {part: part for part in parts}
    chosen = []
    for gap in sorted(gaps, key=lambda gap: (gap[0], gap[1][0], gap[2][0])):
        one, other = group[gap[1][0]], group[gap[2][0]]
        if one != other and len(set(group.values())) > components:
            group = {part: one if leader == other else leader for part, leader in group.items()}
            chosen.append(gap)
    return chosen


def _end(
    places_mm: Float[np.ndarray, "n 3"],
    tip_mm: Float[np.ndarray, "3"],
    half_widths_mm: Float[np.ndarray, "i j k"],
    spacing_mm: Float[np.ndarray, "3"],
) -> tuple[Float[np.ndarray, "3"], float]:
    """The middle and the radius, in mm, of a fragment's end around ``tip_mm``."""
    near = places_mm[np.linalg.norm(places_mm - tip_mm, axis=1) <= TIP_MM]
    index: Int[np.ndarray, "n 3"] = np.rint(near / spacing_mm).astype(int)
    widths = half_widths_mm[tuple(index.T)]
    middle = np.average(near, axis=0, weights=widths)
    return middle, float(widths.max() - spacing_mm.min() / 4)


def _tube(
    shape: tuple[int, ...],
    spacing_mm: Float[np.ndarray, "3"],
    one: tuple[Float[np.ndarray, "3"], float],
    other: tuple[Float[np.ndarray, "3"], float],
) -> Bool[np.ndarray, "i j k"]:
    """The voxels within a tapering radius of the line between two ends."""
    (start, first_mm), (stop, last_mm) = one, other
    reach = max(first_mm, last_mm) + spacing_mm.max()
    low = np.maximum(np.floor((np.minimum(start, stop) - reach) / spacing_mm), 0).astype(int)
    high = np.minimum(np.ceil((np.maximum(start, stop) + reach) / spacing_mm), np.asarray(shape) - 1).astype(int)
    grid = np.stack(np.meshgrid(*[np.arange(a, b + 1) for a, b in zip(low, high, strict=True)], indexing="ij"), -1)
    along = stop - start
    share = np.clip((grid * spacing_mm - start) @ along / max(float(along @ along), 1e-9), 0, 1)
    distance = np.linalg.norm(grid * spacing_mm - (start + share[..., None] * along), axis=-1)
    # Half a voxel's diagonal at least, or a line could slip between the voxel centres.
    radius = np.maximum(first_mm + share * (last_mm - first_mm), np.linalg.norm(spacing_mm) / 2)
    tube = np.zeros(shape, dtype=bool)
    tube[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = distance <= radius
    return tube


class BridgeFragmentsd(MapTransform):
    """:func:`bridge` for MONAI, on the channel-first mask [1, i, j, k] of one structure; a thick one passes unchanged.

    Args:
        keys: where the masks are; values above 0.5 are inside.
        structure: name or index, which says how many components to leave and whether it is thin.
        label_table: the table or its name.
        reach_mm: longest gap.
        min_volume_mm3: smallest fragment.
    """

    def __init__(
        self,
        keys: KeysCollection,
        structure: str | int,
        label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name,
        reach_mm: float = 8.0,
        min_volume_mm3: float = 20.0,
    ) -> None:
        super().__init__(keys)
        self.structure = table(label_table)[structure]
        self.reach_mm, self.min_volume_mm3 = reach_mm, min_volume_mm3

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        if not self.structure.thin:
            return item
        for key in self.key_iterator(item):
            image = item[key]
            i, j, k = [float(size) for size in image.pixdim] if isinstance(image, MetaTensor) else [1.0, 1.0, 1.0]
            joined, bridges = bridge(
                np.asarray(image[0]) > 0.5, self.structure.components, self.reach_mm, (i, j, k), self.min_volume_mm3
            )
            if bridges:
                total_mm3 = sum(one.volume_mm3 for one in bridges)
                LOGGER.info("%s: %d gaps bridged, %.1f mm3", item.get("case", key), len(bridges), total_mm3)
            item[key] = convert_to_dst_type(joined[None], dst=image)[0]
        return item
