"""The way from a label map's voxels to the unit cube and to millimetres, for every orientation a file can have."""

from __future__ import annotations

import json
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff

from custom.headers import header_of_affine
from custom.space import Frame, from_ras_order, index_to_unit, to_ras_order, unit_to_index, voxel_order

SHAPE_RAS = (5, 7, 11)
SPACING_RAS = (0.5, 1.5, 2.75)
ORIENTATIONS = [
    "".join(pair[side] for pair, side in zip(pairs, sides, strict=True))
    for pairs in permutations(("RL", "AP", "SI"))
    for sides in product((0, 1), repeat=3)
]


def rotation(degrees_x: float, degrees_y: float, degrees_z: float) -> np.ndarray:
    turned = np.eye(4)
    for axis, degrees in enumerate((degrees_x, degrees_y, degrees_z)):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        one = np.eye(4)
        a, b = (other for other in range(3) if other != axis)
        one[a, a], one[a, b], one[b, a], one[b, b] = c, -s, s, c
        turned = turned @ one
    return turned


def ras_affine(oblique: bool) -> np.ndarray:
    affine = np.diag([*SPACING_RAS, 1.0])
    affine[:3, 3] = (-13.0, 29.0, 3.5)
    return rotation(11, -17, 23) @ affine if oblique else affine


def stored_as(orientation: str, oblique: bool) -> tuple[np.ndarray, np.ndarray]:
    """The same numbered voxels, turned by nibabel: the array with the file's axes, and its affine."""
    numbers = np.arange(np.prod(SHAPE_RAS), dtype=np.int32).reshape(SHAPE_RAS)
    image = nib.Nifti1Image(numbers, ras_affine(oblique))
    turn = nib.orientations.ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(orientation))
    affine = image.affine @ inv_ornt_aff(turn, SHAPE_RAS)
    return nib.orientations.apply_orientation(numbers, turn), affine


def frame_of(affine: np.ndarray, shape: tuple[int, ...], low: tuple[int, ...], high: tuple[int, ...]) -> Frame:
    return Frame(affine, shape, low, high)  # type: ignore[arg-type]


def whole(affine: np.ndarray, shape: tuple[int, ...]) -> Frame:
    return frame_of(affine, shape, (0, 0, 0), tuple(n - 1 for n in shape))


def voxels_in_unit_order(frame: Frame) -> np.ndarray:
    """The box's voxels (i, j, k), in the order in which the cube's array holds them."""
    ijk = np.stack(np.meshgrid(*map(np.arange, frame.shape), indexing="ij"), -1)[frame.box]
    return np.stack([frame.to_unit_order(ijk[..., axis]).ravel() for axis in range(3)], -1).astype(float)


def test_all_48_orientations_are_swept():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("oblique", [False, True])
def test_the_same_anatomy_in_any_orientation_gives_the_same_cube_and_comes_back_exactly(oblique):
    expected = np.arange(np.prod(SHAPE_RAS)).reshape(SHAPE_RAS).transpose(2, 1, 0)
    for orientation in ORIENTATIONS:
        array, affine = stored_as(orientation, oblique)
        frame = whole(affine, array.shape)
        cube = frame.to_unit_order(array)
        assert np.array_equal(cube, expected), orientation
        assert frame.unit_shape == SHAPE_RAS[::-1], orientation
        assert np.array_equal(frame.from_unit_order(cube), array), orientation


@pytest.mark.parametrize("oblique", [False, True])
def test_a_voxel_of_the_cube_lies_in_the_world_where_its_file_puts_it(oblique):
    for orientation in ORIENTATIONS:
        array, affine = stored_as(orientation, oblique)
        high = tuple(n - 1 - (axis == 1) for axis, n in enumerate(array.shape))
        frame = frame_of(affine, array.shape, (1, 0, 2), high)
        cube = voxels_in_unit_order(frame)
        unit = index_to_unit(np.argwhere(np.ones(frame.unit_shape, bool)), frame.unit_shape)
        assert len(unit) == np.prod(frame.box_shape)
        world = cube @ affine[:3, :3].T + affine[:3, 3]
        np.testing.assert_allclose(frame.unit_to_world(unit), world, atol=1e-9, err_msg=orientation)
        np.testing.assert_allclose(frame.ijk_to_unit(cube), unit, atol=1e-12, err_msg=orientation)
        np.testing.assert_allclose(frame.unit_to_ijk(unit), cube, atol=1e-12, err_msg=orientation)


