"""The same heart stored in another order of voxels is completed to the same heart."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from nibabel.orientations import apply_orientation, inv_ornt_aff, ornt_transform

from custom.anatomy import table
from custom.completion.complete_case import Completer, Completion, complete_case
from custom.completion.load_cloud import LoadCompletiond
from custom.completion.load_partial import LoadPartiald
from custom.completion.save_completion import MAPS, STEPS, CompletionMapInferer
from custom.data.label_maps import write_label_map
from custom.models.vecset.part_network import set_network
from custom.surfaces.make_cloud import make_cloud
from custom.surfaces.surface_sampling import Counts

SHAPE = (23, 29, 19)
ORDERS = [
    np.asarray([*zip(axes, signs, strict=True)])
    for axes in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]
SOME = [ORDERS[position] for position in (1, 6, 11, 20, 29, 37, 47)]


def heart() -> np.ndarray:
    """Five lopsided pieces of a heart."""
    ijk = np.stack(np.indices(SHAPE), axis=-1).astype(float)
    labels = np.zeros(SHAPE, np.uint8)
    for index, middle, radii in (
        (2, (6, 7, 13), (4.3, 5.1, 3.9)),
        (3, (14, 17, 6), (6.7, 7.9, 4.2)),
        (5, (8, 21, 9), (4.9, 5.2, 6.1)),
        (6, (16, 6, 11), (2.7, 3.1, 7.2)),
        (9, (11, 12, 14), (1.1, 6.3, 1.4)),
    ):
        labels[(((ijk - middle) / radii) ** 2).sum(axis=-1) < 1] = index
    return labels


def oblique() -> np.ndarray:
    turn = np.asarray([[0.93, -0.27, 0.24], [0.31, 0.94, -0.14], [-0.19, 0.2, 0.96]])
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(turn)[0] * np.sign(np.diag(np.linalg.qr(turn)[1])) @ np.diag([2.3, 1.9, 3.1])
    affine[:3, 3] = (-31.7, 12.3, 5.9)
    return affine


def stored(labels: np.ndarray, affine: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(apply_orientation(labels, order)), affine @ inv_ornt_aff(order, labels.shape)


def back(volume: np.ndarray, order: np.ndarray) -> np.ndarray:
    plain = np.asarray([[0, 1], [1, 1], [2, 1]])
    return np.asarray(apply_orientation(volume, ornt_transform(plain, order)))


@pytest.fixture(scope="module")
def completer() -> Completer:
    """An untrained network that draws several structures."""
    torch.manual_seed(3)
    network = set_network("placed", width=16, heads=2, depth=1, point_queries=5, class_tokens=1, latent_channels=4)
    torch.nn.init.normal_(network.head.weight, std=0.3)
    torch.nn.init.constant_(network.head.bias, 1.1)
    return Completer(network.eval(), table(), 100.0, surface_points=131, draws=1)


def agree(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal but for voxels at which rounding decides."""
    return bool((one != other).sum() <= 2)


def test_a_heart_in_any_of_the_48_orders_is_completed_to_the_same_voxels(completer: Completer) -> None:
    def completed(order: np.ndarray) -> Completion:
        return complete_case(*stored(heart(), oblique(), order), completer, keep_given=False)

    first = completed(ORDERS[0])
    assert len(np.unique(first.labels)) > 3 and set(np.unique(first.source)) == {0, 1, 2}
    for order in ORDERS[1:]:
        found = completed(order)
        assert agree(back(found.labels, order), first.labels)
        assert agree(back(found.source, order), first.source)


@pytest.mark.parametrize("affine", [oblique, lambda: np.diag([2.3, 1.9, 3.1, 1.0])], ids=["oblique", "straight"])
def test_labels_source_and_confidence_of_a_file_are_the_same_in_every_order(
    completer: Completer, affine: Callable[[], np.ndarray], tmp_path: Path
) -> None:
    def maps(order: np.ndarray) -> np.ndarray:
        path = tmp_path / "case.nii.gz"
        write_label_map(path, *stored(heart(), affine(), order))
        items = Dataset([{"path": str(path), "case": "case", "index": 0}], LoadPartiald(completer))
        (batch,) = DataLoader(items, batch_size=1)
        inferer = CompletionMapInferer(completer, with_distances=True, with_confidence=True)
        given = {key: batch[key] for key in ("input_present", "given", "to_frame", "mapped")}
        return np.stack(
            [back(one, order) for one in inferer(batch["image"][0][None], completer.network, **given)[0].numpy()]
        )

    first = maps(ORDERS[0])
    assert (first[0][heart() > 0] == heart()[heart() > 0]).all()
    assert len(np.unique(first[0])) > 6 and set(np.unique(first[1])) >= {1, 2} and first[2].max() > 0.1 * STEPS
    for order in SOME:
        found = maps(order)
        assert agree(found[0], first[0]) and agree(found[1], first[1])
        assert (np.abs(found[2] - first[2]) > 1).sum() <= 2
        assert np.allclose(found[MAPS:], first[MAPS:], atol=1e-2)


def test_a_heart_in_another_order_has_the_same_cloud_and_is_validated_at_the_same_places(tmp_path: Path) -> None:
    def known(order: np.ndarray) -> dict[str, np.ndarray]:
        labels, affine = stored(heart(), oblique(), order)
        write_label_map(tmp_path / "case.nii.gz", labels, affine)
        make_cloud(labels, affine, counts=Counts(surface=907, volume=503, near=701), seed=5).write(
            tmp_path / "case.npz"
        )
        item = {"label": tmp_path / "case.nii.gz", "cloud": tmp_path / "case.npz", "labelled": [True] * 10}
        loaded = LoadCompletiond(lattice_points=400)(item)
        cloud = loaded["cloud"] | {"lattice": loaded["lattice"], "lattice_labels": loaded["lattice_labels"]}
        return {key: np.asarray(value, np.float64) for key, value in cloud.items()}

    first = known(ORDERS[0])
    for order in SOME:
        for key, value in known(order).items():
            assert value.shape == first[key].shape and np.allclose(value, first[key], atol=1e-5), key
