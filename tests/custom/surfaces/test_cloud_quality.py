"""The gate's checks: what went wrong before must not pass again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from custom.surfaces.cloud_quality import examine
from custom.surfaces.make_cloud import make_cloud
from custom.surfaces.point_cloud import Cloud

from .conftest import FEW

Heart = tuple[np.ndarray, np.ndarray]


def faults(cloud: Cloud, heart: Heart) -> set[str]:
    """The names of the checks that failed, without those of the structures."""
    found = examine(cloud, *heart).faults
    return {fault.split(": ")[-2 if fault.startswith(("numbers", "grid")) else 1] for fault in found}


def both(cloud: Cloud, volume: np.ndarray, near: np.ndarray) -> Cloud:
    return replace(cloud, volume_sdf_mm=volume.astype(np.float32), near_sdf_mm=near.astype(np.float32))


def test_an_exact_cloud_passes_with_slope_1(heart: Heart, heart_cloud: Cloud) -> None:
    quality = examine(heart_cloud, *heart)
    assert quality.faults == ()
    assert len(quality.inside_share) == 10 and len(quality.slope) >= 8
    assert list(quality.slope.values()) == pytest.approx([1.0] * len(quality.slope), abs=0.05)


def test_a_partial_cloud_passes(heart: Heart) -> None:
    labels, affine = heart
    partial = np.where(np.isin(labels, (3, 9)), labels, 0).astype(np.uint8)
    quality = examine(make_cloud(partial, affine, counts=FEW), partial, affine)
    assert quality.faults == () and set(quality.inside_share) == {"LV", "Coronary"}


def test_signs_by_the_distance_to_the_centroid_fail(heart: Heart, heart_cloud: Cloud) -> None:
    """The sources' heuristic: inside is what is nearer to the centroid than 1.5 times its distance to the surface."""

    def guessed(points: np.ndarray, sdf: np.ndarray) -> np.ndarray:
        signed = np.abs(sdf)
        for channel, index in enumerate(heart_cloud.table.indices):
            middle = heart_cloud.surface_points_mm[heart_cloud.surface_class == index].mean(axis=0)
            inside = np.linalg.norm(points - middle, axis=1) < 1.5 * signed[:, channel]
            signed[:, channel] *= np.where(inside, -1, 1)
        return signed

    bad = both(
        heart_cloud,
        guessed(heart_cloud.volume_points_mm, heart_cloud.volume_sdf_mm),
        guessed(heart_cloud.near_points_mm, heart_cloud.near_sdf_mm),
    )
    found = examine(bad, *heart).faults
    assert all(any(fault.startswith(f"{name}: sign") for fault in found) for name in ("LV", "Coronary", "Myocardium"))


def test_all_outside_fails_and_so_does_all_turned_round(heart: Heart, heart_cloud: Cloud) -> None:
    volume, near = heart_cloud.volume_sdf_mm, heart_cloud.near_sdf_mm
    assert {"sign", "sign share"} <= faults(both(heart_cloud, np.abs(volume), np.abs(near)), heart)
    assert {"sign", "sign share", "slope"} <= faults(both(heart_cloud, -volume, -near), heart)


def test_one_wrong_sign_fails(heart: Heart, heart_cloud: Cloud) -> None:
    volume = heart_cloud.volume_sdf_mm.copy()
    deepest = int(volume[:, 2].argmin())
    volume[deepest, 2] *= -1
    found = examine(replace(heart_cloud, volume_sdf_mm=volume), *heart).faults
    assert any(fault.startswith("LV: sign: 1 of ") for fault in found)


@pytest.mark.parametrize("factor", [1 / 2.25, 1 / 100, 1.5])
def test_distances_in_another_unit_fail(heart: Heart, heart_cloud: Cloud, factor: float) -> None:
    """Voxels instead of mm, frame units instead of mm, and too long ones."""
    bad = both(heart_cloud, heart_cloud.volume_sdf_mm * factor, heart_cloud.near_sdf_mm * factor)
    assert "slope" in faults(bad, heart)


