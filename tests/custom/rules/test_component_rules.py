from __future__ import annotations

import math

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT as TABLE
from custom.anatomy import adjusted
from custom.rules.component_rules import drop_crumbs, drop_detached, fill_holes, keep_expected
from custom.rules.ledger import Addition, Removal
from custom.rules.rule_types import HeartUnderRepair, Rule, RuleChange, RuleSettings

MYO, LA, LV, RA, RV, AORTA, PA, LAA, CORONARY, PV = range(1, 11)
USUAL, STRICT = RuleSettings(), RuleSettings(strict_components=True)
RULES = (drop_crumbs, fill_holes, drop_detached, keep_expected)

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def drawn(shape: tuple[int, int, int], *parts: tuple[int, Box]) -> np.ndarray:
    """A map with boxes of labels, each from first to last voxel along i, j, k, later ones over earlier ones."""
    labels = np.zeros(shape, dtype=np.uint8)
    for index, box in parts:
        labels[tuple(slice(first, last + 1) for first, last in box)] = index
    return labels


def after(
    rule: Rule,
    labels: np.ndarray,
    settings: RuleSettings = USUAL,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    table=TABLE,
) -> tuple[np.ndarray, list[RuleChange]]:
    """What a rule makes of a map, which it must leave as it is."""
    before = labels.copy()
    result, drafts = rule(HeartUnderRepair(labels, spacing_mm), table, settings)
    np.testing.assert_array_equal(labels, before)
    return result, drafts


def notes(drafts: list[RuleChange]) -> list[RuleChange]:
    return [draft for draft in drafts if draft.gain_mm3 == 0]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("settings", [USUAL, STRICT])
def test_empty_full_and_one_voxel_of_every_structure_stay_as_they_are(rule: Rule, settings: RuleSettings) -> None:
    empty = np.zeros((3, 5, 7), dtype=np.uint8)
    assert after(rule, empty, settings)[0] is not None and not after(rule, empty, settings)[0].any()
    full = np.full((3, 5, 7), RA, dtype=np.uint8)
    np.testing.assert_array_equal(after(rule, full, settings)[0], full)
    for structure in (index for index in TABLE.indices if not TABLE[index].touches):
        one = drawn((3, 5, 7), (structure, ((1, 1), (2, 2), (3, 3))))
        result, drafts = after(rule, one, settings)
        np.testing.assert_array_equal(result, one)
        assert not drafts


@pytest.mark.parametrize("rule", RULES)
def test_a_label_the_table_does_not_know_stays(rule: Rule) -> None:
    labels = drawn(
        (11, 13, 7), (77, ((1, 9), (1, 5), (1, 5))), (0, ((3, 3), (3, 3), (3, 3))), (77, ((5, 5), (9, 9), (3, 3)))
    )
    np.testing.assert_array_equal(after(rule, labels)[0], labels)


# --- crumbs


def test_a_crumb_goes_and_the_ledger_says_how_large_and_how_far_it_was() -> None:
    labels = drawn((13, 5, 7), (RA, ((1, 4), (1, 3), (1, 5))), (RA, ((8, 9), (2, 2), (3, 3))))
    result, (draft,) = after(drop_crumbs, labels, spacing_mm=(2.0, 1.0, 1.5))
    np.testing.assert_array_equal(result, drawn((13, 5, 7), (RA, ((1, 4), (1, 3), (1, 5)))))
    assert (draft.kind, draft.rule, draft.structure, draft.component) == (Removal, "drop_crumbs", "RA", 2)
    assert (draft.before_mm3, draft.after_mm3) == (6.0, 0.0)  # two voxels of 3 mm3
    assert draft.distance_mm == pytest.approx(8.0)  # from i = 4 to i = 8
    assert draft.place_ijk == pytest.approx((8.5, 2.0, 3.0))


def test_a_crumb_enclosed_by_another_structure_becomes_it_and_one_half_free_becomes_background() -> None:
    inside = drawn(
        (23, 5, 7), (LV, ((17, 21), (0, 4), (0, 6))), (MYO, ((1, 5), (0, 4), (0, 6))), (LV, ((3, 3), (2, 2), (3, 3)))
    )
    result, (draft,) = after(drop_crumbs, inside)
    assert result[3, 2, 3] == MYO and "became Myocardium" in draft.why
    free = drawn(
        (23, 5, 7), (LV, ((17, 21), (0, 4), (0, 6))), (MYO, ((1, 5), (0, 4), (0, 6))), (LV, ((6, 6), (2, 2), (3, 3)))
    )
    result, (draft,) = after(drop_crumbs, free)
    assert result[6, 2, 3] == 0 and "became" not in draft.why


