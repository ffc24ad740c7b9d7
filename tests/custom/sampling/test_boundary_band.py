"""Where a field is asked in training: in the band where it should, and answered by the mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import Compose

from custom.sampling.boundary_band import BoundaryBandd, RandBandPointsd, band_index, bias_ratio, sample_points
from custom.space import index_to_unit, unit_to_index
from custom.volumes.morphology import boundary_band

SHAPE = (23, 31, 41)


def bar() -> np.ndarray:
    """A lopsided bar far off the diagonal: any two axes swapped or turned round, it lies elsewhere."""
    mask = np.zeros(SHAPE, bool)
    mask[3:11, 16:29, 4:37] = True
    return mask


def as_bytes(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.uint8) * 255


def nearest_voxels(points_unit: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.rint(unit_to_index(points_unit.astype(np.float64), SHAPE)).astype(int).T)


def generator() -> np.random.Generator:
    return np.random.default_rng(17)


@pytest.mark.parametrize(
    ("epoch", "ratio"), [(1, 0.5), (100, 0.5), (101, 0.3), (200, 0.3), (201, 0.1), (300, 0.1), (999, 0.1)]
)
def test_the_share_of_band_points_falls_after_epochs_100_and_200(epoch, ratio):
    assert bias_ratio(epoch, (0.5, 0.3, 0.1), (100, 200)) == ratio


def test_one_share_and_no_milestone_holds_for_all_epochs():
    assert bias_ratio(1, (0.0,), ()) == bias_ratio(1000, (0.0,), ()) == 0.0


@pytest.mark.parametrize("full", [np.uint8(255), np.float32(1), np.float64(0.5), np.uint8(128)])
def test_the_band_of_one_voxel_is_its_ball_however_occupancy_is_stored(full):
    occupancy = np.zeros((5, 7, 11), type(full))
    occupancy[2, 3, 5] = full
    # flat position 2 x 77 + 3 x 11 + 5 and its six neighbours
    assert band_index(occupancy, radius=1).tolist() == [115, 181, 191, 192, 193, 203, 269]


@pytest.mark.parametrize("part", [np.uint8(127), np.float32(0.49)])
def test_a_voxel_less_than_half_inside_has_no_band(part):
    occupancy = np.zeros((5, 7, 11), type(part))
    occupancy[2, 3, 5] = part
    assert band_index(occupancy, radius=1).size == 0


def test_the_band_of_bytes_is_the_band_of_the_mask():
    band = band_index(as_bytes(bar()), radius=2)
    assert np.array_equal(band, np.flatnonzero(boundary_band(bar(), 2)))
    assert np.array_equal(band, band_index(bar().astype(np.float32), radius=2))


@pytest.mark.parametrize("value", [0, 255])
def test_empty_and_full_cubes_have_no_band_and_all_points_are_uniform(value):
    cube = np.full(SHAPE, value, np.uint8)
    band = band_index(cube)
    assert band.size == 0
    drawn = sample_points(cube, band, 997, 0.5, generator())
    assert drawn.points_unit.shape == (997, 3)
    assert (drawn.occupancy == value / 255).all()
    assert np.abs(drawn.points_unit.mean(axis=0)).max() < 0.1


def test_band_points_lie_in_the_band_and_about_half_of_their_voxels_inside():
    cube = as_bytes(bar())
    drawn = sample_points(cube, band_index(cube), 4999, 1.0, generator())
    voxels = nearest_voxels(drawn.points_unit)
    assert boundary_band(bar(), 2)[voxels].mean() > 0.99
    assert 0.35 < bar()[voxels].mean() < 0.65
    # x and z swapped, as the predecessor had them, they would not
    assert boundary_band(bar(), 2)[nearest_voxels(drawn.points_unit[:, ::-1])].mean() < 0.5


def test_every_part_of_the_band_is_asked():
    cube = as_bytes(bar())
    band = boundary_band(bar(), 2)
    drawn = sample_points(cube, band_index(cube), 20 * int(band.sum()), 1.0, generator())
    asked = np.zeros(SHAPE, bool)
    asked[nearest_voxels(drawn.points_unit)] = True
    assert asked[band].mean() > 0.999


def test_band_points_fill_their_voxels_instead_of_sitting_on_the_centres():
    cube = as_bytes(bar())
    drawn = sample_points(cube, band_index(cube), 4999, 1.0, generator())
    at = unit_to_index(drawn.points_unit.astype(np.float64), SHAPE)
    off = at - np.rint(at)
    assert (np.abs(off).max(axis=1) < 0.05).mean() < 0.01
    # uniform over one voxel: standard deviation 1 / sqrt(12) on every axis
    np.testing.assert_allclose(off.std(axis=0), 12**-0.5, rtol=0.05)


@pytest.mark.parametrize(("ratio", "in_band"), [(0.0, 0), (0.1, 100), (0.3, 300), (0.5, 500)])
def test_the_share_of_band_points_is_exact_and_the_rest_is_uniform(ratio, in_band):
    cube = as_bytes(bar())
    drawn = sample_points(cube, band_index(cube), 1000, ratio, generator())
    band = boundary_band(bar(), 2)
    assert band[nearest_voxels(drawn.points_unit[:in_band])].mean() > 0.99 if in_band else True
    rest = drawn.points_unit[in_band:]
    assert len(rest) == 1000 - in_band
    assert abs(band[nearest_voxels(rest)].mean() - band.mean()) < 0.06
    octants = np.bincount((rest > 0) @ np.array([1, 2, 4]), minlength=8)
    assert octants.min() > len(rest) / 8 * 0.6


def test_no_point_leaves_the_cube_although_the_band_reaches_its_edge():
    mask = np.zeros(SHAPE, bool)
    mask[:4, 27:, :] = True
    drawn = sample_points(as_bytes(mask), band_index(as_bytes(mask)), 4999, 1.0, generator())
    assert np.abs(drawn.points_unit).max() == 1.0


def test_between_two_centres_the_answer_is_trilinear():
    corner = np.zeros((2, 2, 2), np.uint8)
    corner[1, 0, 1] = 255  # z = 1, y = -1, x = 1
    drawn = sample_points(corner, band_index(corner), 211, 0.0, generator())
    x, y, z = drawn.points_unit.astype(np.float64).T
    np.testing.assert_allclose(drawn.occupancy, (1 + x) / 2 * (1 - y) / 2 * (1 + z) / 2, atol=1e-6)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_every_axis_answers_for_itself(ratio):
    d, h, w = np.meshgrid(*(np.linspace(0, 1, n) for n in (3, 5, 11)), indexing="ij")
    cube = (0.6 * d + 0.3 * h + 0.1 * w).astype(np.float32)
    drawn = sample_points(cube, band_index(cube, 1), 211, ratio, generator())
    x, y, z = (drawn.points_unit.astype(np.float64).T + 1) / 2
    np.testing.assert_allclose(drawn.occupancy, 0.6 * z + 0.3 * y + 0.1 * x, atol=1e-6)
    assert drawn.occupancy.dtype == drawn.points_unit.dtype == np.float32


def test_the_answer_at_a_centre_is_the_voxel():
    cube = np.random.default_rng(1).integers(0, 256, (3, 5, 7)).astype(np.uint8)

    class AtCentres(np.random.Generator):
        def uniform(self, low: float = 0, high: float = 1, size: Any = None) -> Any:
            return index_to_unit(np.argwhere(np.ones((3, 5, 7))), (3, 5, 7)) if low == -1 else np.zeros(size)

    drawn = sample_points(cube, np.empty(0, np.int32), 105, 0.5, AtCentres(np.random.PCG64(0)))
    np.testing.assert_allclose(drawn.occupancy, cube.ravel() / 255, atol=1e-6)


def item(index: int) -> dict[str, Any]:
    cube = torch.from_numpy(as_bytes(np.roll(bar(), index, axis=2)))[None]
    return {"label": cube, "label_frame": {}, "case": f"p{index}", "index": index}


def drawn_by(seed: int, epoch: int, indices: list[int]) -> dict[int, np.ndarray]:
    draw = RandBandPointsd("label", 101, seed=seed)
    draw.set_epoch(epoch)
    return {index: draw(BoundaryBandd("label")(item(index)))["image"].numpy() for index in indices}


def test_the_points_of_a_case_do_not_depend_on_which_were_drawn_before():
    one, other = drawn_by(5, 7, [0, 1, 2, 2]), drawn_by(5, 7, [2, 0])
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[2], other[2])


def test_the_points_do_not_depend_on_the_random_state_a_worker_sets():
    draw = RandBandPointsd("label", 101, seed=5)
    draw.set_random_state(seed=99)
    np.random.seed(3)
    assert np.array_equal(draw(BoundaryBandd("label")(item(1)))["image"], drawn_by(5, 1, [1])[1])


@pytest.mark.parametrize(("seed", "epoch", "index"), [(6, 7, 1), (5, 8, 1), (5, 7, 2)])
def test_another_seed_epoch_or_case_draws_other_points(seed, epoch, index):
    # the same band in both, so that only the draw differs
    assert (drawn_by(seed, epoch, [index])[index][:, 60:] != drawn_by(5, 7, [1])[1][:, 60:]).all()


def test_the_transforms_turn_a_byte_cube_into_points_of_which_the_curriculums_share_is_in_the_band():
    draw = RandBandPointsd("label", 1000, seed=3)
    both = Compose([BoundaryBandd("label", radius=2), draw])
    band = boundary_band(bar(), 2)
    for epoch, in_band in ((1, 500), (150, 300), (250, 100)):
        draw.set_epoch(epoch)
        result = both(item(0))
        assert set(result) == {"image", "label", "case", "index"}
        assert result["image"].shape == (3, 1000)
        assert result["label"].shape == (1, 1000)
        hits = band[nearest_voxels(result["image"].numpy().T)]
        assert hits[:in_band].mean() > 0.99
        assert hits[in_band:].mean() < 0.5


def test_image_and_label_belong_together():
    drawn = RandBandPointsd("label", 1000, seed=3)(BoundaryBandd("label")(item(0)))
    inside = bar()[nearest_voxels(drawn["image"].numpy().T)]
    label = drawn["label"][0].numpy()
    # of a box, trilinearly: at least 1/8 up to the corner of a voxel inside, at most 1/2 from the face on outside
    assert 50 < inside.sum() < 950
    assert label[inside].min() >= 0.125 - 1e-6
    assert label[~inside].max() <= 0.5 + 1e-6
