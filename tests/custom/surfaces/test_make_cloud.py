"""Clouds: where the points are, whose they are, and a frame that does not move."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.errors import InputError
from custom.surfaces.cloud_frame import frame_box_mm, frame_centre_mm, grid_centre_mm
from custom.surfaces.make_cloud import MakeCloudd, case_seed, make_cloud
from custom.surfaces.mesh_distance import labels_at
from custom.surfaces.point_cloud import Cloud, absent_mm
from custom.surfaces.structure_surface import STAIRCASE, surface_of
from custom.surfaces.surface_sampling import Counts, in_grid, in_volume, near_surfaces, on_surface, shared_out

from .conftest import FEW


def test_half_of_the_points_are_dealt_out_evenly_and_half_by_area() -> None:
    assert shared_out(100, [1.0, 9.0], 0.5) == [30, 70]
    assert shared_out(100, [1.0, 9.0], 0.0) == [10, 90]
    assert shared_out(7, [1.0, 1.0, 1.0], 1.0) == [3, 2, 2]
    assert shared_out(10, [5.0], 0.5) == [10]


def test_coronaries_do_not_starve(heart_cloud: Cloud) -> None:
    counts = np.bincount(heart_cloud.surface_class, minlength=11)[1:]
    assert counts.sum() == FEW.surface
    assert counts.min() >= FEW.surface * 0.5 / 10
    close = (np.abs(heart_cloud.near_sdf_mm) < 2.5).sum(axis=0)
    assert close.min() >= FEW.near * 0.5 / 10 * 0.4


def test_points_lie_evenly_over_a_surface_with_normals_that_look_outwards() -> None:
    mask = np.zeros((13, 17, 23), dtype=bool)
    mask[3:10, 4:13, 5:18] = True
    surface = surface_of(mask, np.eye(4), STAIRCASE)
    points, normals = on_surface(surface, 8009, np.random.default_rng(0))
    low, high = np.asarray((2.5, 3.5, 4.5)), np.asarray((9.5, 12.5, 17.5))
    assert np.minimum(np.abs(points - low), np.abs(points - high)).min(axis=1).max() < 0.51
    top = np.isclose(points[:, 2], 17.5)
    assert normals[top] == pytest.approx(np.tile([0.0, 0, 1], (top.sum(), 1)))
    assert top.mean() == pytest.approx(6 * 8 / surface.areas_mm2.sum(), rel=0.1)  # its edges are cut
    assert points[top].mean(axis=0) == pytest.approx([6, 8, 17.5], abs=0.3)


def test_near_points_take_the_two_distances_in_turn_and_stay_in_the_grid() -> None:
    mask = np.zeros((41, 43, 47), dtype=bool)
    mask[:, :, :20] = True  # its caps lie on the border of the grid
    counts = Counts(near=4001, near_sigmas_mm=(0.5, 4.0))
    surfaces = {6: surface_of(mask, np.eye(4), STAIRCASE)}
    points = near_surfaces(surfaces, counts, mask.shape, np.eye(4), np.random.default_rng(0))
    assert len(points) == 4001 and in_grid(points, mask.shape, np.eye(4)).all()
    flat = ((points[:, :2] > 8) & (points[:, :2] < 32)).all(axis=1) & (points[:, 2] > 10)
    spread = [(points[turn::2, 2][flat[turn::2]] - 19.5).std() for turn in (0, 1)]
    assert spread == pytest.approx([0.5, 4.0], rel=0.2)


def test_volume_points_fill_the_part_of_the_frame_that_lies_in_a_turned_grid() -> None:
    affine = np.eye(4)
    affine[:2, :2] = np.asarray([[1, -1], [1, 1]]) / 2**0.5
    centre_mm = grid_centre_mm((31, 37, 41), affine)
    box = frame_box_mm((31, 37, 41), affine, centre_mm, 10.0)
    assert box == pytest.approx(np.stack([centre_mm - 10, centre_mm + 10]))
    points = in_volume(box, 5003, (31, 37, 41), affine, np.random.default_rng(0))
    assert len(points) == 5003 and in_grid(points, (31, 37, 41), affine).all()
    assert points.mean(axis=0) == pytest.approx(centre_mm, abs=0.5)
    assert points.std(axis=0) == pytest.approx([20 / 12**0.5] * 3, rel=0.1)


def test_the_frame_does_not_move_when_a_structure_is_missing(
    heart: tuple[np.ndarray, np.ndarray], heart_cloud: Cloud
) -> None:
    labels, affine = heart
    for gone in (1, 9):
        partial = make_cloud(np.where(labels == gone, 0, labels).astype(np.uint8), affine, counts=FEW, seed=3)
        assert np.array_equal(partial.centre_mm, heart_cloud.centre_mm) and partial.scale_mm == heart_cloud.scale_mm
        assert np.array_equal(partial.volume_points_mm, heart_cloud.volume_points_mm)
        kept = np.asarray([index != gone for index in PUBLIC_CARDIAC_CT.indices])
        assert partial.present.tolist() == kept.tolist()
        assert np.array_equal(partial.volume_sdf_mm[:, kept], heart_cloud.volume_sdf_mm[:, kept])
        assert (partial.volume_sdf_mm[:, ~kept] == np.float32(absent_mm(100.0))).all()
        assert gone not in partial.surface_class


def test_the_centre_is_the_middle_of_the_grid_or_the_place_that_was_given() -> None:
    affine = np.asarray([[0, -2.0, 0, 5], [1, 0, 0, 7], [0, 0, 3, 11], [0, 0, 0, 1]])
    assert grid_centre_mm((3, 5, 7), affine).tolist() == [1.0, 8.0, 20.0]
    assert frame_centre_mm((3, 5, 7), affine, (1.0, 2.0, 3.0)).tolist() == [1.0, 2.0, 3.0]
    for wrong in ((1.0, 2.0), (1.0, 2.0, float("nan"))):
        with pytest.raises(InputError, match="three numbers"):
            frame_centre_mm((3, 5, 7), affine, wrong)
    with pytest.raises(InputError, match="misses the label map"):
        frame_box_mm((3, 5, 7), affine, np.asarray([900.0, 0, 0]), 100.0)


def test_world_mm_by_the_affine_whatever_the_order_of_the_axes(heart: tuple[np.ndarray, np.ndarray]) -> None:
    labels, affine = heart
    swap = np.asarray([[0, 0, 1.0, 0], [-1, 0, 0, 63], [0, 1, 0, 0], [0, 0, 0, 1]])  # new voxel to old voxel
    turned = labels[:, ::-1, :].transpose(1, 2, 0)
    places = np.argwhere(turned == 9)[::17]
    assert labels[tuple((places @ swap[:3, :3].T + swap[:3, 3]).astype(int).T)].tolist() == [9] * len(places)
    one = make_cloud(labels, affine, counts=FEW, seed=3)
    other = make_cloud(np.ascontiguousarray(turned), affine @ swap, counts=FEW, seed=3)
    assert np.allclose(one.centre_mm, other.centre_mm)
    assert np.abs(one.volume_sdf_mm - other.volume_sdf_mm).max() < 0.6
    assert np.abs(one.volume_sdf_mm - other.volume_sdf_mm).mean() < 0.05 * 2.25


def test_the_same_seed_gives_the_same_cloud_and_another_seed_other_points(
    heart: tuple[np.ndarray, np.ndarray], heart_cloud: Cloud
) -> None:
    labels, affine = heart
    again = make_cloud(labels, affine, counts=FEW, seed=3, threads=2)
    assert all(np.array_equal(value, getattr(again, name)) for name, value in vars(heart_cloud).items())
    assert not np.array_equal(make_cloud(labels, affine, counts=FEW, seed=4).volume_points_mm, again.volume_points_mm)
    more = make_cloud(labels, affine, counts=replace(FEW, surface=5000), seed=3)
    assert np.array_equal(more.near_points_mm, again.near_points_mm)
    assert case_seed(3, "a") == case_seed(3, "a") != case_seed(3, "b")


def test_surface_points_of_a_structure_lie_on_its_border(
    heart: tuple[np.ndarray, np.ndarray], heart_cloud: Cloud
) -> None:
    labels, affine = heart
    voxel_mm = affine[0, 0]
    for sign in (-1, 1):
        points_mm = heart_cloud.surface_points_mm + sign * 0.75 * voxel_mm * heart_cloud.surface_normals
        own = labels_at(points_mm, labels, affine) == heart_cloud.surface_class
        assert own.mean() > 0.85 if sign < 0 else own.mean() < 0.05


def test_a_map_of_background_alone_has_no_cloud() -> None:
    with pytest.raises(InputError, match="no structure of table"):
        make_cloud(np.zeros((5, 7, 11), np.uint8), np.eye(4), counts=FEW)


@pytest.mark.parametrize(
    "wrong", [{"surface": 0}, {"volume": -1}, {"near": True}, {"quota_share": 1.2}, {"near_sigmas_mm": (0.0,)}]
)
def test_counts_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Counts(**wrong)


def test_the_transform_makes_the_cloud_of_a_loaded_label_map(
    heart: tuple[np.ndarray, np.ndarray], heart_cloud: Cloud
) -> None:
    labels, affine = heart
    loaded = MetaTensor(torch.from_numpy(labels)[None].float(), affine=torch.from_numpy(affine))
    counts = {"surface": FEW.surface, "volume": FEW.volume, "near": FEW.near}
    made = MakeCloudd("label", counts=counts, seed=3, device="cpu")({"label": loaded})
    framed = heart_cloud.in_frame()
    assert made["label"]["surface"].shape == (4000, 13)
    assert np.allclose(made["label"]["volume_sdf"].mean(axis=0), framed["volume_sdf"].mean(axis=0), atol=0.02)
    named = MakeCloudd("label", counts=counts, seed=3)({"label": loaded, "case": "one"})
    assert not np.array_equal(named["label"]["volume_points"], made["label"]["volume_points"])
