"""Every resampling of the project gives the mirrored result of a mirrored input, and the turned one of a turned one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy import ndimage

from custom.models.near.evaluate_grid import evaluate
from custom.near.output_grid import OutputGrids
from custom.near.teachers import in_box
from custom.phantoms.ct_images import distance_from_heart_mm
from custom.slices.nearest_label import nearest_labels, on_halves
from custom.slices.scan_cube import make_cube
from custom.space import Frame
from custom.volumes.heart_frame import estimated_frame, expected_box
from custom.volumes.resampling import resize
from custom.volumes.roi import find_roi, paste

SHAPE = (17, 23, 13)
SPACING = (1.5, 1.5, 0.75)

Turn = tuple[tuple[int, int, int], tuple[int, ...]]
TURNS: list[Turn] = [((0, 1, 2), (axis,)) for axis in range(3)]
TURNS += [(order, (0, 2)) for order in permutations(range(3))]


def turned(array: np.ndarray, turn: Turn) -> np.ndarray:
    order, flips = turn
    return np.flip(array, flips).transpose(order)


def moved(values: tuple[float, ...], turn: Turn) -> tuple[float, ...]:
    return tuple(values[axis] for axis in turn[0])


def labels(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Blocks of several structures up to the faces, and single voxels."""
    rng = np.random.default_rng(3)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 1.5)
    found = np.digitize(smooth, np.quantile(smooth, [0.4, 0.6, 0.75, 0.9])).astype(np.uint8)
    found[tuple(rng.integers(0, size, 40) for size in shape)] = 7
    return found


