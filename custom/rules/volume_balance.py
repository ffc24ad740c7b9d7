"""The volume each rule moved between structures, so that the ledger adds up to the change of every structure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from ..anatomy import Structure, StructureTable
from .ledger import Addition, Change, Removal
from .rule_types import HeartUnderRepair, RuleChange

ROUNDING_MM3 = 1e-6


@dataclass(frozen=True, eq=False)
class _Side:
    """The volume one run of a rule moved to or from a structure beyond the changes the rule returned."""

    gain_mm3: float
    before_mm3: float
    partners: frozenset[str]
    voxels: int
    middle_ijk: Float[np.ndarray, "3"]


class VolumeBalance:
    """What rules did, so that for each structure the changes add up to its change in volume.

    A rule returns its changes of components. What other structures gained or lost by them is computed here: one entry
    for each rule and structure, summed over all runs. Notes (before and after equal) are those of a rule's last run.

    Args:
        label_table: the structures; other labels are not accounted for.
    """

    def __init__(self, label_table: StructureTable) -> None:
        self.label_table = label_table
        self.drafts: list[RuleChange] = []
        self.sides: dict[tuple[str, str], list[_Side]] = {}
        self.notes: dict[str, list[RuleChange]] = {}

    def add(
        self,
        rule: str,
        heart: HeartUnderRepair,
        after: UInt8[np.ndarray, "i j k"],
        drafts: Sequence[RuleChange],
        start_ijk: Sequence[int] = (0, 0, 0),
    ) -> bool:
        """Enter one run of a rule; whether it changed a voxel. Without one, only its notes are taken.

        Args:
            rule: its name.
            heart: the rule's input.
            after: the map it returned.
            drafts: the changes it returned, places in voxels of the case.
            start_ijk: the first voxel of the heart's map in the case.
        """
        self.notes[rule] = [draft for draft in drafts if draft.gain_mm3 == 0]
        changed = np.argwhere(heart.labels != after) if after is not heart.labels else np.empty((0, 3), dtype=int)
        if not len(changed):
            return False
        reported = [draft for draft in drafts if draft.gain_mm3 != 0]
        self.drafts += reported
        before_values, after_values = heart.labels[tuple(changed.T)], after[tuple(changed.T)]
        for structure in self.label_table:
            gained, lost = after_values == structure.index, before_values == structure.index
            gain_mm3 = (int(gained.sum()) - int(lost.sum())) * heart.voxel_mm3
            rest_mm3 = gain_mm3 - sum(draft.gain_mm3 for draft in reported if draft.structure == structure.name)
            if abs(rest_mm3) <= ROUNDING_MM3:
                continue
            moved, others = (gained, before_values) if rest_mm3 > 0 else (lost, after_values)
            # A rule may report more than it moved: then no voxel of that kind changed.
            places = changed[moved] if moved.any() else changed
            before_mm3 = heart.voxel_mm3 * sum(piece.voxels for piece in heart.pieces.of.get(structure.index, ()))
            middle = places.mean(axis=0) + np.asarray(start_ijk)
            side = _Side(rest_mm3, before_mm3, self._names(others[moved]), len(places), middle)
            self.sides.setdefault((rule, structure.name), []).append(side)
        return True

    def changes(self, affine: Shaped[np.ndarray, "4 4"]) -> list[Change]:
        """The reported changes in order, the side effects on other structures, the notes; places in world mm."""
        sides = [_summed(rule, name, runs) for (rule, name), runs in self.sides.items()]
        changes = self.drafts + [side for side in sides if abs(side.gain_mm3) > ROUNDING_MM3]
        notes = [note for own in self.notes.values() for note in own]
        return [draft.settled(affine) for draft in changes + notes]

    def _names(self, values: UInt8[np.ndarray, " n"]) -> frozenset[str]:
        found: list[Structure] = [self.label_table[int(v)] for v in np.unique(values) if v in self.label_table.indices]
        return frozenset(structure.name for structure in found)


def _summed(rule: str, name: str, runs: Sequence[_Side]) -> RuleChange:
    """One entry for what all runs of a rule did to a structure on the side."""
    gain_mm3 = sum(side.gain_mm3 for side in runs)
    i, j, k = np.average([side.middle_ijk for side in runs], axis=0, weights=[side.voxels for side in runs])
    partners = sorted(frozenset[str]().union(*(side.partners for side in runs))) or ["background"]
    return RuleChange(
        kind=Addition if gain_mm3 > 0 else Removal,
        rule=rule,
        structure=name,
        component=0,
        before_mm3=runs[0].before_mm3,
        after_mm3=runs[0].before_mm3 + gain_mm3,
        distance_mm=math.nan,
        why=f"{'from' if gain_mm3 > 0 else 'to'} {', '.join(partners)}",
        place_ijk=(float(i), float(j), float(k)),
    )