def test_the_limit_of_a_crumb_is_the_tables() -> None:
    labels = drawn((13, 5, 7), (RA, ((1, 4), (1, 3), (1, 5))), (RA, ((8, 9), (2, 2), (3, 3))))
    assert after(drop_crumbs, labels, table=adjusted(TABLE, {"RA": {"speck_mm3": 2}}))[1] == []
    assert len(after(drop_crumbs, labels, table=adjusted(TABLE, {"RA": {"speck_mm3": 2.1}}))[1]) == 1


def test_strictly_a_crumb_within_the_expected_number_stays() -> None:
    labels = drawn((13, 5, 7), (AORTA, ((1, 4), (1, 3), (1, 5))), (AORTA, ((8, 9), (2, 2), (3, 3))))
    assert len(after(drop_crumbs, labels, USUAL)[1]) == 1
    assert after(drop_crumbs, labels, STRICT)[1] == []


# --- holes


def test_a_small_hole_in_the_myocardium_is_filled() -> None:
    labels = drawn((11, 7, 13), (MYO, ((1, 9), (1, 5), (1, 11))), (0, ((4, 5), (3, 3), (6, 6))))
    result, (draft,) = after(fill_holes, labels, spacing_mm=(1.0, 2.0, 1.0))
    np.testing.assert_array_equal(result, drawn((11, 7, 13), (MYO, ((1, 9), (1, 5), (1, 11)))))
    assert (draft.kind, draft.structure, draft.before_mm3, draft.after_mm3) == (Addition, "Myocardium", 0.0, 4.0)
    assert draft.place_ijk == pytest.approx((4.5, 3.0, 6.0)) and math.isnan(draft.distance_mm)


def test_a_shell_of_myocardium_around_an_unlabelled_ventricle_is_not_filled() -> None:
    labels = drawn((17, 19, 23), (MYO, ((1, 15), (1, 17), (1, 21))), (0, ((3, 13), (3, 15), (3, 19))))
    assert (labels[3:14, 3:16, 3:20] == 0).sum() == 11 * 13 * 17  # 2431 mm3, above 2000
    np.testing.assert_array_equal(after(fill_holes, labels)[0], labels)
    assert after(fill_holes, labels, table=adjusted(TABLE, {"Myocardium": {"hole_mm3": 2431}}))[0][8, 9, 11] == MYO


@pytest.mark.parametrize("opening", [((8, 8), (8, 8), (0, 3)), ((0, 3), (8, 8), (8, 8))])
def test_a_cavity_open_by_a_face_or_at_the_edge_of_the_volume_is_not_filled(opening: Box) -> None:
    labels = drawn((17, 19, 13), (MYO, ((2, 15), (2, 17), (2, 11))), (0, ((4, 10), (6, 10), (4, 9))), (0, opening))
    np.testing.assert_array_equal(after(fill_holes, labels)[0], labels)
    at_the_edge = drawn((7, 11, 13), (MYO, ((0, 6), (0, 10), (0, 12))), (0, ((0, 2), (4, 6), (5, 7))))
    np.testing.assert_array_equal(after(fill_holes, at_the_edge)[0], at_the_edge)


def test_a_cavity_that_meets_the_outside_by_a_corner_alone_is_a_hole() -> None:
    labels = drawn(
        (7, 5, 11), (MYO, ((1, 5), (1, 3), (1, 9))), (0, ((2, 2), (2, 2), (2, 2))), (0, ((1, 1), (1, 1), (1, 1)))
    )
    assert after(fill_holes, labels)[0][2, 2, 2] == MYO


def test_a_deep_hole_between_two_structures_goes_to_the_one_with_most_of_its_faces() -> None:
    labels = drawn(
        (13, 11, 17), (LV, ((1, 3), (1, 9), (1, 15))), (MYO, ((4, 11), (1, 9), (1, 15))), (0, ((4, 8), (3, 7), (5, 11)))
    )
    result, (draft,) = after(fill_holes, labels)
    assert draft.structure == "Myocardium" and (result[4:9, 3:8, 5:12] == MYO).all()


def test_the_thin_wall_between_two_structures_is_no_hole() -> None:
    labels = drawn(
        (13, 11, 17),
        (LA, ((1, 5), (1, 9), (1, 15))),
        (AORTA, ((7, 11), (1, 9), (1, 15))),
        (LA, ((6, 6), (1, 9), (1, 15))),
    )
    labels[6, 4:8, 5:12] = 0
    np.testing.assert_array_equal(after(fill_holes, labels)[0], labels)


# --- contact