def test_a_distance_transform_without_its_half_voxel_jumps_at_the_surface_and_with_it_does_not(
    heart: Heart, heart_cloud: Cloud
) -> None:
    labels, affine = heart
    mask, spacing = labels == 3, affine[0, 0]
    plain = ndimage.distance_transform_edt(~mask) - ndimage.distance_transform_edt(mask)
    half = plain - np.sign(plain) * 0.5
    inverse = np.linalg.inv(affine)

    def sampled(field: np.ndarray) -> Cloud:
        near = heart_cloud.near_sdf_mm.copy()
        voxels = heart_cloud.near_points_mm @ inverse[:3, :3].T + inverse[:3, 3]
        near[:, 2] = spacing * ndimage.map_coordinates(field, voxels.T, order=1, mode="nearest")
        return replace(heart_cloud, near_sdf_mm=near)

    def of_lv(cloud: Cloud) -> list[str]:
        return [fault for fault in examine(cloud, *heart).faults if fault.startswith("LV: slope: a jump")]

    assert len(of_lv(sampled(plain))) == 1
    assert of_lv(sampled(half)) == []


def test_a_surface_beside_the_zero_fails(heart: Heart, heart_cloud: Cloud) -> None:
    moved = heart_cloud.surface_points_mm + 3 * heart_cloud.surface_normals
    found = faults(replace(heart_cloud, surface_points_mm=moved), heart)
    assert {"zero", "slope"} & found


def test_noise_in_the_distances_fails_as_a_slope_above_1(heart: Heart, heart_cloud: Cloud) -> None:
    noise = np.random.default_rng(0).normal(size=heart_cloud.volume_sdf_mm.shape) * 8
    outside = np.where(heart_cloud.volume_sdf_mm > 40, heart_cloud.volume_sdf_mm + noise, heart_cloud.volume_sdf_mm)
    assert faults(both(heart_cloud, outside, heart_cloud.near_sdf_mm), heart) == {"slope"}


def test_distances_beyond_the_grid_or_of_an_absent_structure_fail(heart: Heart, heart_cloud: Cloud) -> None:
    volume = heart_cloud.volume_sdf_mm.copy()
    volume[0, 4] = 400
    assert "bound" in faults(replace(heart_cloud, volume_sdf_mm=volume), heart)
    labels, affine = heart
    partial = np.where(labels == 3, labels, 0).astype(np.uint8)
    cloud = make_cloud(partial, affine, counts=FEW)
    zero = np.where(cloud.present, cloud.near_sdf_mm, 0).astype(np.float32)
    assert "bound" in faults(replace(cloud, near_sdf_mm=zero), (partial, affine))


def test_numbers_that_are_none_another_grid_and_false_presence_fail(heart: Heart, heart_cloud: Cloud) -> None:
    broken = heart_cloud.near_sdf_mm.copy()
    broken[3, 3] = np.nan
    assert examine(replace(heart_cloud, near_sdf_mm=broken), *heart).faults == (
        "numbers: NaN or infinite in near_sdf_mm",
    )
    assert "normals" in examine(replace(heart_cloud, surface_normals=heart_cloud.surface_normals * 2), *heart).faults[0]
    assert "scale" in examine(replace(heart_cloud, scale_mm=0.0), *heart).faults[0]
    shifted = heart[1] + np.asarray([[0, 0, 0, 5.0]] * 3 + [[0] * 4])
    assert examine(heart_cloud, heart[0], shifted).faults[0].startswith("grid: ")
    present = heart_cloud.present.copy()
    present[8] = False
    assert examine(replace(heart_cloud, present=present), *heart).faults[0].startswith("Coronary: presence: absent")


def test_the_order_of_surface_points_changes_nothing(heart: Heart, heart_cloud: Cloud) -> None:
    order = np.random.default_rng(0).permutation(len(heart_cloud.surface_class))
    shuffled = replace(
        heart_cloud,
        surface_points_mm=heart_cloud.surface_points_mm[order],
        surface_normals=heart_cloud.surface_normals[order],
        surface_class=heart_cloud.surface_class[order],
    )
    assert examine(shuffled, *heart) == examine(heart_cloud, *heart)
