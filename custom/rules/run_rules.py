"""All rules over and over, until none changes anything: the order, the orientation and the account of what was done."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type, convert_to_numpy
from nibabel.affines import voxel_sizes
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..headers import loaded_affine_mm
from ..volumes.morphology import Box, foreground_box
from .bridge_gaps import bridge_gaps
from .component_rules import drop_crumbs, drop_detached, fill_holes, keep_expected
from .ledger import Change
from .reconnect_severed import give_back_severed
from .rule_types import RULES, HeartUnderRepair, Rule, RuleChange, RuleSettings
from .volume_balance import VolumeBalance

LOGGER = logging.getLogger(__name__)

MARGIN_MM = 6.0
"""How far around the heart a rule may work."""

MOST_PASSES = 10
DEFAULTS = RuleSettings()

Masks = Mapping[str, Shaped[np.ndarray, "i j k"]]
MadeMasks = Mapping[str, Shaped[np.ndarray, "a b c"]]
"""The same in another order or on a part of the voxels."""

REPEATED: dict[str, Rule] = {
    "bridge_gaps": bridge_gaps,
    "drop_crumbs": drop_crumbs,
    "fill_holes": fill_holes,
    "drop_detached": drop_detached,
    "keep_expected": keep_expected,
}


def apply_rules(
    labels: UInt8[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    label_table: StructureTable,
    settings: RuleSettings = DEFAULTS,
    masks: Masks | None = None,
    probability: Masks | None = None,
) -> tuple[UInt8[np.ndarray, "i j k"], list[Change]]:
    """A fused label map made anatomically right by all rules of :mod:`.rules`, run to a fixed point.

    First severed structures are given back what joins them, which needs the masks; then all other rules run until none
    changes anything, bridging through the probability; then once more so from the labels alone. Run on its own output
    it therefore changes nothing. It works in RAS+ order on the box around the heart: the result does not depend on how
    the array is stored.

    Args:
        labels: the fused map, left as it is. Labels the table does not know stay.
        affine: voxels to world millimetres, RAS+.
        label_table: all limits.
        settings: which rules run, and how strictly components are counted.
        masks: each structure's own mask before fusion, by name, nonzero inside, on the same voxels.
        probability: each thin structure's probability, 0 to 1, by name, on the same voxels.

    Returns:
        The settled map, and the changes in the order in which they were made, then notes (before and after equal) on
        what was spared. For each structure the changes add up to its change in volume. An empty map gives itself.

    A structure that lost all it had and every note are logged as warnings. Rules that still undo each other after ten
    passes are named in a logged error, and the last map is given.
    """
    turn = io_orientation(affine)
    upright = affine @ inv_ornt_aff(turn, labels.shape)
    course = _Course(
        labels=np.array(apply_orientation(labels, turn), order="C"),
        affine=upright,
        label_table=label_table,
        settings=settings,
        masks=_turned(masks, turn),
        probability=_turned(probability, turn),
    )
    course.run()
    changes = course.account.changes(upright)
    lost = np.setdiff1d(labels, course.labels)
    _warn(changes, [structure.name for structure in label_table if structure.index in lost])
    back = ornt_transform(io_orientation(np.eye(4)), turn)
    return np.ascontiguousarray(apply_orientation(course.labels, back)), changes


def _warn(changes: Sequence[Change], gone: Sequence[str]) -> None:
    """Log what a person should look at: what a case lost altogether, and what was spared."""
    for name in gone:
        LOGGER.warning("%s is gone: see the ledger for why", name)
    for note in changes:
        if note.before_mm3 == note.after_mm3:
            text = "%s: component %d of %.0f mm3 was spared by %s: %s"
            LOGGER.warning(text, note.structure, note.component, note.before_mm3, note.rule, note.why)


def _turned(volumes: Masks | None, turn: np.ndarray) -> MadeMasks | None:
    """Views of the volumes in RAS+ order; None if there are none."""
    return {name: apply_orientation(volume, turn) for name, volume in volumes.items()} if volumes else None


class _Course:
    """One case on its way to the fixed point; all arrays in RAS+ order."""

    def __init__(
        self,
        labels: UInt8[np.ndarray, "i j k"],
        affine: Float[np.ndarray, "4 4"],
        label_table: StructureTable,
        settings: RuleSettings,
        masks: Masks | None,
        probability: Masks | None,
    ) -> None:
        self.labels, self.label_table, self.settings = labels, label_table, settings
        self.masks, self.probability = masks, probability
        i, j, k = (float(step) for step in voxel_sizes(affine))
        self.spacing_mm = (i, j, k)
        self.account = VolumeBalance(label_table)
        self.box: Box | None = None
        self.cut: tuple[MadeMasks | None, MadeMasks | None] = (None, None)
        self.heart: HeartUnderRepair | None = None

    def run(self) -> None:
        if self.masks and "give_back_severed" in self.settings.rules:
            self._apply("give_back_severed", give_back_severed)
        for probability in [self.probability, None] if self.probability else [None]:
            self.masks, self.probability, self.heart, self.box = None, probability, None, None
            self._until_still()

    def _until_still(self) -> None:
        """The rules in turn until each in a row has changed nothing."""
        rules = {name: REPEATED[name] for name in RULES if name in self.settings.rules and name in REPEATED}
        still, firing = 0, set[str]()
        for _ in range(MOST_PASSES):
            firing = set()
            for name, rule in rules.items():
                if self._apply(name, rule):
                    firing.add(name)
                    still = 0
                else:
                    still += 1
                if still >= len(rules):
                    return
        if rules:
            LOGGER.error("%s still change the heart after %d passes", ", ".join(sorted(firing)), MOST_PASSES)

    def _apply(self, name: str, rule: Rule) -> bool:
        """Run a rule on the heart's box; whether it changed a voxel."""
        heart = self._heart()
        if heart is None or self.box is None:
            return False
        labels, drafts = rule(heart, self.label_table, self.settings)
        start = [part.start for part in self.box]
        changed = self.account.add(name, heart, labels, [_moved(draft, start) for draft in drafts], start)
        if changed:
            self.labels[self.box] = labels
            self.heart = None
        return changed

    def _heart(self) -> HeartUnderRepair | None:
        """The labels' box with a margin; None if there are none. It is cut anew after each change, so that what a rule
        sees depends on the labels alone."""
        if self.heart is None:
            box = _box_around(self.labels, self.spacing_mm)
            if box is None:
                return None
            if box != self.box:
                self.box = box
                self.cut = _cropped(self.masks, box), _cropped(self.probability, box)
            self.heart = HeartUnderRepair(np.ascontiguousarray(self.labels[box]), self.spacing_mm, *self.cut)
        return self.heart


