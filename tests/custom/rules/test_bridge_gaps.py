"""What is cut is joined before it is judged: along the cheapest way, within limits in mm, never through a chamber."""

from __future__ import annotations

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT, adjusted
from custom.rules.bridge_gaps import bridge_gaps
from custom.rules.ledger import Addition
from custom.rules.rule_types import HeartUnderRepair, RuleChange, RuleSettings
from custom.volumes.components import count
from custom.volumes.contacts import touches

TABLE = PUBLIC_CARDIAC_CT
MYOCARDIUM, LA, LV, LAA, CORONARY, PV = (
    TABLE[name].index for name in ("Myocardium", "LA", "LV", "LAA", "Coronary", "PV")
)
SPACING_MM = (1.0, 1.0, 1.0)
ONE_TREE = adjusted(TABLE, {"Coronary": {"components": 1}})


def bridged(
    labels: np.ndarray, spacing_mm=SPACING_MM, table=ONE_TREE, probability=None
) -> tuple[np.ndarray, list[RuleChange]]:
    given = labels.copy()
    result = bridge_gaps(HeartUnderRepair(labels, spacing_mm, None, probability), table, RuleSettings())
    np.testing.assert_array_equal(labels, given)
    return result


def cut_vessel(first: int = 14, last: int = 19) -> np.ndarray:
    """A coronary of 3 x 3 voxels along the first axis, without its voxels from ``first`` to before ``last``."""
    labels = np.zeros((37, 17, 19), dtype=np.uint8)
    labels[3:34, 7:10, 8:11] = CORONARY
    labels[first:last] = 0
    return labels


def test_a_cut_vessel_is_joined_where_it_was() -> None:
    labels, drafts = bridged(cut_vessel())
    assert count(labels == CORONARY) == 1
    assert (labels[14:19, 7:10, 8:11] == CORONARY).mean() >= 0.8
    assert [(draft.kind, draft.rule, draft.structure, draft.distance_mm) for draft in drafts] == [
        (Addition, "bridge_gaps", "Coronary", 6.0)
    ]
    gained = int((labels == CORONARY).sum() - (cut_vessel() == CORONARY).sum())
    assert drafts[0].gain_mm3 == gained
    np.testing.assert_allclose(drafts[0].place_ijk, (16, 8, 9), atol=0.5)


def test_the_limit_of_a_gap_is_in_mm() -> None:
    gap = cut_vessel(14, 19)  # 6 voxels from centre to centre
    longer, drafts = bridged(gap, (2.1, 1.0, 1.0))  # 12.6 mm, the limit is 12
    assert drafts == []
    assert longer is gap or np.array_equal(longer, gap)
    assert len(bridged(gap, (2.0, 1.0, 1.0))[1]) == 1  # 12.0 mm


def test_coronaries_are_joined_until_the_number_expected_is_left() -> None:
    labels = np.zeros((53, 17, 19), dtype=np.uint8)
    for start, stop in ((2, 12), (16, 26), (32, 44)):  # gaps of 5 and 7 mm
        labels[start:stop, 7:10, 8:11] = CORONARY
    joined, drafts = bridged(labels, table=TABLE)
    assert count(joined == CORONARY) == TABLE["Coronary"].components == 2
    assert [draft.distance_mm for draft in drafts] == [5.0]


def test_noise_is_not_joined() -> None:
    labels = cut_vessel(14, 34)
    labels[18, 8, 9] = CORONARY  # 1 mm3
    assert bridged(labels)[1] == []


def test_a_bridge_goes_round_a_chamber_and_never_through_it() -> None:
    labels = cut_vessel(14, 20)
    labels[15:19, 3:14, 4:12] = LV  # in the straight way; round it over k = 13 or so
    joined, drafts = bridged(labels)
    assert count(joined == CORONARY) == 1
    inner = np.zeros(labels.shape, dtype=bool)
    inner[16:18, 4:13, 5:11] = True
    assert (joined[inner] == LV).all()
    assert len(drafts) == 1


def test_no_way_round_a_wall_leaves_the_cut() -> None:
    labels = cut_vessel(14, 20)
    labels[15:19] = LV
    joined, drafts = bridged(labels)
    assert drafts == []
    np.testing.assert_array_equal(joined, labels)


def test_a_bridge_may_run_in_the_wall_of_the_heart_and_takes_its_voxels() -> None:
    labels = cut_vessel()
    labels[14:19] = MYOCARDIUM
    joined, _ = bridged(labels)
    assert count(joined == CORONARY) == 1
    assert (joined[14:19] != 0).all()


