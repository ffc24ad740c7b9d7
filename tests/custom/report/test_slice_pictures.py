"""The slices tell where the repair changed most, upright, in true proportions, whatever the file's axes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.report.slice_pictures import ADDED, REMOVED, RENAMED, STAGE, informative_planes, painted, png, slice_picture

MM = np.diag([1.0, 1.0, 1.0, 1.0])


def chamber() -> np.ndarray:
    labels = np.zeros((23, 29, 31), dtype=np.uint8)
    labels[4:19, 5:24, 6:26] = 3
    return labels


def seen(picture: np.ndarray, color: tuple[float, float, float]) -> int:
    return int(np.isclose(picture, color).all(axis=-1).sum())


def test_a_lost_vessel_outweighs_a_chamber_that_shifted() -> None:
    before = chamber()
    before[6:12, 2, 20] = 9  # six voxels, all that there is of it
    after = chamber()
    after[:, :, 12] = 0  # 285 voxels of 5700
    axial, coronal, _ = informative_planes(before, after, MM)
    assert axial.place == "z = 20 mm"  # six of six outweigh 285 of 5700
    assert (axial.before == 9).sum() == 6 and not (axial.after == 9).any()
    # The vessel's own coronal slice shows next to nothing, so that a fuller one is chosen.
    assert (coronal.before == 3).sum() > 200


def test_without_a_change_the_fullest_slice_is_shown_and_the_middle_one_of_nothing() -> None:
    labels = chamber()
    labels[4:19, 5:24, 14] = 2
    labels[2:4, 5:24, 14] = 2
    axial, _, _ = informative_planes(labels, labels, MM)
    assert axial.place == "z = 14 mm"
    nothing = np.zeros_like(labels)
    places = [plane.place for plane in informative_planes(nothing, nothing, MM)]
    assert places == ["z = 15 mm", "y = 14 mm", "x = 11 mm"]
    assert seen(slice_picture(nothing, nothing, MM, PUBLIC_CARDIAC_CT, 60), STAGE) == 196 * 196


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1), (-1, -1, -1)])
def test_the_right_is_at_the_left_and_the_front_at_the_top(axes: tuple[int, ...], flips: tuple[int, ...]) -> None:
    labels = chamber()
    labels[18, 23, 25] = 9  # right, front and head corner
    turn = np.zeros((4, 4))
    turn[3, 3] = 1
    for new, (old, flip) in enumerate(zip(axes, flips, strict=True)):
        turn[old, new] = flip
        turn[old, 3] = 0 if flip > 0 else labels.shape[old] - 1
    stored = labels.transpose(axes)[tuple(slice(None, None, flip) for flip in flips)]
    gone = stored.copy()
    gone[stored == 9] = 3
    planes = informative_planes(stored, gone, turn)
    assert [plane.name for plane in planes] == ["axial", "coronal", "sagittal"]
    assert [plane.place for plane in planes] == ["z = 25 mm", "y = 23 mm", "x = 18 mm"]
    for plane in planes:
        rows, columns = np.nonzero(plane.before)
        assert plane.before[rows.min(), columns.min()] == 9
        assert (plane.before == 9).sum() == 1


def test_flat_voxels_are_drawn_in_true_proportions() -> None:
    labels = np.zeros((23, 29, 5), dtype=np.uint8)
    labels[:, :, :] = 1
    _, coronal, _ = informative_planes(labels, labels, np.diag([1.0, 1.0, 4.0, 1.0]))
    assert coronal.pixel_mm == (4.0, 1.0)
    picture = painted(coronal, PUBLIC_CARDIAC_CT, side=230)[0]
    assert picture.shape == (200, 230, 3)  # 20 mm by 23 mm


def test_what_went_came_and_was_renamed_has_its_colour() -> None:
    before, after = chamber(), chamber()
    after[6:9, 8:11, 7:25] = 0
    after[19:21, 8:13, 7:25] = 3
    after[12:16, 15:19, 7:25] = 2
    axial = informative_planes(before, after, MM)[0]
    assert axial.before.shape == (29, 23)  # the window reaches the grid's border
    one, other, change = painted(axial, PUBLIC_CARDIAC_CT, side=290)
    assert one.shape == other.shape == change.shape == (290, 230, 3)
    counts = [seen(change, color) for color in (REMOVED, ADDED, RENAMED)]
    assert counts == [900, 1000, 1600]  # 9, 10 and 16 voxels of 100 pixels
    edge_of_lv = np.array(PUBLIC_CARDIAC_CT["LV"].color) / 255
    assert seen(one, tuple(edge_of_lv)) == 2 * (150 + 190) - 4  # one pixel around 15 by 19 voxels


def test_a_picture_comes_back_from_its_png_and_equal_pictures_are_equal_files() -> None:
    before, after = chamber(), chamber()
    after[6:9] = 0
    picture = slice_picture(before, after, MM, PUBLIC_CARDIAC_CT, side=60)
    assert picture.shape == (196, 196, 3)
    np.testing.assert_allclose(imread(io.BytesIO(png(picture)), format="png")[..., :3], picture, atol=0.5 / 255 + 1e-6)
    assert png(picture) == png(picture.copy())