def test_an_appendage_apart_from_the_atrium_goes_and_one_that_touches_by_a_corner_stays() -> None:
    atrium = (LA, ((1, 5), (1, 5), (1, 5)))
    touching = drawn((13, 11, 17), atrium, (LAA, ((6, 9), (6, 9), (6, 9))))
    np.testing.assert_array_equal(after(drop_detached, touching)[0], touching)
    apart = drawn((13, 11, 17), atrium, (LAA, ((7, 10), (6, 9), (6, 9))))
    result, (draft,) = after(drop_detached, apart)
    np.testing.assert_array_equal(result, drawn((13, 11, 17), atrium))
    assert (draft.kind, draft.structure, draft.before_mm3, draft.after_mm3) == (Removal, "LAA", 64.0, 0.0)
    assert draft.why == "touches no LA" and math.isnan(draft.distance_mm)


def test_of_the_veins_only_those_apart_go() -> None:
    labels = drawn(
        (19, 11, 13), (LA, ((1, 5), (1, 9), (1, 5))), (PV, ((6, 9), (2, 4), (2, 4))), (PV, ((12, 17), (2, 6), (2, 6)))
    )
    result, (draft,) = after(drop_detached, labels)
    assert (result[6:10, 2:5, 2:5] == PV).all() and not (result[12:] == PV).any()
    assert draft.component == 1 and draft.distance_mm == pytest.approx(3.0)


def test_a_heart_without_an_atrium_keeps_its_veins_and_its_appendage() -> None:
    labels = drawn(
        (13, 11, 17),
        (LV, ((1, 5), (1, 5), (1, 5))),
        (LAA, ((8, 10), (6, 9), (6, 9))),
        (PV, ((8, 10), (6, 9), (12, 14))),
    )
    np.testing.assert_array_equal(after(drop_detached, labels)[0], labels)


def test_an_appendage_cut_by_the_face_that_cuts_the_atrium_stays_with_a_note() -> None:
    shape, appendage = (13, 11, 17), (LAA, ((8, 12), (2, 8), (12, 16)))
    both_cut = drawn(shape, (LA, ((1, 5), (1, 5), (10, 16))), appendage)
    result, drafts = after(drop_detached, both_cut)
    np.testing.assert_array_equal(result, both_cut)
    assert [note.structure for note in notes(drafts)] == ["LAA"] and "field of view" in drafts[0].why
    atrium_whole = drawn(shape, (LA, ((1, 5), (1, 5), (10, 15))), appendage)
    assert not (after(drop_detached, atrium_whole)[0] == LAA).any()
    other_face = drawn(shape, (LA, ((0, 5), (1, 5), (10, 15))), appendage)
    assert not (after(drop_detached, other_face)[0] == LAA).any()


def test_coronaries_stay_within_ten_millimetres_of_myocardium_or_aorta() -> None:
    myocardium, short = (MYO, ((0, 0), (0, 6), (0, 4))), (2, 2)
    near = drawn((53, 7, 5), myocardium, (CORONARY, ((10, 49), short, short)))
    np.testing.assert_array_equal(after(drop_detached, near)[0], near)
    far = drawn((53, 7, 5), myocardium, (CORONARY, ((11, 49), short, short)))
    assert not (after(drop_detached, far)[0] == CORONARY).any()
    aorta = drawn((53, 7, 5), (AORTA, ((0, 0), (0, 6), (0, 4))), (CORONARY, ((10, 49), short, short)))
    np.testing.assert_array_equal(after(drop_detached, aorta)[0], aorta)


def test_a_whole_tree_far_from_all_is_no_short_piece_and_stays_with_a_note() -> None:
    myocardium = (MYO, ((0, 0), (0, 6), (0, 4)))
    tree = drawn((71, 7, 5), myocardium, (CORONARY, ((13, 62), (2, 3), (2, 3))))  # 200 mm3, ten specks
    result, (note,) = after(drop_detached, tree)
    np.testing.assert_array_equal(result, tree)
    assert note.gain_mm3 == 0 and note.before_mm3 == 200.0 and "no short piece" in note.why
    shorter = drawn((71, 7, 5), myocardium, (CORONARY, ((13, 61), (2, 3), (2, 3))))
    assert not (after(drop_detached, shorter)[0] == CORONARY).any()


def test_chambers_far_from_the_myocardium_stay() -> None:
    labels = drawn(
        (37, 11, 13),
        (MYO, ((1, 3), (1, 9), (1, 11))),
        (LA, ((15, 19), (1, 9), (1, 11))),
        (RA, ((30, 35), (1, 9), (1, 11))),
    )
    for rule in RULES:
        np.testing.assert_array_equal(after(rule, labels)[0], labels)
