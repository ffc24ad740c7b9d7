"""One heart completed: what is given stays, what is drawn lies where the field says, on any grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from custom.anatomy import table
from custom.completion.complete_case import Completer, EncodedCase, complete_case, image_of, merged
from custom.completion.completion_dice import CompletionDice
from custom.completion.hide_structures import StructureHider
from custom.completion.inferers import CompletionInferer, LatticeInferer, PrepareCompletion, PrepareLattice
from custom.completion.sample_points import RandCompletiond
from custom.completion.training_clouds import seen_of
from custom.errors import InputError
from custom.metrics.overlap import dice
from custom.models.vecset.part_network import set_network
from custom.models.vecset.set_loss import SetLoss
from custom.models.vecset.set_network import SetNetwork

CENTRES_MM = np.asarray(
    [[14.0 * (channel % 5) - 28, 16.0 * (channel // 5) - 8, 3.0 * channel - 13] for channel in range(10)]
)
RADIUS_MM, SCALE_MM = 9.0, 100.0
AFFINE = np.asarray([[0.0, -2.0, 0.1, 37.0], [2.5, 0.0, 0.0, -36.0], [0.0, 0.1, 3.0, -28.0], [0, 0, 0, 1]])
SHAPE = (29, 37, 19)


class Spheres(SetNetwork):
    """Answers the distances to ten spheres, whatever it is shown."""

    def answer(self, tokens: Tensor, points: Tensor) -> Tensor:
        away = points.transpose(1, 2)[:, :, None] - torch.as_tensor(CENTRES_MM / SCALE_MM).to(points)
        return (away.norm(dim=3) - RADIUS_MM / SCALE_MM).transpose(1, 2)


def completer(**settings: Any) -> Completer:
    network = Spheres(width=8, heads=1, depth=1, point_queries=3, class_tokens=1, latent_channels=4).eval()
    return Completer(network, table(), SCALE_MM, surface_points=101, **settings)


def places_mm() -> np.ndarray:
    """World mm of every voxel, in the frame round the grid's middle."""
    ijk = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    middle = AFFINE[:3, :3] @ ((np.asarray(SHAPE) - 1) / 2)
    return np.asarray(ijk @ AFFINE[:3, :3].T - middle)


def distances_mm() -> np.ndarray:
    return np.asarray(np.linalg.norm(places_mm()[..., None, :] - CENTRES_MM, axis=-1) - RADIUS_MM)


def whole() -> np.ndarray:
    distances = distances_mm()
    return np.where(distances.min(axis=-1) < 0, distances.argmin(axis=-1) + 1, 0).astype(np.uint8)


def without(*names: str) -> np.ndarray:
    labels = whole()
    return np.where(np.isin(labels, [table()[name].index for name in names]), 0, labels).astype(np.uint8)


def test_what_was_given_stays_and_what_was_missing_is_drawn_where_it_belongs() -> None:
    given = without("LV", "PV")
    found = complete_case(given, AFFINE, completer())
    assert found.completed == ("LV", "PV")
    assert (found.labels == whole()).mean() > 0.998  # where two spheres meet, a given one may have been the deeper
    assert (found.labels[given > 0] == given[given > 0]).all()
    assert set(np.unique(found.labels[given == 0])) == {0, 3, 10}
    assert (found.source == np.where(found.labels == 0, 0, np.where(given > 0, 1, 2))).all()


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_drawn_anew_all_structures_are_the_fields(stride: int) -> None:
    given = without("LV")
    given[given == 2] = 0
    given[7, 11, 5] = 2  # a single voxel of the left atrium is a left atrium
    found = complete_case(given, AFFINE, completer(stride=stride), keep_given=False)
    assert found.completed == ("LV",)
    assert (found.labels == whole()).all()
    assert set(np.unique(found.source[found.labels == 3])) == {2}
    assert set(np.unique(found.source[found.labels == 2])) == {1}


def test_a_whole_heart_comes_back_as_it_is() -> None:
    found = complete_case(whole(), AFFINE, completer())
    assert (found.labels == whole()).all() and found.completed == ()
    assert set(np.unique(found.source)) == {0, 1}


def test_distances_are_in_mm_on_the_voxels() -> None:
    found = complete_case(without("RA"), AFFINE, completer(), with_distances=True)
    assert found.distances_mm is not None
    assert np.allclose(found.distances_mm, np.moveaxis(distances_mm(), -1, 0), atol=1e-3)
    assert complete_case(without("RA"), AFFINE, completer()).distances_mm is None


def test_one_structure_is_enough_and_none_is_not() -> None:
    only = np.where(whole() == 3, 3, 0).astype(np.uint8)
    assert len(complete_case(only, AFFINE, completer()).completed) == 9
    with pytest.raises(InputError, match="no structure to complete it from"):
        complete_case(np.zeros(SHAPE, np.uint8), AFFINE, completer())


def test_a_heart_far_from_the_middle_of_its_grid_is_refused() -> None:
    far = np.pad(without("RA"), ((70, 0), (0, 0), (0, 0)))
    with pytest.raises(
        InputError, match=r"\d\d% of its surfaces beyond the cube of 200 mm.*at most 10%\. Crop the label"
    ):
        complete_case(far, AFFINE, completer())
    large = AFFINE @ np.diag([5.0, 5.0, 5.0, 1.0])
    with pytest.raises(
        InputError, match=r"its middle; a heart of \d{3} mm needs its true spacing .*--scale_mm \d{3}\."
    ):
        complete_case(without("RA"), large, completer())
    near = np.pad(without("RA"), ((20, 0), (0, 0), (0, 0)))
    assert complete_case(near, AFFINE, completer()).completed == ("RA",)


