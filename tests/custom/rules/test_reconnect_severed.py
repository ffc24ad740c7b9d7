from __future__ import annotations

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT as TABLE
from custom.anatomy import adjusted
from custom.rules.ledger import Addition
from custom.rules.priority_fusion import fuse
from custom.rules.reconnect_severed import give_back_severed
from custom.rules.rule_types import HeartUnderRepair, RuleChange, RuleSettings
from custom.volumes.components import count

MYO, LA, LV, PV = (TABLE[name].index for name in ("Myocardium", "LA", "LV", "PV"))
Masks = dict[str, np.ndarray]


def ring_and_ventricle(breach_k: slice = slice(0, 7), shape: tuple[int, int, int] = (23, 19, 7)) -> Masks:
    """A ring of myocardium two voxels thick, and a ventricle that breaks through it on two opposite sides."""
    ring = np.zeros(shape, dtype=bool)
    ring[2:21, 1:18] = True
    ring[4:19, 3:16] = False
    ventricle = np.zeros(shape, dtype=bool)
    ventricle[4:19, 3:16] = True
    ventricle[10:13, 1:18, breach_k] = True
    return {"Myocardium": ring, "LV": ventricle}


def given_back(masks: Masks | None, labels: np.ndarray, table=TABLE) -> tuple[np.ndarray, list[RuleChange]]:
    before = labels.copy()
    result, drafts = give_back_severed(HeartUnderRepair(labels, (1.0, 1.0, 1.0), masks), table, RuleSettings())
    np.testing.assert_array_equal(labels, before)
    return result, drafts


def test_a_ring_that_the_ventricle_cuts_is_one_ring_again_and_the_ventricle_hardly_smaller() -> None:
    masks = ring_and_ventricle()
    fused = fuse(masks, TABLE)
    assert count(fused == MYO) == 2
    result, (draft,) = given_back(masks, fused)
    assert count(result == MYO) == count(result == LV) == 1
    changed = result != fused
    assert (result[changed] == MYO).all() and (masks["Myocardium"] & masks["LV"])[changed].all()
    assert 3 <= changed.sum() <= 0.05 * (fused == LV).sum()
    assert (draft.kind, draft.rule, draft.structure) == (Addition, "give_back_severed", "Myocardium")
    assert (draft.before_mm3, draft.after_mm3) == (0.0, float(changed.sum()))
    assert draft.distance_mm == pytest.approx(4.0)  # from i = 9 to i = 13
    assert draft.place_ijk == pytest.approx(tuple(np.argwhere(changed).mean(axis=0)))


def test_what_is_not_severed_stays_with_the_higher_structure() -> None:
    masks = ring_and_ventricle(breach_k=slice(0, 5))
    fused = fuse(masks, TABLE)
    assert count(fused == MYO) == 1
    assert given_back(masks, fused)[1] == []


def test_without_masks_or_with_empty_ones_nothing_is_done() -> None:
    fused = fuse(ring_and_ventricle(), TABLE)
    nothing = np.zeros(fused.shape, dtype=bool)
    for masks in (None, {}, {"Myocardium": nothing, "LV": nothing}, {"LV": ring_and_ventricle()["LV"]}):
        result, drafts = given_back(masks, fused)
        np.testing.assert_array_equal(result, fused)
        assert drafts == []


def test_what_was_in_two_pieces_before_is_not_joined() -> None:
    masks = ring_and_ventricle()
    masks["Myocardium"] &= ~masks["LV"]
    assert given_back(masks, fuse(masks, TABLE))[1] == []


def test_a_crumb_that_is_cut_off_counts_for_nothing() -> None:
    bar, cut = np.zeros((31, 5, 3), dtype=bool), np.zeros((31, 5, 3), dtype=bool)
    bar[1:28, 1:4], cut[20:22] = True, True
    cut[:, 4] = True
    masks = {"RA": bar, "LA": cut}
    fused = fuse(masks, TABLE)
    assert count(fused == TABLE["RA"].index) == 2
    assert len(given_back(masks, fused)[1]) == 1
    assert given_back(masks, fused, adjusted(TABLE, {"RA": {"speck_mm3": 60}}))[1] == []  # the cut-off end has 54 mm3


def crossing(reach_k: slice) -> Masks:
    """A plate of atrium that a vein crosses, both only within ``reach_k``."""
    plate, vein = np.zeros((29, 13, 11), dtype=bool), np.zeros((29, 13, 11), dtype=bool)
    plate[2:27, 6, reach_k] = True
    vein[13:16, :, reach_k] = True
    return {"LA": plate, "PV": vein}


def test_a_thin_structure_is_not_cut_for_a_thick_one() -> None:
    few = adjusted(TABLE, {"LA": {"speck_mm3": 2}})
    fused = fuse(crossing(slice(1, 10)), TABLE)
    assert count(fused == LA) == 2
    result, (draft,) = given_back(crossing(slice(1, 10)), fused, few)
    assert count(result == LA) == count(result == PV) == 1
    assert draft.after_mm3 > 3.0  # wider than the way, for the vein is wider still
    fused = fuse(crossing(slice(3, 6)), TABLE)
    result, (draft,) = given_back(crossing(slice(3, 6)), fused, few)
    assert count(result == LA) == count(result == PV) == 1
    assert draft.after_mm3 == 3.0  # any wider joint would cut the vein
    fused = fuse(crossing(slice(5, 6)), TABLE)
    assert count(fused == LA) == 2
    result, drafts = given_back(crossing(slice(5, 6)), fused, few)  # so would any way
    np.testing.assert_array_equal(result, fused)
    assert drafts == []


def test_a_structure_gives_back_at_most_a_twentieth_of_its_own() -> None:
    bar, lid = np.zeros((31, 5, 3), dtype=bool), np.zeros((31, 5, 3), dtype=bool)
    bar[1:29, 2, 1] = True
    lid[13:16] = True  # 45 voxels: two are its twentieth, three the way
    masks = {"RA": bar, "LA": lid}
    few = adjusted(TABLE, {"RA": {"speck_mm3": 2}})
    assert given_back(masks, fuse(masks, TABLE), few)[1] == []
    lid[10:16] = True
    lid[10:14, 2, 1] = False  # 86 voxels, of which the way takes two
    masks = {"RA": bar, "LA": lid}
    result, (draft,) = given_back(masks, fuse(masks, TABLE), few)
    assert draft.after_mm3 == 2.0 and count(result == TABLE["RA"].index) == 1
