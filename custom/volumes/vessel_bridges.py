"""Join the fragments of a cut vessel by short tubes, before its components are counted."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..headers import loaded_spacing_mm
from .components import connected
from .morphology import foreground_box
from .vessel_gaps import Gap, fragment_end, gaps_between, tube

LOGGER = logging.getLogger(__name__)


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
    bridges = []
    for gap in _forest(gaps_between(voxels, reach_mm, loose=large), large, components):
        one, other = (
            fragment_end(voxels[part], tip, spacing)
            for part, tip in ((gap.one, gap.one_tip_mm), (gap.other, gap.other_tip_mm))
        )
        course = np.stack([one.middle_mm, other.middle_mm])
        added = tube(crop.shape, spacing, course, one.radius_mm, other.radius_mm) & ~crop
        crop |= added
        bridges.append(Bridge(gap.length_mm, float(added.sum() * spacing.prod())))
    joined = joined.copy()
    joined[box] = crop
    return joined, bridges


def _forest(gaps: Sequence[Gap], parts: Sequence[int], components: int) -> list[Gap]:
    """Kruskal's forest over the fragments: the shortest gaps that join two groups, until ``components`` are left."""
    group = {part: part for part in parts}
    chosen = []
    for gap in gaps:
        one, other = group[gap.one], group[gap.other]
        if one != other and len(set(group.values())) > components:
            group = {part: one if leader == other else leader for part, leader in group.items()}
            chosen.append(gap)
    return chosen


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
            mask, spacing_mm = np.asarray(image[0]) > 0.5, loaded_spacing_mm(image)
            joined, bridges = bridge(mask, self.structure.components, self.reach_mm, spacing_mm, self.min_volume_mm3)
            if bridges:
                total_mm3 = sum(one.volume_mm3 for one in bridges)
                LOGGER.info("%s: %d gaps bridged, %.1f mm3", item.get("case", key), len(bridges), total_mm3)
            item[key] = convert_to_dst_type(joined[None], dst=image)[0]
        return item