def _moved(draft: RuleChange, start: Sequence[int]) -> RuleChange:
    i, j, k = (place + first for place, first in zip(draft.place_ijk, start, strict=True))
    return replace(draft, place_ijk=(i, j, k))


def _box_around(labels: UInt8[np.ndarray, "i j k"], spacing_mm: tuple[float, float, float]) -> Box | None:
    box = foreground_box(labels)
    if box is None:
        return None
    i, j, k = (
        slice(max(part.start - reach, 0), min(part.stop + reach, size))
        for part, size, reach in zip(
            box, labels.shape, (max(math.ceil(MARGIN_MM / step), 2) for step in spacing_mm), strict=True
        )
    )
    return i, j, k


def _cropped(volumes: Masks | None, box: Box) -> MadeMasks | None:
    return {name: np.ascontiguousarray(volume[box]) for name, volume in volumes.items()} if volumes else None


class AnatomyRulesd(MapTransform):
    """:func:`apply_rules` for MONAI, on a fused label map [1, i, j, k]; what was done is put beside it under
    ``KEY_ledger``.

    The map keeps its type and metadata. Voxels lie in space by its affine, or else by that of the masks; plain arrays
    are taken as 1 mm, RAS+.

    Args:
        keys: where the fused label maps are.
        masks_key: where the masks before fusion are, [structures, i, j, k] in the order of the table's indices, above
            0.5 inside; None, or a key the item lacks: none are known.
        probability: from an item's ``case`` to the probabilities of some structures [i, j, k], by name; None: none.
        label_table: the table or its name.
        rules: the names of the rules to run; empty: all.
        strict_components, spare_fraction: as in :class:`RuleSettings`.

    Raises:
        InputError: an unknown table or rule, or a share that is none.
        ValueError: a map that is not [1, i, j, k], or masks that do not fit it.
    """

    def __init__(
        self,
        keys: KeysCollection,
        masks_key: str | None = None,
        probability: Callable[[str], Masks | None] | None = None,
        label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name,
        rules: Sequence[str] = (),
        strict_components: bool = False,
        spare_fraction: float = 0.1,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.masks_key, self.probability, self.label_table = masks_key, probability, table(label_table)
        self.settings = RuleSettings(strict_components, spare_fraction, tuple(rules) or RULES)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        stacked = item.get(self.masks_key) if self.masks_key else None
        for key in self.key_iterator(item):
            image, case = item[key], str(item.get("case", key))
            masks = None if stacked is None else self._masks(stacked, image)
            labels, changes = apply_rules(
                _label_map(image),
                _affine(image, stacked),
                self.label_table,
                self.settings,
                masks,
                self.probability(case) if self.probability else None,
            )
            item[key] = convert_to_dst_type(labels[None], dst=image)[0]
            item[f"{key}_ledger"] = changes
            LOGGER.info("%s: %d changes, %.0f mm3", case, len(changes), sum(change.volume_mm3 for change in changes))
        return item

    def _masks(self, stacked: Any, image: Any) -> Masks:
        if tuple(stacked.shape) != (len(self.label_table), *image.shape[1:]):
            found, wanted = tuple(stacked.shape), (len(self.label_table), *image.shape[1:])
            raise ValueError(f"masks have shape {found}, wanted {wanted}")
        names = [self.label_table[index].name for index in sorted(self.label_table.indices)]
        return {name: convert_to_numpy(channel) > 0.5 for name, channel in zip(names, stacked, strict=True)}


def _label_map(image: Any) -> UInt8[np.ndarray, "i j k"]:
    if image.ndim != 4 or image.shape[0] != 1:
        raise ValueError(f"label map has shape {tuple(image.shape)}, wanted [1, i, j, k]")
    return np.asarray(convert_to_numpy(image)[0]).astype(np.uint8)


def _affine(*images: Any) -> Float[np.ndarray, "4 4"]:
    """The affine of the first that has one."""
    for image in images:
        if isinstance(image, MetaTensor):
            return loaded_affine_mm(image)
    return np.eye(4)
