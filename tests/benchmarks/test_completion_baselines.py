"""What completes hearts without having learned to, on hearts small enough to see through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.completion_baselines import Drawn, MeanShapes, NearestHeart, constant, indifferent, signed_distance
from benchmarks.completion_scores import Completes, completed_dice, mean_dice, reconstructed_dice, score
from benchmarks.completion_unet import (
    Training,
    UNetPreference,
    UNetRun,
    learning_rate_at,
    moved,
    shares_of,
    shown_channels,
)
from benchmarks.partial_hearts import INDICES, NAMES, Canvas, Heart, parts_of
from custom.completion.sample_points import RandRigidMotion

LA, RA, PV = (INDICES[NAMES.index(name)] for name in ("LA", "RA", "PV"))
CANVAS = Canvas(12, 2.0)
BUNDLE = {"hidden_counts": [1, 2], "rotation_deg": 5.0, "scale_share": 0.05, "shift_mm": 2.0}


def labels_of(la: int = 3, ra: int = 7) -> np.ndarray:
    """Two slabs, three voxels thick, from i = ``la`` and i = ``ra``."""
    labels = np.zeros(CANVAS.shape, np.uint8)
    labels[la : la + 3, 2:10, 2:11] = LA
    labels[ra : ra + 3, 2:10, 2:11] = RA
    return labels


def shown(*names: str) -> np.ndarray:
    return np.isin(NAMES, names)


def test_a_signed_distance_is_half_a_voxel_at_the_surface_and_cut_off() -> None:
    mask = np.zeros((11, 3, 5), bool)
    mask[4:7] = True
    line = signed_distance(mask, 2.0, reach_mm=4.0)[:, 1, 2]
    np.testing.assert_allclose(line, [4, 4, 3, 1, -1, -3, -1, 1, 3, 4, 4][: len(line)], atol=1e-6)


def test_of_nothing_the_distance_is_the_reach_and_of_all_its_negative() -> None:
    empty = np.zeros((3, 5, 7), bool)
    assert (signed_distance(empty, 1.0, 6.0) == 6).all()
    assert (signed_distance(~empty, 1.0, 6.0) == -6).all()
    one = empty.copy()
    one[0, 0, 0] = True
    assert signed_distance(one, 1.0, 6.0)[0, 0].tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5]


@pytest.mark.parametrize("form", ["mean distance", "mean distance, mean size", "votes", "votes, mean size"])
def test_the_mean_of_one_heart_is_that_heart(form: str) -> None:
    liked = MeanShapes.of([labels_of()], CANVAS.step_mm).preferences()[form]
    found = Drawn(liked, CANVAS)(labels_of(), np.diag([2.0, 2, 2, 1]), shown("LA", "RA"), True)
    np.testing.assert_array_equal(found, labels_of())


def test_votes_lose_what_hearts_do_not_agree_on_and_its_mean_size_brings_it_back() -> None:
    apart = [labels_of(0), labels_of(1), labels_of(4)]  # no voxel of three is in two of LA but i = 1 and 2
    shapes = MeanShapes.of(apart, CANVAS.step_mm).preferences()
    asked = np.zeros(CANVAS.shape, np.uint8), np.diag([2.0, 2, 2, 1]), shown("RA"), True
    sizes = {form: (Drawn(liked, CANVAS)(*asked) == LA).sum() / 72 for form, liked in shapes.items()}
    assert sizes["votes"] == 2
    assert sizes["votes, mean size"] == 7  # the third slab is as likely as four others, and comes with them


def test_mean_shapes_are_the_same_from_the_disk(tmp_path: Path) -> None:
    shapes = MeanShapes.of([labels_of(), labels_of(2)], CANVAS.step_mm)
    shapes.save(tmp_path / "shapes.npz")
    again = MeanShapes.load(tmp_path / "shapes.npz")
    np.testing.assert_array_equal(again.distance_mm, shapes.distance_mm)
    assert again.voxels[INDICES.index(LA)] == 3 * 8 * 9


def test_the_nearest_heart_agrees_best_with_what_is_shown_and_gives_what_is_not() -> None:
    hearts = [labels_of(3, 6), labels_of(2, 8)]
    nearest = NearestHeart(hearts)
    given = np.where(labels_of(3, 9) == LA, LA, 0).astype(np.uint8)
    np.testing.assert_allclose(nearest.agreement(given, shown("LA")), [1, 2 / 3])
    np.testing.assert_allclose(nearest.agreement(labels_of(3, 9), shown("LA", "RA")), [0.5, (2 / 3 + 2 / 3) / 2])
    found = Drawn(nearest, CANVAS)(given, np.diag([2.0, 2, 2, 1]), shown("LA"), False)
    np.testing.assert_array_equal(found, labels_of(3, 6))


def test_what_is_given_stays_and_what_is_completed_gets_background_alone() -> None:
    nearest = NearestHeart([labels_of(3, 5)])  # where RA begins before LA ends
    given = np.where(labels_of() == LA, LA, 0).astype(np.uint8)
    found = Drawn(nearest, CANVAS)(given, np.diag([2.0, 2, 2, 1]), shown("LA"), False)
    assert ((found == LA) == (given == LA)).all()
    assert np.flatnonzero((found == RA).any(axis=(1, 2))).tolist() == [6, 7]


@pytest.mark.parametrize("completes", [constant(), Drawn(indifferent, CANVAS)], ids=["network", "canvas"])
def test_a_constant_scores_nothing_whatever_it_is_shown(completes: Completes) -> None:
    labels = labels_of()
    labels[0, 0, 0] = PV
    hearts = [Heart("one", labels, np.diag([2.0, 2, 2, 1]), (2.0, 2.0, 2.0))]
    rows = score(completes, hearts, lambda heart, index: parts_of(heart, index, counts=(1,)))
    assert reconstructed_dice(rows) == 0
    assert mean_dice(rows["1 missing: completed"]) == 0
    assert completed_dice(rows) == 0


def test_shares_are_of_the_voxels_and_what_is_hidden_is_neither_seen_nor_announced() -> None:
    shares = shares_of(labels_of(), 6)
    assert shares.shape == (11, 6, 6, 6)
    la = 1 + INDICES.index(LA)
    assert shares[la, :, 2, 2].tolist() == [0, 0.5, 1, 0, 0, 0]  # i = 3, 4 and 5
    assert torch.equal(shares.sum(dim=0), torch.ones(6, 6, 6))
    seen = shown_channels(shares, shown("RA"))
    assert not seen[la - 1].any() and not seen[10 + la - 1].any()
    assert torch.equal(seen[INDICES.index(RA)], shares[1 + INDICES.index(RA)])
    assert (seen[10 + INDICES.index(RA)] == 1).all()
    with pytest.raises(ValueError, match="does not divide"):
        shares_of(labels_of(), 5)


def test_a_heart_is_moved_as_its_cloud_would_be() -> None:
    class Along(RandRigidMotion):
        def draw(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
            return np.eye(3), np.array([0.04, 0.0, 0.0]), 1.0  # of 100 mm: two voxels of 2 mm along x

    found = moved(labels_of(), CANVAS, Along(), np.random.default_rng(0))
    np.testing.assert_array_equal(found[2:], labels_of()[:-2])


def test_the_rate_rises_to_its_highest_and_falls_to_a_hundredth() -> None:
    assert learning_rate_at(0.0, 2.0) == pytest.approx(0.2)
    assert learning_rate_at(0.05, 2.0) == pytest.approx(2.0)
    assert learning_rate_at(1.0, 2.0) == learning_rate_at(1.5, 2.0) == pytest.approx(0.02)


def test_a_u_net_that_was_stopped_goes_on_and_ends_with_the_time(tmp_path: Path) -> None:
    run = UNetRun(6, 0.01, 0.8, BUNDLE, batch_size=1, channels=(4, 8))
    training = Training(run, [labels_of()], CANVAS, tmp_path / "unet.pt")
    training.step()
    training.spent_s = 0.5
    training.save()
    again = Training(run, [labels_of()], CANVAS, tmp_path / "unet.pt")
    spent = again.go()
    assert spent["steps"] > 1 and 0.8 <= spent["cpu_seconds"] < 1.5
    third = Training(run, [labels_of()], CANVAS, tmp_path / "unet.pt")
    assert third.go()["steps"] == spent["steps"]
    chance = UNetPreference(run, tmp_path / "unet.pt", CANVAS)(labels_of(), shown("LA", "RA"))
    assert chance.shape == (11, *CANVAS.shape)
    np.testing.assert_allclose(chance.sum(axis=0), 1, atol=1e-4)
