"""What a repair must not take away or fill: hand-made hearts through all rules."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT as TABLE
from custom.anatomy import adjusted
from custom.rules.ledger import Addition
from custom.rules.priority_fusion import fuse
from custom.rules.rule_types import RULES, RuleSettings
from custom.rules.run_rules import apply_rules
from custom.volumes.components import count

MYO, LA, LV, RA, RV, AORTA, PA, LAA, CORONARY, PV = range(1, 11)


@pytest.mark.parametrize("with_masks", [True, False])
def test_a_ring_cut_by_the_ventricle_loses_neither_its_other_half_nor_the_coronary_on_it(with_masks: bool) -> None:
    shape = (47, 23, 13)
    ring, ventricle, coronary = (np.zeros(shape, dtype=bool) for _ in range(3))
    ring[3:44, 4:19, 1:12] = True
    ring[7:40, 8:15] = False
    ventricle[7:40, 8:15, 1:12] = True
    ventricle[12:15, 4:19, 1:12] = True
    coronary[44:46, 11, 2:11] = True
    masks = {"Myocardium": ring, "LV": ventricle, "Coronary": coronary}
    settled, _ = apply_rules(fuse(masks, TABLE), np.eye(4), TABLE, masks=masks if with_masks else None)
    assert (settled[coronary] == CORONARY).all()
    assert (settled == MYO).sum() >= (ring & ~ventricle).sum()
    assert count(settled == MYO) == (1 if with_masks else 2)
    assert count(settled == LV) == 1


def test_an_open_ventricle_is_not_filled() -> None:
    cup = np.zeros((23, 29, 31), dtype=np.uint8)
    cup[3:20, 4:25, 5:27] = MYO
    cup[6:17, 7:22, 8:27] = 0
    settled, changes = apply_rules(cup, np.eye(4), TABLE)
    np.testing.assert_array_equal(settled, cup)
    assert changes == []


def test_a_bridge_outlives_the_rules_that_follow_it() -> None:
    labels = np.zeros((61, 17, 13), dtype=np.uint8)
    labels[1:60, 2:6, 2:11] = MYO
    labels[2:59, 8:11, 5:8] = CORONARY
    labels[38:44] = 0
    labels[38:44, 2:6, 2:11] = MYO
    one = adjusted(TABLE, {"Coronary": {"components": 1}})
    settled, changes = apply_rules(labels, np.eye(4), one, RuleSettings(strict_components=True))
    assert count(labels == CORONARY) == 2 and count(settled == CORONARY) == 1
    assert (settled[labels == CORONARY] == CORONARY).all()
    assert [type(change) for change in changes] == [Addition]
    without, _ = apply_rules(labels, np.eye(4), one, RuleSettings(True, rules=tuple(set(RULES) - {"bridge_gaps"})))
    assert not (without[44:] == CORONARY).any()


def test_a_structure_that_is_gone_and_one_that_is_spared_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    labels = np.zeros((71, 11, 13), dtype=np.uint8)
    labels[1:4, 1:9, 1:11] = LA
    labels[30:36, 2:5, 2:6] = LAA
    labels[1:4, 9:10, 1:11] = MYO
    labels[20:65, 5:8, 8:10] = CORONARY
    settled, changes = apply_rules(labels, np.eye(4), TABLE)
    assert not (settled == LAA).any() and (settled == CORONARY).sum() == 270
    assert [(change.rule, change.structure, change.volume_mm3) for change in changes] == [
        ("drop_detached", "LAA", 72.0), ("drop_detached", "Coronary", 0.0)
    ]  # fmt: skip
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2 and "LAA is gone" in warnings[0]
    assert "component 1 of 270 mm3 was spared by drop_detached" in warnings[1]
