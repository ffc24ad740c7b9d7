"""Damage: each defect does what its name says, alone, and from a seed of its own."""

from __future__ import annotations

from dataclasses import fields

import cc3d
import numpy as np
import pytest
from scipy import ndimage

from custom.anatomy import PUBLIC_CARDIAC_CT, TOTALSEGMENTATOR_HEART
from custom.errors import InputError
from custom.phantoms.damage import Defects, damage

NAMES = [field.name for field in fields(Defects)]
OFF = dict.fromkeys(NAMES, 0.0)
LA, LV, AORTA, LAA, CORONARY, PV = (PUBLIC_CARDIAC_CT[n].index for n in ("LA", "LV", "Aorta", "LAA", "Coronary", "PV"))
SPACING_MM = (1.5, 1.3, 1.1)


def only(**severities: float) -> Defects:
    return Defects(**{**OFF, **severities})


@pytest.fixture(scope="module")
def chest() -> np.ndarray:
    """A ball of atrium with an appendage and a vein on it, a ventricle, and a coronary along k."""
    labels = np.zeros((47, 53, 61), np.uint8)
    i, j, k = np.indices(labels.shape)
    labels[(i - 23) ** 2 + (j - 19) ** 2 + (k - 19) ** 2 <= 11**2] = LA
    labels[(i - 23) ** 2 + (j - 37) ** 2 + (k - 41) ** 2 <= 12**2] = LV
    labels[((i - 23) ** 2 + (k - 19) ** 2 <= 16) & (j < 9)] = PV
    labels[((j - 19) ** 2 + (k - 19) ** 2 <= 16) & (i >= 34) & (i < 44)] = LAA
    labels[((i - 5) ** 2 + (j - 40) ** 2 <= 2) & (k > 4) & (k < 57)] = CORONARY
    return labels


def pieces(labels: np.ndarray, index: int) -> int:
    return int(cc3d.connected_components(labels == index, connectivity=26).max())


def test_all_defects_off_change_nothing_and_return_a_copy(chest: np.ndarray) -> None:
    out = damage(chest, SPACING_MM, 0, only())
    assert (out == chest).all()
    assert out is not chest and not np.shares_memory(out, chest)


@pytest.mark.parametrize("name", NAMES)
def test_each_defect_alone_changes_the_map_and_leaves_its_input(chest: np.ndarray, name: str) -> None:
    before = chest.copy()
    out = damage(chest, SPACING_MM, 3, only(**{name: 1.0}))
    assert (out != chest).any()
    assert (chest == before).all()
    assert out.dtype == np.uint8 and out.shape == chest.shape


@pytest.mark.parametrize("name", NAMES)
def test_more_of_a_defect_damages_more(chest: np.ndarray, name: str) -> None:
    changed = [
        np.mean([(damage(chest, SPACING_MM, seed, only(**{name: much})) != chest).sum() for seed in range(4)])
        for much in (0.5, 3.0)
    ]
    assert changed[0] < changed[1]


def test_the_same_seed_damages_alike_and_another_does_not(chest: np.ndarray) -> None:
    sequence = np.random.SeedSequence(7)
    first = damage(chest, SPACING_MM, sequence)
    assert (first == damage(chest, SPACING_MM, sequence)).all()
    assert (first == damage(chest, SPACING_MM, 7)).all()
    assert (first != damage(chest, SPACING_MM, 8)).any()