def test_unit_x_y_z_point_to_patient_right_anterior_superior():
    for orientation in ORIENTATIONS:
        array, affine = stored_as(orientation, oblique=True)
        frame = whole(affine, array.shape)
        steps = frame.unit_to_world(np.eye(3)) - frame.unit_to_world(np.zeros((3, 3)))
        assert np.array_equal(np.abs(steps).argmax(axis=1), [0, 1, 2]), orientation
        assert (np.diag(steps) > 0).all(), orientation
        # half the extent from first to last voxel centre
        half = (np.array(SHAPE_RAS) - 1) * SPACING_RAS / 2
        np.testing.assert_allclose(np.linalg.norm(steps, axis=1), half, rtol=1e-9, err_msg=orientation)


def test_the_position_in_the_array_counts_from_the_last_axis():
    # d = 2 of 0..2 is z = 1, h = 1 of 0..4 is y = -0.5, w is the only one
    assert np.array_equal(index_to_unit(np.array([[2, 1, 0]]), (3, 5, 1)), [[0.0, -0.5, 1.0]])
    assert np.array_equal(unit_to_index(np.array([[0.0, -0.5, 1.0]]), (3, 5, 1)), [[2.0, 1.0, 0.0]])


def test_array_positions_and_unit_points_are_inverse_of_each_other():
    points = np.random.default_rng(3).uniform(-1, 1, (101, 3))
    np.testing.assert_allclose(index_to_unit(unit_to_index(points, (3, 7, 13)), (3, 7, 13)), points, atol=1e-12)


def test_the_ends_of_the_cube_are_the_centres_of_the_first_and_last_voxel_of_the_box():
    # axes stored as Left, Posterior, Superior: unit x falls where i rises
    frame = frame_of(np.diag([-2.0, -3.0, 5.0, 1.0]), (17, 19, 23), (2, 3, 5), (6, 13, 12))
    ends = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0], [0.5, 0.0, 0.0]])
    assert np.array_equal(frame.unit_to_ijk(ends), [[6, 13, 5], [2, 3, 12], [3, 8, 8.5]])
    assert np.array_equal(frame.unit_to_world(ends), [[-12, -39, 25], [-4, -9, 60], [-6, -24, 42.5]])
    assert np.array_equal(frame.spacing_mm, [2, 3, 5])
    assert frame.box_shape == (5, 11, 8)
    assert frame.unit_shape == (8, 11, 5)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_along_an_axis_of_one_voxel_every_point_lies_on_that_voxel(sign):
    frame = frame_of(np.diag([2.0, 3.0, sign * 5.0, 1.0]), (5, 7, 11), (0, 1, 4), (4, 3, 4))
    points = np.array([[-1.0, 0.0, -1.0], [1.0, 1.0, 0.0], [0.0, -1.0, 1.0]])
    assert np.array_equal(frame.unit_to_ijk(points), [[0, 2, 4], [4, 3, 4], [2, 1, 4]])
    assert np.array_equal(frame.ijk_to_unit(np.array([[4.0, 1.0, 4.0]])), [[1, -1, 0]])


def test_an_empty_box_has_no_voxel():
    frame = frame_of(np.eye(4), (5, 7, 11), (0, 0, 0), (-1, -1, -1))
    assert frame.empty
    assert np.ones(frame.shape)[frame.box].size == 0
    assert not frame_of(np.eye(4), (5, 7, 11), (4, 6, 10), (4, 6, 10)).empty


