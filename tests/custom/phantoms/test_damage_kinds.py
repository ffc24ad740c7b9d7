"""Every kind of damage damages what it says, by its severity and its seed alone, and adds no structure."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.errors import InputError
from custom.metrics.overlap import dice
from custom.phantoms.damage_suite.kinds import HELD_OUT, KINDS, MIXED, NONE, SEVERITIES, damage_by_kind
from custom.phantoms.phantom_heart import make_heart
from custom.volumes.components import connected

SPACING = (2.0, 2.0, 2.0)
TABLE = PUBLIC_CARDIAC_CT
THIN = [structure.index for structure in TABLE if structure.thin]


@pytest.fixture(scope="module")
def heart() -> np.ndarray:
    return make_heart(3, 72)[0]


def mean_dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean([dice(one == index, other == index) for index in TABLE.indices]))


def test_four_kinds_are_held_out() -> None:
    assert len(HELD_OUT) == 4
    assert len(KINDS) >= 20


@pytest.mark.parametrize("kind", [*KINDS, MIXED])
def test_a_kind_follows_its_seed_and_leaves_its_input(heart: np.ndarray, kind: str) -> None:
    before = heart.copy()
    one, same = (damage_by_kind(heart, SPACING, kind, 1.0, 5) for _ in range(2))
    assert np.array_equal(heart, before)
    assert np.array_equal(one, same)
    assert one.dtype == np.uint8 and one.shape == heart.shape
    assert not np.array_equal(one, heart)
    assert set(np.unique(one)) <= set(np.unique(heart))


@pytest.mark.parametrize("kind", [*KINDS, MIXED, NONE])
def test_severity_0_gives_the_label_map_back(heart: np.ndarray, kind: str) -> None:
    assert np.array_equal(damage_by_kind(heart, SPACING, kind, 0.0, 5), heart)


@pytest.mark.parametrize("kind", KINDS)
def test_more_severity_is_more_damage(heart: np.ndarray, kind: str) -> None:
    means = [
        np.mean([mean_dice(heart, damage_by_kind(heart, SPACING, kind, severity, seed)) for seed in range(3)])
        for severity in (SEVERITIES[0], SEVERITIES[2], SEVERITIES[4])
    ]
    assert all(more <= less for less, more in pairwise(means))
    assert 0.4 < means[-1] < 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_empty_and_single_maps_are_taken(kind: str) -> None:
    empty = np.zeros((9, 11, 7), np.uint8)
    assert not damage_by_kind(empty, (1.0, 1.0, 2.5), kind, 1.0, 0).any()
    alone = empty.copy()
    alone[3:6, 4:8, 2:5] = TABLE["LV"].index
    assert set(np.unique(damage_by_kind(alone, (1.0, 1.0, 2.5), kind, 1.0, 0))) <= {0, TABLE["LV"].index}


def test_in_mm_a_finer_grid_is_damaged_in_more_voxels(heart: np.ndarray) -> None:
    fine = (0.7, 0.7, 0.7)
    voxels, mm = (damage_by_kind(heart, fine, "noise_3", 1.0, 0, unit=unit) for unit in ("voxel", "mm"))
    assert np.count_nonzero(mm != heart) > np.count_nonzero(voxels != heart)


def test_grown_and_shrunk_change_the_volume_one_way(heart: np.ndarray) -> None:
    grown, shrunk = (damage_by_kind(heart, SPACING, kind, 1.0, 0) for kind in ("grown", "shrunk"))
    assert np.count_nonzero(grown) > np.count_nonzero(heart) > np.count_nonzero(shrunk)
    assert np.array_equal(grown[heart > 0], heart[heart > 0])


def test_lost_ends_take_from_thin_structures_alone(heart: np.ndarray) -> None:
    damaged = damage_by_kind(heart, SPACING, "ends_lost", 1.0, 1)
    assert set(np.unique(heart[damaged != heart])) <= set(THIN)
    coronary = TABLE["Coronary"].index
    assert 0.4 < np.count_nonzero(damaged == coronary) / np.count_nonzero(heart == coronary) < 0.95


def test_fused_coronaries_are_one_piece_fewer(heart: np.ndarray) -> None:
    coronary = TABLE["Coronary"].index
    before = connected(heart == coronary, 26)[1]
    damaged = damage_by_kind(heart, SPACING, "coronaries_fused", 1.0, 2)
    assert before == 2
    assert connected(damaged == coronary, 26)[1] == 1


def test_wide_coronaries_spare_the_blood_pools(heart: np.ndarray) -> None:
    coronary = TABLE["Coronary"].index
    damaged = damage_by_kind(heart, SPACING, "coronaries_wide", 1.0, 2)
    assert np.count_nonzero(damaged == coronary) > 1.5 * np.count_nonzero(heart == coronary)
    pools = [structure.index for structure in TABLE if structure.barrier]
    assert np.array_equal(damaged[np.isin(heart, pools)], heart[np.isin(heart, pools)])


def test_swapped_valves_keep_the_blood_as_a_whole(heart: np.ndarray) -> None:
    damaged = damage_by_kind(heart, SPACING, "valves_swapped", 1.0, 2)
    assert np.array_equal(damaged > 0, heart > 0)
    changed = np.unique(heart[damaged != heart])
    assert set(changed) <= {TABLE[name].index for name in ("LA", "LV", "RA", "RV", "Aorta", "PA")}


@pytest.mark.parametrize(
    ("kind", "severity", "unit"), [("dust", 1.0, "mm"), ("holes", -1.0, "mm"), ("holes", 1.0, "m")]
)
def test_what_is_unknown_is_refused(heart: np.ndarray, kind: str, severity: float, unit: str) -> None:
    with pytest.raises(InputError, match="of damage"):
        damage_by_kind(heart, SPACING, kind, severity, 0, unit)
