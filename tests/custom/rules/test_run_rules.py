from __future__ import annotations

import logging
from functools import cache
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

from custom.anatomy import PUBLIC_CARDIAC_CT as TABLE
from custom.anatomy import adjusted
from custom.errors import InputError
from custom.phantoms.damage import damage
from custom.phantoms.phantom_heart import make_heart
from custom.rules import run_rules as module
from custom.rules.ledger import Addition, Change, Removal
from custom.rules.priority_fusion import fuse
from custom.rules.rule_types import RULES, HeartUnderRepair, RuleSettings
from custom.rules.run_rules import AnatomyRulesd, apply_rules
from custom.volumes.components import count
from custom.volumes.contacts import touches
from custom.volumes.morphology import dilate

MYO, LA, LV, RA, RV, AORTA, PA, LAA, CORONARY, PV = range(1, 11)
SEEDS = (3, 4)
Masks = dict[str, np.ndarray]


@cache
def damaged(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A damaged phantom in a lopsided field of view that cuts it, its affine, and its truth."""
    truth, affine = make_heart(seed, 48)
    labels = damage(truth, (3.0, 3.0, 3.0), seed)
    return np.ascontiguousarray(labels[2:45, :47, 1:42]), affine, truth[2:45, :47, 1:42]


@cache
def masks_of(seed: int) -> Masks:
    """Masks that overlap: every structure grown by a voxel where its rank is odd."""
    labels = damaged(seed)[0]
    return {s.name: dilate(labels == s.index, s.rank % 2) for s in TABLE if (labels == s.index).any()}


def volumes_mm3(labels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return np.bincount(labels.ravel(), minlength=11)[:11] * abs(np.linalg.det(affine[:3, :3]))


def done(changes: list[Change]) -> list[Change]:
    return [change for change in changes if change.volume_mm3 > 0]


# --- the fixed point


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("settings", [RuleSettings(), RuleSettings(strict_components=True)])
def test_its_own_output_changes_no_more(seed: int, settings: RuleSettings) -> None:
    _, affine, _ = damaged(seed)
    masks = masks_of(seed)
    probability = {name: 0.9 * dilate(masks[name], 2) for name in ("Coronary", "LAA", "PV")}
    settled, changes = apply_rules(fuse(masks, TABLE), affine, TABLE, settings, masks, probability)
    assert done(changes)
    again, more = apply_rules(settled, affine, TABLE, settings)
    np.testing.assert_array_equal(again, settled)
    assert not done(more)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_changes_of_each_structure_add_up_to_its_change_in_volume(seed: int) -> None:
    _, affine, _ = damaged(seed)
    fused = fuse(masks_of(seed), TABLE)
    settled, changes = apply_rules(fused, affine, TABLE, masks=masks_of(seed))
    gained_mm3 = volumes_mm3(settled, affine) - volumes_mm3(fused, affine)
    assert (gained_mm3[1:] != 0).sum() >= 5
    for structure in TABLE:
        own = [change for change in changes if change.structure == structure.name]
        told_mm3 = sum(change.after_mm3 - change.before_mm3 for change in own)
        assert told_mm3 == pytest.approx(gained_mm3[structure.index], abs=1e-3)
        assert all(isinstance(change, Removal if change.after_mm3 <= change.before_mm3 else Addition) for change in own)


@pytest.mark.parametrize("seed", SEEDS)
def test_damage_is_mended_and_what_is_right_is_left(seed: int) -> None:
    labels, affine, truth = damaged(seed)
    settled, _ = apply_rules(labels, affine, TABLE)
    assert count(settled == CORONARY) == 2 < count(labels == CORONARY)
    for index in (MYO, LA, LV, RA, RV, LAA):
        assert count(settled == index) == 1
    assert touches(settled == LAA, settled == LA, (3.0, 3.0, 3.0))
    assert touches(settled == PV, settled == LA, (3.0, 3.0, 3.0))
    untouched, changes = apply_rules(truth, affine, TABLE)
    np.testing.assert_array_equal(untouched, truth)
    assert not done(changes)


def test_rules_that_undo_each_other_end_in_an_error_that_names_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def put(heart: HeartUnderRepair, *_):  # type: ignore[no-untyped-def]
        return np.where(heart.labels == LA, np.uint8(LV), heart.labels), []

    def back(heart: HeartUnderRepair, *_):  # type: ignore[no-untyped-def]
        return np.where(heart.labels == LV, np.uint8(LA), heart.labels), []

    monkeypatch.setattr(module, "REPEATED", {"drop_crumbs": put, "fill_holes": back})
    labels = np.full((3, 5, 7), LA, dtype=np.uint8)
    settled, changes = apply_rules(labels, np.eye(4), TABLE)
    np.testing.assert_array_equal(settled, labels)
    error = next(record for record in caplog.records if record.levelno == logging.ERROR)
    assert "drop_crumbs, fill_holes" in error.message and "10 passes" in error.message
    # What one rule did ten times is one entry for each side.
    assert [(change.rule, change.structure) for change in changes] == list(
        product(("drop_crumbs", "fill_holes"), ("LA", "LV"))
    )
    assert {change.volume_mm3 for change in changes} == {1050.0}
    assert changes[0].why == "to LV" and changes[2].why == "from LV"


# --- orientation

OBLIQUE = np.array(
    [[1.4772, -0.3894, 0.0, -31.0], [0.2605, 2.2083, 0.0, 17.0], [0.0, 0.0, 1.7, 5.0], [0.0, 0.0, 0.0, 1.0]]
)
ALL_ORIENTATIONS = [
    np.array([[axis, flip] for axis, flip in zip(axes, flips, strict=True)], dtype=float)
    for axes, flips in product(permutations(range(3)), product((1, -1), repeat=3))
]


@pytest.mark.parametrize("number", [1, 6, 11, 19, 23, 28, 37, 42, 47])
def test_the_result_does_not_depend_on_how_the_array_is_stored(number: int) -> None:
    masks, probability = masks_of(3), {"PV": dilate(masks_of(3)["PV"], 2) * np.float32(0.8)}
    fused = fuse(masks, TABLE)
    expected, expected_changes = apply_rules(fused, OBLIQUE, TABLE, masks=masks, probability=probability)
    turn = ALL_ORIENTATIONS[number]
    stored = OBLIQUE @ inv_ornt_aff(turn, fused.shape)
    turned = {name: apply_orientation(mask, turn) for name, mask in masks.items()}
    turned_probability = {name: apply_orientation(values, turn) for name, values in probability.items()}
    settled, changes = apply_rules(
        apply_orientation(fused, turn), stored, TABLE, masks=turned, probability=turned_probability
    )
    back = ornt_transform(io_orientation(stored), io_orientation(OBLIQUE))
    np.testing.assert_array_equal(apply_orientation(settled, back), expected)
    assert settled.flags.c_contiguous and settled.dtype == np.uint8
    assert len(changes) == len(expected_changes)
    for change, same in zip(changes, expected_changes, strict=True):
        assert (change.rule, change.structure, change.why) == (same.rule, same.structure, same.why)
        assert change.place_mm == pytest.approx(same.place_mm, abs=1e-6)
        assert change.after_mm3 == pytest.approx(same.after_mm3)


def test_the_memory_order_of_the_array_makes_no_difference() -> None:
    labels, affine, _ = damaged(4)
    expected, _ = apply_rules(labels, affine, TABLE)
    np.testing.assert_array_equal(apply_rules(np.asfortranarray(labels), affine, TABLE)[0], expected)


def test_places_are_world_millimetres() -> None:
    labels = np.zeros((29, 31, 11), dtype=np.uint8)
    labels[2:9, 3:9, 2:9] = RA
    labels[20, 25, 4] = RA
    affine = nib.affines.from_matvec(np.array([[0, -2.0, 0], [1.0, 0, 0], [0, 0, 3.0]]), [10, 20, 30])
    _, (change,) = apply_rules(labels, affine, TABLE)
    assert change.place_mm == pytest.approx((10 - 50, 20 + 20, 30 + 12))
    assert (change.before_mm3, change.after_mm3) == (6.0, 0.0)


# --- what must not happen


def test_an_empty_map_stays_empty_and_the_input_as_it_is() -> None:
    empty = np.zeros((3, 5, 7), dtype=np.uint8)
    settled, changes = apply_rules(empty, np.eye(4), TABLE)
    assert not settled.any() and changes == []
    labels, affine, _ = damaged(3)
    before = labels.copy()
    apply_rules(labels, affine, TABLE, masks=masks_of(3))
    np.testing.assert_array_equal(labels, before)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_can_be_left_out(rule: str) -> None:
    labels, affine, _ = damaged(3)
    masks = masks_of(3)
    _, changes = apply_rules(fuse(masks, TABLE), affine, TABLE, RuleSettings(rules=(rule,)), masks)
    assert {change.rule for change in changes} <= {rule}
    _, rest = apply_rules(fuse(masks, TABLE), affine, TABLE, RuleSettings(rules=tuple(set(RULES) - {rule})), masks)
    assert rule not in {change.rule for change in rest}


def test_unknown_rules_and_shares_beyond_one_are_refused() -> None:
    with pytest.raises(InputError, match="fill_hole'?, |fill_hole"):
        RuleSettings(rules=("fill_hole",))
    with pytest.raises(InputError, match="spare_fraction"):
        RuleSettings(spare_fraction=1.5)
    untouched, changes = apply_rules(damaged(3)[0], np.eye(4), TABLE, RuleSettings(rules=()))
    np.testing.assert_array_equal(untouched, damaged(3)[0])
    assert changes == []


# --- the transform


def test_the_transform_gives_what_the_function_gives_and_the_ledger_beside_it() -> None:
    _, affine, _ = damaged(3)
    masks = masks_of(3)
    asked: list[str] = []

    def probability(case: str) -> Masks:
        asked.append(case)
        return {"PV": dilate(masks["PV"], 2) * np.float32(0.8)}

    nothing = np.zeros(damaged(3)[0].shape, dtype=bool)
    stacked = np.stack([masks.get(TABLE[index].name, nothing) for index in range(1, 11)])
    fused = fuse(masks, TABLE)
    item = {
        "case": "one",
        "pred": MetaTensor(torch.from_numpy(fused[None]).float(), affine=affine),
        "image": torch.from_numpy(stacked).float(),
    }
    result = AnatomyRulesd("pred", masks_key="image", probability=probability)(item)
    expected, changes = apply_rules(fused, affine, TABLE, masks=masks, probability=probability("one"))
    np.testing.assert_array_equal(result["pred"][0].numpy(), expected)
    assert result["pred"].dtype == torch.float32 and isinstance(result["pred"], MetaTensor)
    assert result["pred_ledger"] == changes and asked == ["one", "one"]
    assert "pred_ledger" not in item and (item["pred"][0].numpy() == fused).all()


def test_the_transform_takes_the_affine_of_the_masks_and_the_tables_limits() -> None:
    labels = np.zeros((1, 13, 11, 7), dtype=np.uint8)
    labels[0, 2:6, 2:6, 2:5], labels[0, 9, 9, 5] = 1, 1
    masks = MetaTensor(torch.zeros(5, 13, 11, 7), affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    item = {"pred": torch.from_numpy(labels), "image": masks}
    few = AnatomyRulesd("pred", "image", label_table="totalsegmentator_heart", rules=["drop_crumbs"])(item)
    (change,) = few["pred_ledger"]
    assert (change.structure, change.before_mm3, few["pred"].dtype) == ("heart_atrium_left", 8.0, torch.uint8)
    limit = adjusted("totalsegmentator_heart", {"heart_atrium_left": {"speck_mm3": 8}})
    assert AnatomyRulesd("pred", "image", label_table=limit, rules=["drop_crumbs"])(item)["pred_ledger"] == []


def test_the_transform_refuses_what_is_no_label_map_and_masks_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"wanted \[1, i, j, k\]"):
        AnatomyRulesd("pred")({"pred": torch.zeros(2, 3, 5, 7)})
    with pytest.raises(ValueError, match=r"masks have shape \(9, 3, 5, 7\), wanted \(10, 3, 5, 7\)"):
        AnatomyRulesd("pred", "image")({"pred": torch.zeros(1, 3, 5, 7), "image": torch.zeros(9, 3, 5, 7)})
    with pytest.raises(InputError, match="drop_crumb"):
        AnatomyRulesd("pred", rules=["drop_crumb"])