def test_a_bridge_follows_the_probability() -> None:
    labels = cut_vessel(13, 21)
    probability = np.zeros(labels.shape, dtype=np.float32)
    bend = [(13, 12), (14, 13), (15, 13), (16, 13), (17, 13), (18, 13), (19, 13), (20, 12)]
    for i, k in bend:
        probability[i, 7:10, k - 1 : k + 2] = 1.0
    straight, _ = bridged(labels)
    led, _ = bridged(labels, probability={"Coronary": probability})
    assert straight[16:18, 8, 9].all() and not straight[16:18, 8, 13].any()
    assert (led[16:18, 8, 13] == CORONARY).all()
    assert count(led == CORONARY) == 1


def appendage(gap: int) -> np.ndarray:
    """An atrium, and an appendage off it by so many empty voxels, face to face."""
    labels = np.zeros((41, 23, 29), dtype=np.uint8)
    labels[3:17, 4:19, 5:24] = LA
    labels[17 + gap : 27 + gap, 8:15, 9:20] = LAA
    return labels


def test_an_appendage_off_the_atrium_is_filled_up_to_it() -> None:
    labels = appendage(gap=3)
    joined, drafts = bridged(labels)
    assert touches(joined == LAA, joined == LA, SPACING_MM)
    assert (joined[17:20, 9:14, 10:19] == LAA).all()  # all between the two faces
    assert (joined[20:] == labels[20:]).all() and ((joined == LA) == (labels == LA)).all()
    assert [(draft.structure, draft.distance_mm, draft.why) for draft in drafts] == [("LAA", 4.0, "joined to LA")]


def test_an_appendage_too_far_off_or_in_contact_is_left() -> None:
    for gap in (0, 8):  # the limit is 8 mm between voxel centres
        labels = appendage(gap)
        joined, drafts = bridged(labels)
        assert drafts == []
        np.testing.assert_array_equal(joined, labels)
    assert len(bridged(appendage(7))[1]) == 1


def test_veins_that_each_touch_the_atrium_are_not_joined_to_each_other() -> None:
    labels = np.zeros((41, 23, 29), dtype=np.uint8)
    labels[3:17, 4:19, 5:24] = LA
    for start in (6, 12, 18):
        labels[17:29, 8:12, start : start + 3] = PV
    joined, drafts = bridged(labels)
    assert drafts == []
    assert count(joined == PV) == 3


def test_veins_off_the_atrium_are_led_to_the_atrium_and_not_to_each_other() -> None:
    labels = np.zeros((41, 23, 29), dtype=np.uint8)
    labels[3:17, 4:19, 5:24] = LA
    labels[19:31, 8:12, 7:11] = PV  # 3 mm off the atrium, 8 mm from the other
    labels[19:31, 8:12, 18:22] = PV
    joined, drafts = bridged(labels)
    assert [draft.why for draft in drafts] == ["joined to LA", "joined to LA"]
    assert count(joined == PV) == 2
    assert touches(joined == PV, joined == LA, SPACING_MM)


def test_a_vein_cut_farther_out_is_joined_to_its_stump() -> None:
    labels = np.zeros((53, 23, 29), dtype=np.uint8)
    labels[3:17, 4:19, 5:24] = LA
    labels[17:29, 9:13, 9:13] = PV
    labels[33:45, 9:13, 9:13] = PV
    joined, drafts = bridged(labels)
    assert count(joined == PV) == 1
    assert [draft.why for draft in drafts] == ["joined to component 1"]


def test_without_an_atrium_its_veins_are_joined_by_number_alone() -> None:
    labels = np.zeros((53, 23, 29), dtype=np.uint8)
    for start, stop in ((2, 12), (16, 26), (32, 44)):
        labels[start:stop, 9:13, 9:13] = PV
    assert count(bridged(labels)[0] == PV) == TABLE["PV"].components


@pytest.mark.parametrize("value", [0, CORONARY])
def test_empty_and_full_stay(value: int) -> None:
    labels = np.full((5, 7, 11), value, dtype=np.uint8)
    joined, drafts = bridged(labels)
    assert drafts == []
    np.testing.assert_array_equal(joined, labels)


def test_one_voxel_stays() -> None:
    labels = np.zeros((5, 7, 11), dtype=np.uint8)
    labels[0, 3, 10] = LAA
    np.testing.assert_array_equal(bridged(labels)[0], labels)


def test_a_cut_at_the_border_is_joined() -> None:
    labels = cut_vessel()[:, 7:, :]
    joined, _ = bridged(np.ascontiguousarray(labels))
    assert count(joined == CORONARY) == 1