def test_a_frame_survives_json():
    frame = frame_of(ras_affine(oblique=True), (5, 7, 11), (1, 2, 3), (4, 5, 6))
    back = Frame.from_dict(json.loads(json.dumps(frame.to_dict())))
    assert np.array_equal(back.affine, frame.affine)
    assert (back.shape, back.low_ijk, back.high_ijk) == (frame.shape, frame.low_ijk, frame.high_ijk)


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SLA", "PIR"])
def test_the_axes_of_a_frames_own_grid_are_its_voxels_in_unit_order(orientation):
    array, affine = stored_as(orientation, oblique=True)
    frame = whole(affine, array.shape)
    for axis, count in zip(frame.unit_axes_of(frame), SHAPE_RAS[::-1], strict=True):
        np.testing.assert_allclose(axis, np.linspace(-1, 1, count), atol=1e-12)


def test_a_regridding_covers_the_field_of_view_and_its_box_the_boxs_voxels():
    # along i 7 voxels of 2 mm reach from -1 to 13 mm: 10 of 1.5 mm with the same middle, 6 mm, from -1.5 to 13.5 mm;
    # the box's voxels 1 .. 4 reach from 1 to 9 mm, in which the new ones 2 .. 6, at 2.25 .. 8.25 mm, lie
    frame = frame_of(np.diag([2.0, 1.5, 3.0, 1.0]), (7, 5, 11), (1, 0, 2), (4, 3, 5))
    fine = frame.regridded(1.5)
    assert np.array_equal(fine.spacing_mm, [1.5, 1.5, 1.5])
    assert fine.shape == (10, 5, 22)
    assert np.array_equal(fine.affine[:3, 3], [-0.75, 0, -0.75])
    assert (fine.low_ijk, fine.high_ijk) == ((2, 0, 4), (6, 3, 11))
    # the box's outermost centres lie at 2 and 8 mm: what is beyond them has their coordinate
    np.testing.assert_allclose(frame.unit_axes_of(fine)[2], [-2.75 / 3, -1.25 / 3, 0.25 / 3, 1.75 / 3, 1])
    np.testing.assert_allclose(frame.unit_axes_of(fine)[0], np.clip((np.arange(5.25, 16, 1.5) - 10.5) / 4.5, -1, 1))


