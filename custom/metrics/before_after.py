"""A heart before and after its repair, measured structure by structure, and against a reference where there is one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ..anatomy import StructureTable
from ..volumes.contacts import Spacing
from ..volumes.morphology import Box
from .case_scores import MaskScore, score_mask
from .shape_measures import ShapeScore, shape_scores, structure_boxes


@dataclass(frozen=True, eq=False)
class MapPair:
    """Label maps of one case on one grid.

    Attributes:
        before, after: of the repair.
        reference: the truth, if it is known.
        spacing_mm: edge lengths of a voxel.
        tolerance_mm: of the surface Dice.
    """

    before: UInt8[np.ndarray, "..."]
    after: UInt8[np.ndarray, "..."]
    reference: UInt8[np.ndarray, "..."] | None
    spacing_mm: Spacing
    tolerance_mm: float = 1.0

    @property
    def maps(self) -> list[UInt8[np.ndarray, "..."]]:
        known = [self.before, self.after]
        return known if self.reference is None else [*known, self.reference]

    def score(
        self, labels: UInt8[np.ndarray, "..."], against: UInt8[np.ndarray, "..."], index: int, box: Box | None
    ) -> MaskScore:
        """:func:`score_mask` of one structure, on its box. An empty mask costs the diagonal of the whole volume, so
        that it is not cropped."""
        if box is not None:
            found, wanted = labels[box] == index, against[box] == index
            if found.any() and wanted.any():
                return score_mask(found, wanted, self.spacing_mm, self.tolerance_mm)
        return score_mask(labels == index, against == index, self.spacing_mm, self.tolerance_mm)


def compared_values(compared: MapPair, table: StructureTable) -> Iterator[dict[str, Any]]:
    """The measures of every structure of the table, in its order, by the names of a
    :class:`~custom.metrics.repair_rows.RepairRow`."""
    shapes = [shape_scores(labels, compared.spacing_mm, table) for labels in (compared.before, compared.after)]
    boxes = [structure_boxes(labels, table) for labels in compared.maps]
    for structure in table:
        box = _union([own[structure.name] for own in boxes if structure.name in own])
        values = _shape_values(*(own[structure.name] for own in shapes))
        values |= _input_values(compared, structure.index, box)
        yield values | _reference_values(compared, structure.index, box)


def _union(boxes: Sequence[Box]) -> Box | None:
    """The smallest box around some; None if there are none."""
    if not boxes:
        return None
    i, j, k = (slice(min(s.start for s in sides), max(s.stop for s in sides)) for sides in zip(*boxes, strict=True))
    return i, j, k


def _shape_values(before: ShapeScore, after: ShapeScore) -> dict[str, Any]:
    """Every measure of both, the side put into its name before the unit."""
    values: dict[str, Any] = {}
    for side, score in (("before", before), ("after", after)):
        for name, value in asdict(score).items():
            flat = f"volume_{side}_mm3" if name == "volume_mm3" else f"{name}_{side}"
            values[flat] = None if isinstance(value, float) and math.isnan(value) else value
    return values


def _shared(
    labels: UInt8[np.ndarray, "..."], other: UInt8[np.ndarray, "..."], index: int, box: Box | None
) -> tuple[int, int, int]:
    """Voxels of a structure in both label maps, in the first, in the second."""
    if box is None:
        return 0, 0, 0
    one, two = labels[box] == index, other[box] == index
    return int(np.count_nonzero(one & two)), int(np.count_nonzero(one)), int(np.count_nonzero(two))


def _input_values(compared: MapPair, index: int, box: Box | None) -> dict[str, Any]:
    """What became of the input's voxels."""
    kept, had, has = _shared(compared.before, compared.after, index, box)
    voxel_mm3 = math.prod(compared.spacing_mm)
    to_input = compared.score(compared.after, compared.before, index, box)
    return {
        "kept_share": kept / had if had else None,
        "added_mm3": (has - kept) * voxel_mm3,
        "removed_mm3": (had - kept) * voxel_mm3,
        "volume_change": has / had if had else None,
        "dice_to_input": to_input.dice,
        "hd95_to_input_mm": to_input.hd95_mm,
    }


def _reference_values(compared: MapPair, index: int, box: Box | None) -> dict[str, Any]:
    """The scores of both sides against the reference; nothing without one."""
    values: dict[str, Any] = {}
    if compared.reference is None:
        return values
    for side, labels in (("before", compared.before), ("after", compared.after)):
        score = compared.score(labels, compared.reference, index, box)
        found, _, there = _shared(labels, compared.reference, index, box)
        values |= {
            "volume_reference_mm3": score.volume_reference_mm3,
            "components_reference": score.components_reference,
            f"reference_share_{side}": found / there if there else None,
            f"dice_{side}": score.dice,
            f"hd95_{side}_mm": score.hd95_mm,
            f"assd_{side}_mm": score.assd_mm,
            f"surface_dice_{side}": score.surface_dice,
        }
    return values
