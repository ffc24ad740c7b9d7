"""What a step sees: two masks, points that move together with their distances, the same draw every time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from custom.completion.hide_structures import StructureHider
from custom.completion.sample_points import RandCompletiond, RandRigidMotion

CENTRES = np.asarray([[0.1 * (channel - 4.5), 0.05 * channel - 0.2, 0.2 - 0.03 * channel] for channel in range(10)])
RADIUS = 0.15


def sphere_distances(points: np.ndarray) -> np.ndarray:
    return (np.linalg.norm(points[:, None] - CENTRES, axis=2) - RADIUS).astype(np.float32)


def item(labelled: int = 10) -> dict[str, Any]:
    """Ten spheres, of which only the first are labelled; 31 surface points each."""
    generator = np.random.default_rng(1)
    way = generator.normal(size=(310, 3))
    own = np.repeat(np.arange(10), 31)
    surface = CENTRES[own] + RADIUS * way / np.linalg.norm(way, axis=1, keepdims=True)
    volume, near = generator.uniform(-0.9, 0.9, (211, 3)), surface[:197] + generator.normal(0, 0.02, (197, 3))
    cloud = {
        "surface": np.concatenate([surface, np.eye(10)[own]], axis=1).astype(np.float32),
        "normals": ((surface - CENTRES[own]) / RADIUS).astype(np.float32),
        "volume_points": volume.astype(np.float32),
        "volume_sdf": sphere_distances(volume),
        "near_points": near.astype(np.float32),
        "near_sdf": sphere_distances(near),
    }
    return {"cloud": cloud, "label_valid": np.arange(10) < labelled, "index": 3, "case": "x"}


def drawing(hiding: StructureHider | None = None, **settings: Any) -> RandCompletiond:
    counts = {"surface_points": 97, "volume_points": 40, "near_points": 30, "surface_queries": 53}
    return RandCompletiond(hiding or StructureHider(), **(counts | settings))


def test_a_hidden_structure_is_gone_from_the_input_and_stays_in_the_loss() -> None:
    found = drawing(StructureHider(schemes=["no_atria"], scheme_share=1.0))(item())
    hidden = [1, 3, 7]
    shown = found["image"][3:].sum(dim=1) > 0
    assert (~shown).nonzero()[:, 0].tolist() == hidden
    assert torch.equal(found["input_present"], shown)
    assert found["label_valid"].all()
    assert set(hidden) < set(found["surface_class"].tolist())
    assert found["near"].shape == (10, 30) and (found["near"][hidden].abs() < 0.1).any()


def test_what_is_not_labelled_is_neither_shown_nor_judged() -> None:
    found = drawing(StructureHider((1, 2)), eikonal_share=0.5)(item(labelled=4))
    assert not found["input_present"][4:].any() and found["input_present"].any()
    assert found["label_valid"].tolist() == [True] * 4 + [False] * 6
    assert set(found["surface_class"].tolist()) == set(range(4)) == set(found["channels"].tolist())
    assert found["image"][7:].eq(0).all()


def test_shapes_are_those_asked_for_and_sources_repeat_where_they_are_few() -> None:
    found = drawing(surface_points=1009, eikonal_share=0.25)(item())
    assert found["image"].shape == (13, 1009)
    assert [found[f"{group}_points"].shape for group in ("volume", "near", "surface")] == [(3, 40), (3, 30), (3, 53)]
    assert found["channels"].tolist() == list(range(10))
    counts = torch.bincount(found["surface_class"], minlength=10)
    assert counts.min() >= 5 and counts.sum() == 53
    assert "cloud" not in found and found["case"] == "x"


def test_points_distances_and_surfaces_move_together() -> None:
    """Where a field moves, its distances at the moved points are the old ones, as much larger as it has grown."""
    moved = drawing(motion=RandRigidMotion(20.0, 0.1, 0.1))(item())
    still = drawing()(item())
    near, before = moved["near_points"].numpy().T, still["near_points"].numpy().T
    steps = [np.linalg.norm(points[:, None] - points[None], axis=2) for points in (near, before)]
    size = float(np.median(steps[0][steps[1] > 0.1] / steps[1][steps[1] > 0.1]))
    assert 0.9 <= size <= 1.1 and abs(size - 1) > 1e-4
    assert np.allclose(steps[0], size * steps[1], atol=1e-4)
    assert torch.allclose(moved["near"], size * still["near"], atol=1e-5)
    matrix = np.linalg.lstsq(before - before.mean(axis=0), near - near.mean(axis=0), rcond=None)[0]
    turned = matrix / size
    assert np.allclose(turned @ turned.T, np.eye(3), atol=1e-3)
    surface = moved["image"][:3, :1].numpy()[:, 0]
    own, (first,) = int(moved["image"][3:, 0].argmax()), still["image"][:3, :1].numpy().T
    assert np.allclose(first @ matrix, surface - near.mean(axis=0) + before.mean(axis=0) @ matrix, atol=1e-4)
    assert own == int(still["image"][3:, 0].argmax())


def test_a_heart_is_never_mirrored_and_never_turned_by_more_than_is_said() -> None:
    motion, generator = RandRigidMotion(15.0, 0.1, 0.05), np.random.default_rng(5)
    for _ in range(200):
        matrix, shift, size = motion.draw(generator)
        turned = matrix / size
        assert np.linalg.det(turned) == pytest.approx(1)
        assert np.degrees(np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1))) <= 15.001
        assert 0.9 <= size <= 1.1 and np.abs(shift).max() <= 0.05


def test_a_draw_depends_on_seed_epoch_and_case_alone() -> None:
    def image(seed: int, epoch: int, index: int, **settings: Any) -> torch.Tensor:
        draw = drawing(StructureHider((2, 5)), seed=seed, motion=RandRigidMotion(5), **settings)
        draw.set_epoch(epoch)
        found: torch.Tensor = draw({**item(), "index": index})["image"]
        return found

    first = image(0, 3, 1)
    assert torch.equal(first, image(0, 3, 1))
    assert not any(torch.equal(first, other) for other in (image(1, 3, 1), image(0, 4, 1), image(0, 3, 2)))
    assert torch.equal(image(0, 3, 1, fixed=True), image(0, 4, 1, fixed=True))


def test_without_points_for_the_loss_none_are_drawn() -> None:
    found = RandCompletiond(StructureHider(), 17)(item())
    assert found["image"].shape == (13, 17)
    assert [found[key].shape[-1] for key in ("volume", "near", "surface_class", "channels")] == [0, 0, 0, 0]


def test_normals_turn_with_their_points_and_stay_of_length_1() -> None:
    image = drawing(motion=RandRigidMotion(20.0, 0.1, 0.1), normals=True)(item())["image"].numpy()
    still = drawing(normals=True)(item())["image"].numpy()
    assert image.shape == (16, 97)
    assert np.linalg.norm(image[13:], axis=0) == pytest.approx(1, abs=1e-5)
    assert np.abs(image[13:] - still[13:]).max() > 1e-3
    own, before = image[3:13].argmax(axis=0), still[3:13].argmax(axis=0)
    for one in np.unique(own):  # on a sphere two normals differ as their points do
        points, normals = image[:3, own == one], image[13:, own == one]
        apart, turned = np.ptp(points, axis=1), np.ptp(normals, axis=1)
        assert apart / turned == pytest.approx(RADIUS * np.ones(3), rel=0.11)
    assert (own == before).all()


def test_a_share_of_the_volume_points_lies_within_structures_as_many_in_each() -> None:
    plain, found = drawing(volume_points=100)(item()), drawing(volume_points=100, inside_share=0.5)(item(labelled=4))
    assert (plain["volume"].min(dim=0)[0] < 0).sum() < 35
    deepest = found["volume"].min(dim=0)
    within = torch.bincount(deepest.indices[deepest.values < 0], minlength=10)
    sdf = item()["cloud"]["volume_sdf"]
    held = np.unique(np.where(sdf.min(axis=1) < 0, sdf.argmin(axis=1), -1))
    there = [one for one in range(4) if one in held]
    assert len(there) >= 2 and (within[there] >= 50 // 4).all()