def test_a_generator_moves_on_between_two_maps(chest: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    assert (damage(chest, SPACING_MM, rng) != damage(chest, SPACING_MM, rng)).any()


def test_crumbs_come_on_top_of_what_the_others_do(chest: np.ndarray) -> None:
    without, with_crumbs = damage(chest, SPACING_MM, 3, Defects(crumbs=0)), damage(chest, SPACING_MM, 3)
    changed = without != with_crumbs
    assert changed.any()
    assert (without[changed] == 0).all()


def test_holes_take_away_from_what_the_others_leave(chest: np.ndarray) -> None:
    without, with_holes = (damage(chest, SPACING_MM, 2, Defects(crumbs=0, holes=much)) for much in (0, 1))
    changed = without != with_holes
    assert changed.any()
    assert (with_holes[changed] == 0).all() and np.isin(without[changed], [LA, LV]).all()


def test_switching_terraces_off_keeps_cuts_and_detachment_where_they_were(chest: np.ndarray) -> None:
    quiet = only(cuts=1, detach=1)
    loud = only(steps=1, jitter=1, cuts=1, detach=1)
    coronaries = [damage(chest, SPACING_MM, 4, defects) == CORONARY for defects in (quiet, loud)]
    assert (coronaries[0] == coronaries[1]).all()


def test_terraces_repeat_one_plane_through_a_slice() -> None:
    i, j, k = np.indices((41, 43, 47))
    cone = (((i - 20.0) ** 2 + (j - 21) ** 2 + (k - 23) ** 2) < 19**2).astype(np.uint8) * np.uint8(LV)
    out = damage(cone, (1.0, 1.0, 1.0), 1, only(steps=1))
    changes = []
    for axis in range(3):
        planes = np.moveaxis(out, axis, 0)
        changes.append(sum((planes[n] != planes[n + 1]).any() for n in range(len(planes) - 1)))
    # 38 voxels of ball in slices of 3 to 4.5 mm are at most 14 slices, each with one change at its end.
    assert min(changes) <= 14 and max(changes) > 30


def test_slices_thinner_than_a_voxel_make_no_terraces(chest: np.ndarray) -> None:
    assert (damage(chest, (5.0, 5.0, 5.0), 0, only(steps=1)) == chest).all()


def test_jitter_shifts_whole_slices_and_keeps_their_areas() -> None:
    labels = np.zeros((37, 41, 43), np.uint8)
    labels[12:25, 14:27, 15:28] = LV
    out = damage(labels, (0.5, 0.5, 0.5), 2, only(jitter=1))
    assert (out != labels).any()
    areas = [{int((np.moveaxis(out, axis, 0)[n] > 0).sum()) for n in range(out.shape[axis])} for axis in range(3)]
    assert {0, 169} in areas


def test_outlines_wander_by_about_their_mm_at_any_sampling() -> None:
    for size, spacing_mm in ((31, 2.0), (61, 1.0)):
        i, j, k = (np.indices((size, size + 2, size + 6)) + 0.5) * spacing_mm
        ball = (((i - 31) ** 2 + (j - 33) ** 2 + (k - 35) ** 2) < 22**2).astype(np.uint8) * np.uint8(LV)
        out = damage(ball, (spacing_mm,) * 3, 6, only(boundary=1.5))
        moved = ((out > 0) != (ball > 0)).sum() * spacing_mm**3 / (4 * np.pi * 22**2)
        assert 0.4 < moved < 1.8


def test_crumbs_float_free_of_their_structure() -> None:
    labels = np.zeros((43, 47, 53), np.uint8)
    labels[15:28, 17:30, 19:32] = LV
    found = [pieces(damage(labels, (1.0, 1.1, 1.2), seed, only(crumbs=1)), LV) for seed in range(6)]
    assert max(found) > 1
    for seed in range(6):
        out = damage(labels, (1.0, 1.1, 1.2), seed, only(crumbs=1))
        assert (out[labels > 0] == LV).all()


def test_holes_are_background_inside_and_spare_thin_structures(chest: np.ndarray) -> None:
    out = damage(chest, SPACING_MM, 3, only(holes=2))
    changed = out != chest
    assert (out[changed] == 0).all()
    assert set(np.unique(chest[changed]).tolist()) == {LA, LV}


def test_cuts_part_a_vessel_in_more_pieces(chest: np.ndarray) -> None:
    out = damage(chest, SPACING_MM, 1, only(cuts=1))
    assert pieces(chest, CORONARY) == 1
    assert pieces(out, CORONARY) >= 3
    assert (out[chest != out] == 0).all()
    assert set(np.unique(chest[chest != out]).tolist()) <= {CORONARY, PV}


def test_a_detached_part_no_longer_touches_the_atrium(chest: np.ndarray) -> None:
    for severity, wanted in ((1.0, 1), (2.0, 2)):
        out = damage(chest, SPACING_MM, 0, only(detach=severity))
        beside = ndimage.binary_dilation(out == LA, np.ones((3, 3, 3)))
        free = [index for index in (LAA, PV) if not (beside & (out == index)).any()]
        assert len(free) == wanted
        assert all((out == index).any() for index in free)


def test_structures_that_are_absent_stay_absent() -> None:
    labels = np.zeros((31, 37, 41), np.uint8)
    labels[9:22, 11:24, 13:26] = LV
    labels[4:6, 5:7, 3:38] = CORONARY
    out = damage(labels, (0.8, 1.1, 2.3), 3, Defects(*[3.0] * 7))
    assert set(np.unique(out).tolist()) == {0, LV, CORONARY}


def test_labels_the_table_does_not_know_get_no_crumbs_and_no_holes() -> None:
    labels = np.zeros((23, 29, 31), np.uint8)
    labels[7:16, 9:20, 8:21] = 77
    assert (damage(labels, (1.0, 1.0, 1.0), 0, only(crumbs=3, holes=3, cuts=3, detach=3)) == labels).all()


def test_another_table_says_what_may_be_damaged() -> None:
    labels = np.zeros((37, 41, 43), np.uint8)
    labels[9:27, 11:29, 13:31] = TOTALSEGMENTATOR_HEART["heart_ventricle_left"].index
    out = damage(labels, (1.0, 1.2, 1.4), 1, table=TOTALSEGMENTATOR_HEART)
    assert set(np.unique(out).tolist()) == {0, 2}
    assert (out != labels).any()


@pytest.mark.parametrize("fill", [0, LV, CORONARY, LAA, 77])
def test_an_empty_or_full_map_gets_no_new_label(fill: int) -> None:
    labels = np.full((17, 19, 23), fill, np.uint8)
    assert set(np.unique(damage(labels, SPACING_MM, 2)).tolist()) <= {0, fill}


@pytest.mark.parametrize("fill", [LV, CORONARY, PV, LAA])
def test_one_voxel_is_damaged_without_complaint(fill: int) -> None:
    labels = np.zeros((17, 19, 23), np.uint8)
    labels[8, 9, 11] = fill
    assert set(np.unique(damage(labels, SPACING_MM, 2)).tolist()) <= {0, fill}


def test_a_structure_at_the_border_is_damaged_within_the_grid() -> None:
    labels = np.zeros((29, 31, 37), np.uint8)
    labels[:9, :11, 30:] = LV
    labels[20:, 25:, :] = PV
    out = damage(labels, (1.0, 1.0, 3.0), 5, Defects(*[2.0] * 7))
    assert (out != labels).any()
    assert set(np.unique(out).tolist()) <= {0, LV, PV}


@pytest.mark.parametrize("severity", [-0.1, 10.5, float("nan")])
def test_a_severity_out_of_range_is_refused(severity: float) -> None:
    with pytest.raises(InputError, match="holes"):
        Defects(holes=severity)
