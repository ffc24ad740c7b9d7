"""A whole heart's points: as many in every structure, some at boundaries, some anywhere."""

from __future__ import annotations

import numpy as np
import torch

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.sampling.whole_heart_points import HeartPlacesd, RandHeartPointsd, draw_heart, label_shares, places_of
from custom.space import unit_to_index

INDICES = PUBLIC_CARDIAC_CT.indices
LV, CORONARY = PUBLIC_CARDIAC_CT["LV"].index, PUBLIC_CARDIAC_CT["Coronary"].index
SHAPE = (11, 13, 17)


def heart() -> np.ndarray:
    """A chamber of 252 voxels and a vessel of 9, the rest absent."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[2:8, 3:9, 4:11] = LV
    labels[1:10, 11, 14] = CORONARY
    return labels


def drawn(per_structure: int = 50, shell: int = 0, band: int = 30, anywhere: int = 20, seed: int = 0):  # type: ignore[no-untyped-def]
    labels, generator = heart(), np.random.default_rng(seed)
    places = places_of(labels, INDICES, 1, generator)
    return labels, draw_heart(labels, places, INDICES, per_structure, shell, band, anywhere, generator)


def test_every_structure_gives_as_many_points_however_small() -> None:
    labels, points = drawn()
    nearest = np.rint(unit_to_index(points.points_unit.astype(np.float64), SHAPE)).astype(int)
    found = labels[tuple(nearest.T)]
    assert (found[INDICES.index(LV) * 0 : 50] == LV).all()  # absent ones before it take no place
    assert (found[50:100] == CORONARY).mean() > 0.9  # a point half a voxel off its centre may round to the next


def test_points_of_absent_structures_are_drawn_anywhere() -> None:
    _, points = drawn(per_structure=7, band=5, anywhere=3)
    assert points.points_unit.shape == (10 * 7 + 5 + 3, 3)
    assert points.occupancy.shape == (10, 78)


def test_at_a_voxel_centre_the_target_is_one_for_its_label_and_zero_for_every_other() -> None:
    labels = heart()
    centres = np.argwhere(np.ones(SHAPE, dtype=bool)).astype(np.float64)
    shares = label_shares(labels, centres, INDICES)
    for channel, index in enumerate(INDICES):
        np.testing.assert_array_equal(shares[channel], (labels.ravel() == index).astype(np.float32))


def test_between_centres_it_is_the_trilinear_share() -> None:
    labels = heart()
    shares = label_shares(labels, np.array([[1.75, 5.0, 6.0], [1.5, 2.5, 6.0]]), INDICES)
    np.testing.assert_allclose(shares[INDICES.index(LV)], [0.75, 0.25], atol=1e-6)
    assert shares.sum(axis=0).max() <= 1.0 + 1e-6


def test_the_band_lies_on_both_sides_of_boundaries() -> None:
    labels = heart()
    positions, starts = places_of(labels, INDICES, 1, np.random.default_rng(0))
    band = np.zeros(labels.size, dtype=bool)
    band[positions[starts[-2] : starts[-1]]] = True
    band = band.reshape(SHAPE)
    assert band[2, 5, 6] and band[1, 5, 6] and not band[4, 5, 6] and not band[10, 0, 0]
    sizes = np.diff(starts)[:10].tolist()
    assert sizes == [0, 0, 252, 0, 0, 0, 0, 0, 9, 0]


def test_a_shell_is_what_shares_a_face_or_an_edge_with_its_structure() -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[5, 6, 7], labels[0, 0, 0] = CORONARY, LV
    positions, starts = places_of(labels, INDICES, 1, np.random.default_rng(0))
    shells = [positions[start:stop] for start, stop in zip(starts[10:20], starts[11:21], strict=True)]
    assert [len(shell) for shell in shells] == [0, 0, 6, 0, 0, 0, 0, 0, 18, 0]  # of LV in the corner: 3 faces, 3 edges
    around = np.stack(np.unravel_index(shells[8], SHAPE), axis=1) - [5, 6, 7]
    assert sorted((around**2).sum(axis=1).tolist()) == [1] * 6 + [2] * 12


def test_every_present_structure_gives_as_many_points_of_its_shell() -> None:
    labels, points = drawn(per_structure=0, shell=40, band=0, anywhere=0)
    nearest = np.rint(unit_to_index(points.points_unit.astype(np.float64), SHAPE)).astype(int)
    assert (np.abs(nearest[40:80] - [5, 11, 14])[:, 1:] <= 2).all()  # of the vessel, after those of the chamber
    assert (labels[tuple(nearest[:80].T)] == 0).mean() > 0.8


def test_an_empty_heart_gives_points_all_the_same() -> None:
    labels, generator = np.zeros((5, 7, 11), dtype=np.uint8), np.random.default_rng(0)
    points = draw_heart(labels, places_of(labels, INDICES, 1, generator), INDICES, 4, 5, 3, 2, generator)
    assert points.points_unit.shape == (95, 3) and not points.occupancy.any()
    assert np.abs(points.points_unit).max() <= 1


def test_a_box_one_voxel_thick_is_asked_in_its_plane() -> None:
    labels, generator = np.full((1, 7, 11), LV, dtype=np.uint8), np.random.default_rng(0)
    points = draw_heart(labels, places_of(labels, INDICES, 1, generator), INDICES, 4, 5, 3, 2, generator)
    assert (points.points_unit[:, 2] == 0).all()
    np.testing.assert_allclose(points.occupancy[INDICES.index(LV)], 1.0, atol=1e-6)


def test_a_draw_depends_on_seed_epoch_and_case_alone() -> None:
    item = HeartPlacesd("label")({"label": torch.from_numpy(heart())[None], "index": 3})
    first, again, other = (RandHeartPointsd("label", 5, 2, 4, 3, seed=1) for _ in range(3))
    again(dict(item))
    other.set_epoch(2)
    one, two, three = first(dict(item)), again(dict(item)), other(dict(item))
    assert torch.equal(one["image"], two["image"]) and torch.equal(one["label"], two["label"])
    assert not torch.equal(one["image"], three["image"])
    assert one["image"].shape == (3, 77) and one["label"].shape == (10, 77)
    assert "label_places" not in one and "label_starts" not in one
