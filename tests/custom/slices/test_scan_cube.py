"""The cube: nothing moves in the world, a grid that fits keeps its values, nothing is cut in silence."""

from __future__ import annotations

import numpy as np
import pytest
from monai.data import MetaTensor
from nibabel.affines import apply_affine
from scipy.spatial.transform import Rotation

from custom.errors import InputError
from custom.slices.scan_cube import AIR_HU, MakeCubed, cube_affine, make_cube, upright_axes

OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", (13, -21, 17), degrees=True).as_matrix() @ np.diag([1.1, 2.3, 0.7])
OBLIQUE[:3, 3] = (-31, 47, 103)
LPS = np.array([[0, -3.0, 0, 40], [0, 0, 3.0, -20], [-3.0, 0, 0, 7], [0, 0, 0, 1]])


def world_ramp(shape: tuple[int, int, int], affine: np.ndarray, axis: int) -> np.ndarray:
    """An image whose value is the world coordinate of each voxel: a linear resampling must give it back."""
    return apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))[..., axis]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("affine", [np.diag([3.0, 2.0, 5.0, 1.0]), OBLIQUE, LPS])
def test_the_image_at_a_voxel_of_the_cube_is_that_of_its_place_in_the_world(affine: np.ndarray, axis: int) -> None:
    shape = (23, 17, 29)
    labels = np.zeros(shape, np.uint8)
    labels[11, 8, 14] = 1
    cube = make_cube(world_ramp(shape, affine, axis), labels, affine, size=31, spacing_mm=2.0)
    places = apply_affine(cube.affine, np.moveaxis(np.indices((31, 31, 31)), 0, -1))
    source = apply_affine(np.linalg.inv(affine), places)
    inner = ((source >= 0) & (source <= np.asarray(shape) - 1)).all(axis=-1)
    assert inner.sum() > 1000
    np.testing.assert_allclose(cube.image_hu[inner], places[inner][:, axis], atol=1e-3)
    beyond = ((source < -0.51) | (source > np.asarray(shape) - 0.49)).any(axis=-1)
    assert beyond.sum() > 100 and (cube.image_hu[beyond] == AIR_HU).all() and not cube.labels[beyond].any()


def test_a_label_of_the_cube_is_that_of_the_voxel_its_place_lies_in() -> None:
    labels = np.random.default_rng(0).integers(0, 6, (13, 11, 17)).astype(np.uint8)
    cube = make_cube(np.zeros(labels.shape), labels, OBLIQUE, size=37, spacing_mm=1.3)
    places = apply_affine(np.linalg.inv(OBLIQUE) @ cube.affine, np.argwhere(cube.labels > 0))
    nearest = np.rint(places).astype(int)
    assert len(nearest) > 1000
    np.testing.assert_array_equal(labels[tuple(nearest.T)], cube.labels[cube.labels > 0])


@pytest.mark.parametrize("centre", ["grid", "heart"])
def test_a_grid_that_is_a_cube_already_keeps_every_value_in_patient_order(centre: str) -> None:
    rng = np.random.default_rng(1)
    image, labels = rng.normal(0, 300, (11, 11, 11)).astype(np.float32), rng.integers(0, 6, (11, 11, 11), np.uint8)
    labels[:3] = 0
    cube = make_cube(image, labels, LPS.astype(np.float32).astype(float), size=11, centre=centre)
    for i, j, k in ((0, 0, 0), (2, 7, 3), (10, 1, 5)):
        where = np.rint(apply_affine(np.linalg.inv(cube.affine), apply_affine(LPS, (i, j, k)))).astype(int)
        assert cube.image_hu[tuple(where)] == image[i, j, k] and cube.labels[tuple(where)] == labels[i, j, k]
    np.testing.assert_allclose(cube.affine[:3, :3], np.diag([3.0, 3, 3]), atol=1e-6)
    assert sorted(cube.image_hu.ravel()) == sorted(image.ravel())


def test_the_axes_are_orthogonal_unmirrored_and_nearest_to_those_of_a_sheared_scan() -> None:
    sheared = OBLIQUE.copy()
    sheared[:3, 1] += 0.2 * sheared[:3, 0]
    axes = upright_axes(sheared)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1) and (np.diag(axes) > 0.8).all()
    mirrored = np.diag([-1.0, 2.0, 3.0, 1.0])
    np.testing.assert_allclose(upright_axes(mirrored), np.eye(3), atol=1e-12)


def test_the_middle_is_the_grids_and_no_label_moves_it_unless_the_heart_is_asked_for() -> None:
    labels = np.zeros((41, 7, 5), np.uint8)
    labels[30:33, 2, 1] = 1
    grid = cube_affine(labels, np.eye(4), size=11, spacing_mm=1.0)
    np.testing.assert_allclose(apply_affine(grid, (5, 5, 5)), (20, 3, 2))
    heart = cube_affine(labels, np.eye(4), size=11, spacing_mm=1.0, centre="heart")
    np.testing.assert_allclose(apply_affine(heart, (5, 5, 5)), (31, 2, 1))
    with pytest.raises(InputError, match="3 of 3 labelled voxels out of the cube of 11 mm.*--centre heart"):
        make_cube(np.zeros(labels.shape), labels, np.eye(4), size=11, spacing_mm=1.0)
    assert (make_cube(np.zeros(labels.shape), labels, np.eye(4), 11, 1.0, "heart").labels == 1).sum() == 3


def test_background_alone_is_refused_and_a_full_single_voxel_is_not() -> None:
    with pytest.raises(InputError, match="background alone"):
        make_cube(np.zeros((3, 5, 7)), np.zeros((3, 5, 7), np.uint8), np.eye(4))
    cube = make_cube(np.full((1, 1, 1), 7.0), np.ones((1, 1, 1), np.uint8), np.eye(4), size=5, spacing_mm=1.0)
    assert cube.labels.sum() == 1 and cube.labels[2, 2, 2] == 1 and cube.image_hu[2, 2, 2] == 7


def test_the_transform_gives_the_same_cube_with_a_channel() -> None:
    labels = np.zeros((5, 7, 3), np.uint8)
    labels[2, 3, 1] = 4
    image = world_ramp(labels.shape, OBLIQUE, 1)
    data = {"image": MetaTensor(image[None], affine=OBLIQUE), "label": MetaTensor(labels[None], affine=OBLIQUE)}
    made = MakeCubed(size=13, spacing_mm=1.5)(data)
    wanted = make_cube(image, labels, OBLIQUE, 13, 1.5)
    np.testing.assert_array_equal(made["image"][0], wanted.image_hu)
    np.testing.assert_array_equal(made["label"][0], wanted.labels)
    np.testing.assert_allclose(made["affine"], wanted.affine)
    with pytest.raises(InputError, match="the image's and the label map's"):
        MakeCubed("image")