@pytest.mark.parametrize("orientation", ORIENTATIONS[::5])
def test_a_regridded_voxel_lies_where_the_first_frame_is_asked(orientation):
    array, affine = stored_as(orientation, oblique=True)
    frame = frame_of(affine, array.shape, (1, 1, 1), tuple(n - 1 for n in array.shape))
    fine = frame.regridded(0.7)
    z, y, x = (axis.ravel() for axis in np.meshgrid(*frame.unit_axes_of(fine), indexing="ij"))
    asked_at = frame.unit_to_ijk(np.stack([x, y, z], 1))
    world = voxels_in_unit_order(fine) @ fine.affine[:3, :3].T + fine.affine[:3, 3]
    ijk = (world - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    assert (np.abs(ijk - asked_at) <= 0.5 + 1e-9).all()
    np.testing.assert_allclose(asked_at, np.clip(ijk, frame.low_ijk, frame.high_ijk), atol=1e-9)


@pytest.mark.parametrize("spacing_mm", [0.4, 0.7, 1.5, 2.0])
def test_the_same_map_in_any_voxel_order_has_the_same_regridding(spacing_mm):
    found = {}
    for orientation in ORIENTATIONS:
        array, affine = stored_as(orientation, oblique=True)
        fine = whole(affine, array.shape).regridded(spacing_mm)
        axes = whole(affine, array.shape).unit_axes_of(fine)
        corners = fine.unit_to_world(np.array([[-1.0, -1, -1], [1, 1, 1]]))
        found[orientation] = (*axes, corners)
        over = np.array(fine.shape) * spacing_mm - np.array(array.shape) * np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
        assert (over > -1e-9).all() and (over < spacing_mm).all()
    for orientation, (*axes, corners) in found.items():
        np.testing.assert_allclose(corners, found["RAS"][3], atol=1e-9, err_msg=orientation)
        for one, other in zip(axes, found["RAS"][:3], strict=True):
            assert np.array_equal(one, other), orientation


@pytest.mark.parametrize("edge", [0.3, 1.0, 0.7])
def test_at_its_own_spacing_a_grid_stays_the_very_same(edge):
    affine = ras_affine(oblique=True) @ np.diag([*(np.float32(edge) / np.array(SPACING_RAS)), 1.0])
    header = header_of_affine(affine, (5, 7, 11))
    frame = Frame(affine, (5, 7, 11), (1, 0, 2), (3, 6, 9), header)
    assert frame.regridded(edge) is frame
    assert frame.regridded(edge / 2).header is None


def test_along_a_box_of_one_voxel_every_new_voxel_is_asked_at_its_middle():
    frame = frame_of(np.diag([2.0, 3.0, 5.0, 1.0]), (5, 7, 11), (0, 1, 4), (4, 3, 4))
    fine = frame.regridded(1.0)
    assert fine.box_shape == (10, 9, 5)
    assert np.array_equal(frame.unit_axes_of(fine)[0], np.zeros(5))


def test_a_frame_keeps_its_header_through_json_and_an_old_one_has_none():
    header = header_of_affine(ras_affine(oblique=True), (5, 7, 11))
    frame = Frame(ras_affine(oblique=True), (5, 7, 11), (1, 2, 3), (4, 5, 6), header)
    assert Frame.from_dict(json.loads(json.dumps(frame.to_dict()))).header == header
    old = {key: value for key, value in frame.to_dict().items() if key != "header"}
    assert Frame.from_dict(old).header is None


@pytest.mark.parametrize("oblique", [False, True])
def test_a_volume_of_the_same_world_comes_into_another_voxel_order_value_by_value(oblique):
    straight, affine = stored_as("RAS", oblique)
    for orientation in ORIENTATIONS:
        array, other = stored_as(orientation, oblique)
        order = voxel_order(array.shape, other, straight.shape, affine)
        assert order is not None and np.array_equal(order.of(array), straight), orientation
    assert voxel_order(straight.shape, affine, straight.shape, affine).of(straight) is straight


def test_a_grid_of_another_size_place_or_angle_is_none_in_any_order():
    array, affine = stored_as("LPS", oblique=True)
    target = stored_as("RAS", oblique=True)[1]
    shifted, larger, turned = affine.copy(), affine @ np.diag([1, 1, 1.1, 1]), rotation(3, 0, 0) @ affine
    shifted[0, 3] += 0.1
    for other in (shifted, larger, turned):
        assert voxel_order(array.shape, other, SHAPE_RAS, target) is None
    assert voxel_order((5, 7, 12), affine, SHAPE_RAS, target) is None
    assert voxel_order((7, 5, 11), affine, SHAPE_RAS, target) is None


def test_an_empty_box_stays_empty_on_another_grid():
    assert frame_of(np.eye(4), (5, 7, 11), (0, 0, 0), (-1, -1, -1)).regridded(0.5).empty


@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_in_ras_order_a_volume_is_the_same_however_it_is_stored(orientation: str, oblique: bool) -> None:
    wanted = np.arange(np.prod(SHAPE_RAS), dtype=np.int32).reshape(SHAPE_RAS)
    volume, affine = stored_as(orientation, oblique)
    turned, turned_affine = to_ras_order(volume, affine)
    assert (turned == wanted).all()
    assert np.allclose(turned_affine, ras_affine(oblique))
    assert (from_ras_order(turned, affine) == volume).all()
    channels = np.stack([turned, 2 * turned])
    assert (from_ras_order(channels, affine) == np.stack([volume, 2 * volume])).all()
    assert (to_ras_order(np.stack([volume, 2 * volume]), affine)[0] == channels).all()


def test_what_is_in_ras_order_comes_back_as_it_is() -> None:
    volume, affine = np.zeros(SHAPE_RAS), ras_affine(True)
    turned, turned_affine = to_ras_order(volume, affine)
    assert turned is volume and turned_affine is affine
