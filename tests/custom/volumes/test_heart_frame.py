"""Where a heart's box lies when part of the heart is missing; worked by hand on small volumes."""

from __future__ import annotations

import numpy as np
import pytest

from custom.space import Frame
from custom.volumes.heart_frame import clipped, cut_out, estimated_frame, expected_box, extents_of, inside_of, usual_gap

SHAPE = (11, 13, 17)
RAS = np.diag([1.0, 1.0, 1.0, 1.0])
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def pair(low: list[float], high: list[float]) -> np.ndarray:
    return np.asarray([low, high])


def test_the_extent_of_a_structure_is_its_first_and_last_voxel_without_far_crumbs() -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[2:5, 3:9, 4:11] = 3
    labels[10, 12, 16] = 3  # one voxel of noise
    labels[0, 0, 0] = 9
    found = extents_of(labels, [1, 3, 9])
    assert sorted(found) == [3, 9]
    assert [end.tolist() for end in found[3]] == [[2, 3, 4], [4, 8, 10]]
    assert [end.tolist() for end in found[9]] == [[0, 0, 0], [0, 0, 0]]


def test_a_background_map_has_no_extent() -> None:
    assert extents_of(np.zeros(SHAPE, dtype=np.uint8), [1, 3]) == {}


def test_the_box_is_where_one_structure_lies_as_it_usually_does() -> None:
    """On the middle half of every usual axis: the box is twice as long, around the same centre."""
    usual = [pair([-0.5, -0.5, -0.5], [0.5, 0.5, 0.5])]
    low, high = expected_box([(np.array([10, 20, 30]), np.array([14, 28, 46]))], usual)
    assert (low.tolist(), high.tolist()) == ([8, 16, 22], [16, 32, 54])


def test_unit_axes_are_x_y_z_and_positions_d_h_w() -> None:
    """The lower half of x, the whole of y, the upper half of z."""
    usual = [pair([-1.0, -1.0, 0.0], [0.0, 1.0, 1.0])]
    low, high = expected_box([(np.array([10, 20, 30]), np.array([14, 28, 46]))], usual)
    assert (low.tolist(), high.tolist()) == ([6, 20, 30], [14, 28, 62])


def test_two_structures_that_disagree_share_the_error() -> None:
    """Along every axis the line through (-1, 0), (0, 10), (0, 14), (1, 24)."""
    usual = [pair([-1.0] * 3, [0.0] * 3), pair([0.0] * 3, [1.0] * 3)]
    seen = [(np.zeros(3), np.full(3, 10.0)), (np.full(3, 14.0), np.full(3, 24.0))]
    low, high = expected_box(seen, usual)
    assert (low.tolist(), high.tolist()) == ([0, 0, 0], [24, 24, 24])


def test_the_box_holds_all_that_is_seen() -> None:
    usual = [pair([-1.0] * 3, [1.0] * 3), pair([-0.1] * 3, [0.1] * 3)]
    seen = [(np.full(3, 5.0), np.full(3, 9.0)), (np.full(3, 1.0), np.full(3, 20.0))]
    low, high = expected_box(seen, usual)
    assert (low <= 1).all() and (high >= 20).all()


def test_a_structure_that_usually_has_no_length_places_no_more_than_itself() -> None:
    low, high = expected_box([(np.full(3, 5.0), np.full(3, 9.0))], [pair([0.0] * 3, [0.0] * 3)])
    assert (low.tolist(), high.tolist()) == ([5, 5, 5], [9, 9, 9])


@pytest.mark.parametrize("affine", [RAS, LPS], ids=["RAS", "LPS"])
def test_an_estimated_frame_is_the_same_place_whatever_the_orientation(affine: np.ndarray) -> None:
    """The structure fills patient right, front and top of the usual heart: the box goes on to the other sides."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[6:9, 7:11, 8:13] = 2
    there = labels if affine is RAS else labels[::-1, ::-1]
    frame = estimated_frame(np.ascontiguousarray(there), affine, {2: pair([0.0] * 3, [1.0] * 3)})
    low, high = [4, 4, 4], [8, 10, 12]
    if affine is LPS:
        low, high = [10 - high[0], 12 - high[1], 4], [10 - low[0], 12 - low[1], 12]
    assert (list(frame.low_ijk), list(frame.high_ijk)) == (low, high)


def test_an_estimated_frame_may_reach_beyond_the_volume_and_is_clipped_for_what_is_drawn() -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[0:3, 0:5, 0:7] = 2
    frame = estimated_frame(labels, RAS, {2: pair([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])})
    assert (frame.low_ijk, frame.high_ijk) == ((-2, -4, -6), (2, 4, 6))
    assert (clipped(frame).low_ijk, clipped(frame).high_ijk) == ((0, 0, 0), (2, 4, 6))
    assert inside_of(frame).tolist() == [[6, 4, 2], [12, 8, 4]]
    box = cut_out(labels, frame)
    assert box.shape == (13, 9, 5)
    assert (box[6:, 4:, 2:] == 2).all() and int((box == 2).sum()) == 3 * 5 * 7


def test_the_inside_of_a_box_is_counted_along_the_patient_not_along_the_array() -> None:
    frame = Frame(LPS, SHAPE, (-3, 0, 0), (5, 12, 18))
    assert inside_of(frame).tolist() == [[0, 0, 0], [16, 12, 5]]


def test_without_any_known_structure_the_frame_is_empty() -> None:
    labels = np.full(SHAPE, 1, dtype=np.uint8)
    assert estimated_frame(labels, RAS, {2: pair([0.0] * 3, [1.0] * 3)}).empty


def test_between_labelled_slices_a_structure_reaches_half_the_gap_further() -> None:
    labels = np.zeros((11, 13, 31), dtype=np.uint8)
    labels[2:9, 3:10, 5:26:5] = 2
    assert usual_gap(labels, 2) == 5.0
    assert usual_gap(labels[:, :, :6], 2) == 1.0
    whole = {2: pair([-1.0] * 3, [1.0] * 3)}
    assert estimated_frame(labels, RAS, whole).low_ijk == (2, 3, 5)
    sliced = estimated_frame(labels, RAS, whole, slices_axis=2)
    assert (sliced.low_ijk, sliced.high_ijk) == ((2, 3, 3), (8, 9, 27))