def cube_labels(array: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """At 3 mm from 1.5 mm and 0.75 mm: every sample lies midway between voxels."""
    affine = np.diag([*spacing, 1.0])
    return make_cube(np.zeros(array.shape, np.float32), array, affine, size=16, spacing_mm=3.0).labels


def cube_image(array: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(np.asarray(array.shape) - 1) / 2 * spacing
    return make_cube(array.astype(np.float32) * 100, array, affine, size=16, spacing_mm=3.0).image_hu


def resized(fixed: tuple[int, int, int]) -> Callable[[np.ndarray, tuple[float, ...]], np.ndarray]:
    def result(array: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
        target = {size: to for size, to in zip(SHAPE, fixed, strict=True)}
        return resize(array.astype(np.float32), [target[size] for size in array.shape])

    return result


def boxed(array: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    roi = find_roi(array == 4, np.diag([*spacing, 1.0]), margin=2)
    return paste(roi.mask.astype(np.uint8), roi.frame) + paste(np.ones(roi.frame.box_shape, np.uint8), roi.frame)


def usual_box(array: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Where two structures place the box of a heart whose usual places are symmetric."""
    usual = {1: np.array([[-0.5] * 3, [0.5] * 3]), 2: np.array([[-0.75] * 3, [0.75] * 3])}
    frame = estimated_frame(array, np.diag([*spacing, 1.0]), usual)
    low, high = (np.asarray(corner) - (np.asarray(array.shape) - 1) / 2 for corner in (frame.low_ijk, frame.high_ijk))
    wide = np.asarray(array.shape) + 40
    ijk = np.moveaxis(np.indices(wide), 0, -1) - (wide - 1) / 2
    return ((ijk >= low) & (ijk <= high)).all(axis=-1)


def _field(array: np.ndarray, points: torch.Tensor) -> torch.Tensor:
    """A field that the array is: linear between its voxels, which span the unit cube."""
    ijk = (points.double().numpy()[:, ::-1] + 1) / 2 * (np.asarray(array.shape) - 1)
    smooth = ndimage.gaussian_filter(array.astype(np.float64), 1.0)
    return torch.from_numpy(20 * ndimage.map_coordinates(smooth, ijk.T, order=1, mode="nearest") - 40).float()


def dense(array: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    axes = [torch.linspace(-1, 1, 2 * size, dtype=torch.float64) for size in array.shape]
    return evaluate(lambda points: _field(array, points), axes, stride=3, guard=0.4).numpy()


def regridded(array: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """The field of an array on a grid of 1 mm over it."""
    i, j, k = array.shape
    frame = Frame(np.diag([*spacing, 1.0]), (i, j, k), (2, 2, 2), (i - 3, j - 3, k - 3))
    fine = frame.regridded(1.0)
    z, y, x = np.meshgrid(*frame.unit_axes_of(fine), indexing="ij")
    inner = array[2:-2, 2:-2, 2:-2].transpose(2, 1, 0)
    answers = _field(inner, torch.from_numpy(np.stack([x.ravel(), y.ravel(), z.ravel()], 1)))
    return paste(fine.from_unit_order(answers.numpy().reshape(z.shape)), fine)


def other_grid(array: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Which voxels of a grid with the same middle lie in the box of a heart."""
    i, j, k = array.shape
    frame = Frame(np.diag([*spacing, 1.0]), (i, j, k), (2, 2, 2), (i - 3, j - 3, k - 3))
    middle_mm = (np.asarray(array.shape) - 1) / 2 * spacing
    ijk = ((np.moveaxis(np.indices((24, 24, 24)), 0, -1).reshape(-1, 3) - 11.5) * 0.75 + middle_mm) / spacing
    return in_box(frame, ijk).reshape(24, 24, 24)


def phantom_fat(array: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    return distance_from_heart_mm(array * (array > 3), 1.0)


RESAMPLINGS: dict[str, Callable[[np.ndarray, tuple[float, ...]], np.ndarray]] = {
    "labels of a cube": cube_labels,
    "the image of a cube": cube_image,
    "a grid made finer": resized((29, 31, 19)),
    "a grid made coarser": resized((8, 11, 5)),
    "a grid made coarser and finer": resized((6, 41, 13)),
    "the box of a structure": boxed,
    "the estimated box of a heart": usual_box,
    "a dense evaluation with a stride": dense,
    "a regridding": regridded,
    "what lies in a box": other_grid,
    "the fat around a phantom": phantom_fat,
}


@pytest.mark.parametrize("turn", TURNS, ids=str)
@pytest.mark.parametrize("name", RESAMPLINGS)
def test_a_turned_input_gives_the_turned_result(name: str, turn: Turn) -> None:
    array = labels()
    here = RESAMPLINGS[name](array, SPACING)
    there = RESAMPLINGS[name](np.ascontiguousarray(turned(array, turn)), moved(SPACING, turn))
    wanted = turned(here, turn)
    assert here.any() and not (here == here.ravel()[0]).all()
    if here.dtype.kind == "f":
        np.testing.assert_allclose(there, wanted, rtol=1e-5, atol=1e-4)
    else:
        np.testing.assert_array_equal(there, wanted)


@pytest.mark.parametrize("edge", [0.75, 1.5])
def test_no_border_is_shifted_by_a_cube_of_twice_the_spacing(edge: float) -> None:
    grid = np.zeros((32, 32, 32), np.uint8)
    grid[7:20, 5:24, 9:26] = 1
    affine = np.diag([edge, edge, edge, 1.0])
    cube = make_cube(np.zeros(grid.shape, np.float32), grid, affine, size=16, spacing_mm=2 * edge)
    backwards = make_cube(
        np.zeros(grid.shape, np.float32), np.ascontiguousarray(grid[::-1, ::-1, ::-1]), affine, 16, 2 * edge
    )
    assert np.array_equal(cube.labels, backwards.labels[::-1, ::-1, ::-1])
    centres = [
        np.argwhere(one).mean(axis=0) @ matrix[:3, :3].T + matrix[:3, 3]
        for one, matrix in ((grid, affine), (cube.labels, cube.affine))
    ]
    assert np.abs(centres[0] - centres[1]).max() <= 0.5 * edge
    even = np.zeros((32, 32, 32), np.uint8)
    even[8:20, 6:24, 10:26] = 1  # both borders of every axis lie between samples
    cube = make_cube(np.zeros(even.shape, np.float32), even, affine, size=16, spacing_mm=2 * edge)
    assert np.array_equal(cube.labels, even[::2, ::2, ::2])


def test_a_place_midway_has_the_label_of_most_then_of_most_around_then_the_lower() -> None:
    def at(values: list[int], place: float) -> int:
        line = np.asarray(values, np.uint8).reshape(-1, 1, 1)
        return int(nearest_labels(line, on_halves(np.array([[place], [0.0], [0.0]])))[0])

    assert at([0, 5, 5, 0], 1.5) == 5
    assert at([2, 2, 5, 9], 1.5) == 2  # one voxel each; of the four around two have 2
    assert at([9, 2, 5, 5], 1.5) == 5
    assert at([9, 5, 2, 8], 1.5) == 2  # one voxel each, and none more around
    assert at([5, 0, 5, 0], 1.5) == 0
    assert at([4, 7], -0.5) == 4 and at([4, 7], 1.5) == 7  # on the faces there is one voxel alone
    assert at([4, 7], 0.49) == 4 and at([4, 7], 0.51) == 7
    square = np.array([[1, 2], [2, 3]], np.uint8)[:, :, None]
    assert nearest_labels(square, np.array([[0.5], [0.5], [0.0]])).tolist() == [2]


def test_both_faces_of_a_scan_are_in_it() -> None:
    grid = np.full((8, 8, 8), 3, np.uint8)
    cube = make_cube(np.full(grid.shape, 40, np.float32), grid, np.eye(4), size=9, spacing_mm=1.0)
    assert (cube.labels == 3).all() and (cube.image_hu == 40).all()


def test_halves_of_an_estimated_box_go_outwards_on_both_sides() -> None:
    seen = [(np.array([2.0, 2, 2]), np.array([7.0, 7, 7]))]
    usual = [np.array([[-0.5] * 3, [0.5] * 3])]  # a line from -0.5 to 9.5
    low, high = expected_box(seen, usual)
    assert (low.tolist(), high.tolist()) == ([-1] * 3, [10] * 3)


@pytest.mark.parametrize("spacing_mm", [None, 0.9])
def test_a_canvas_covers_the_same_place_in_any_voxel_order(spacing_mm: float | None) -> None:
    affine = np.diag([2.0, 1.5, 3.0, 1.0])
    flip = np.diag([-1.0, 1, -1, 1])
    flip[:3, 3] = 30, 0, 22
    one = OutputGrids([Frame(affine, (31, 29, 23), (3, 5, 2), (27, 23, 19))], spacing_mm)
    other = OutputGrids([Frame(affine @ flip, (31, 29, 23), (3, 5, 3), (27, 23, 20))], spacing_mm)
    for here, there in zip(one.axes(0), other.axes(0), strict=True):
        assert torch.equal(here, there)