def test_several_parts_of_a_cloud_are_asked_about_and_averaged() -> None:
    torch.manual_seed(0)
    network = set_network("placed", width=8, heads=1, depth=1, point_queries=3, class_tokens=1, latent_channels=4)
    torch.nn.init.normal_(network.head.weight)
    one, several = (Completer(network.eval(), table(), SCALE_MM, surface_points=101, draws=draws) for draws in (1, 3))
    cloud = seen_of(without("LV"), AFFINE, table(), SCALE_MM, ())
    (first, present), (images, _) = image_of(cloud, one), image_of(cloud, several)
    assert images.shape == (3, *first.shape[1:])
    assert torch.equal(images[:1], first) and not torch.equal(images[1], images[2])
    points = torch.rand(3, 17) - 0.5
    each = torch.stack([EncodedCase(one, image[None], present)(points) for image in images])
    assert each.std(dim=0).max() > 1e-4
    assert torch.allclose(EncodedCase(several, images, present)(points), each.mean(dim=0), atol=1e-6)


def test_what_is_given_wins_every_voxel_it_holds() -> None:
    given, found = np.asarray([[[0, 3, 0]]], np.uint8), np.asarray([[[2, 2, 0]]], np.uint8)
    shown = np.asarray([name == "LV" for name in table().names])
    labels, source = merged(given, found, shown, table())
    assert labels.tolist() == [[[2, 3, 0]]] and source.tolist() == [[[2, 1, 0]]]


def item() -> dict[str, Any]:
    """The ten spheres as a loaded case."""
    generator = np.random.default_rng(1)
    way = generator.normal(size=(2000, 3))
    own = np.repeat(np.arange(10), 200)
    surface = CENTRES_MM[own] + RADIUS_MM * way / np.linalg.norm(way, axis=1, keepdims=True)
    volume = generator.uniform(-45, 45, (4000, 3))
    near = surface + generator.normal(0, 1, (2000, 3)) * generator.choice([0.5, 4.0], (2000, 1))

    def distances(points: np.ndarray) -> np.ndarray:
        away = np.linalg.norm(points[:, None] - CENTRES_MM, axis=2) - RADIUS_MM
        return (away / SCALE_MM).astype(np.float32)

    cloud = {
        "surface": np.concatenate([surface / SCALE_MM, np.eye(10)[own]], axis=1).astype(np.float32),
        "volume_points": (volume / SCALE_MM).astype(np.float32),
        "volume_sdf": distances(volume),
        "near_points": (near / SCALE_MM).astype(np.float32),
        "near_sdf": distances(near),
    }
    lattice = np.ascontiguousarray(places_mm().reshape(-1, 3).T / SCALE_MM).astype(np.float32)
    labels = whole().ravel()
    return {"cloud": cloud, "label_valid": np.ones(10, bool), "index": 0, "lattice": lattice, "lattice_labels": labels}


def batched(drawn: dict[Any, Any]) -> dict[str, Any]:
    tensors = {key: value for key, value in drawn.items() if isinstance(value, np.ndarray | torch.Tensor)}
    return {key: torch.as_tensor(value)[None] for key, value in tensors.items()}


def test_a_tiny_network_learns_one_heart_and_then_completes_it() -> None:
    settings = {"width": 32, "heads": 2, "depth": 1, "point_queries": 8, "class_tokens": 1, "octaves": 3}
    network, loss = set_network(latent_channels=8, **settings), SetLoss()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)
    drawing = RandCompletiond(StructureHider((0, 3)), 256, 256, 256, 100, eikonal_share=0.25)
    metric, case = CompletionDice(), item()

    def score() -> float:
        metric.reset()
        image, target, _, beside = PrepareLattice()(batched(RandCompletiond(StructureHider((3, 3)), 256)(case)))
        metric.update((LatticeInferer()(image, network, **beside), target))
        return metric.compute()

    assert score() == 0
    for step in range(200):
        drawing.set_epoch(step)
        image, target, _, beside = PrepareCompletion()(batched(drawing(case)))
        optimizer.zero_grad()
        loss(CompletionInferer()(image, network, **beside), target).backward()
        optimizer.step()
        schedule.step()
    assert score() > 0.75
    assert min(metric.beside["present"], metric.beside["completed"]) > 0.6
    trained = Completer(network.eval(), table(), SCALE_MM, surface_points=256)
    found = complete_case(without("LV"), AFFINE, trained)
    assert dice(found.labels == 3, whole() == 3) > 0.6


def test_half_precision_learns_too() -> None:
    network, loss = set_network(width=16, heads=1, depth=1, point_queries=4, class_tokens=1), SetLoss()
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    drawing, case, losses = RandCompletiond(StructureHider(), 64, 64, 64, 30, eikonal_share=0.25), item(), []
    for _ in range(25):
        image, target, _, beside = PrepareCompletion()(batched(drawing(case)))
        optimizer.zero_grad()
        found = loss(CompletionInferer(bf16=True)(image, network, **beside), target)
        found.backward()
        losses.append(found.detach())
        optimizer.step()
    assert losses[0].dtype == torch.float32
    assert float(losses[-1]) < 0.8 * float(losses[0])
