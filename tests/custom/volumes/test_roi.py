"""Where a structure's box ends, what it takes in, and that nothing is lost on the way back."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

from custom.errors import InputError
from custom.space import Frame
from custom.volumes.roi import StructureCubed, bounding_box, find_roi, paste, to_cube

SHAPE = (47, 53, 61)


def boxes(*corners: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]) -> np.ndarray:
    """A mask of solid boxes, given by first and last voxel of each axis."""
    mask = np.zeros(SHAPE, bool)
    for box in corners:
        mask[tuple(slice(low, high + 1) for low, high in box)] = True
    return mask


def box_of(mask: np.ndarray, margin: int = 3) -> list[list[int]]:
    box = bounding_box(mask, margin)
    assert box is not None
    return [corner.tolist() for corner in box]


BODY = ((20, 25), (22, 28), (24, 31))


def test_the_box_is_the_structure_and_its_margin():
    assert box_of(boxes(BODY), 0) == [[20, 22, 24], [25, 28, 31]]
    assert box_of(boxes(BODY)) == [[17, 19, 21], [28, 31, 34]]


def test_the_margin_is_ten_voxels_by_default():
    box = bounding_box(boxes(BODY))
    assert box is not None
    assert [corner.tolist() for corner in box] == [[10, 12, 14], [35, 38, 41]]


def test_the_box_ends_at_the_edge_of_the_volume():
    assert box_of(boxes(((0, 5), (22, 52), (2, 59)))) == [[0, 19, 0], [8, 52, 60]]


def test_one_voxel_has_a_box_and_so_has_a_full_volume():
    assert box_of(boxes(((7, 7), (11, 11), (13, 13)))) == [[4, 8, 10], [10, 14, 16]]
    assert box_of(np.ones(SHAPE, bool)) == [[0, 0, 0], [46, 52, 60]]


def test_an_empty_mask_has_no_box():
    assert bounding_box(np.zeros(SHAPE, bool)) is None


def test_a_far_crumb_is_left_out_and_counted():
    # the body has 6 x 7 x 8 = 336 voxels, a crumb of 16 is less than 5 % of it
    mask = boxes(BODY, ((40, 43), (44, 45), (50, 51)))
    assert box_of(mask) == box_of(boxes(BODY))
    roi = find_roi(mask, np.eye(4), 3)
    assert roi.left_out_voxels == 16
    assert int(roi.mask.sum()) == 336


def test_a_far_piece_of_a_twentieth_of_the_largest_is_no_crumb():
    # 17 voxels: 5 % of 336 is 16.8
    mask = boxes(BODY, ((40, 40), (36, 52), (50, 50)))
    assert box_of(mask) == [[17, 19, 21], [43, 52, 53]]
    assert find_roi(mask, np.eye(4), 3).left_out_voxels == 0


@pytest.mark.parametrize(("first", "taken"), [(28, True), (29, False)])
def test_a_fragment_is_taken_in_exactly_if_the_margin_reaches_it(first, taken):
    mask = boxes(BODY, ((first, first + 2), (24, 24), (25, 25)))
    low, high = box_of(mask)
    assert (low, high) == ([17, 19, 21], [first + 5, 31, 34] if taken else [28, 31, 34])
    assert find_roi(mask, np.eye(4), 3).left_out_voxels == (0 if taken else 3)


def test_a_cut_vessel_is_followed_fragment_by_fragment():
    # each piece is within 3 voxels of the one before, only the first within 3 of the body
    chain = [((28 + 4 * n, 29 + 4 * n), (24, 24), (25, 25)) for n in range(4)]
    assert box_of(boxes(BODY, *chain)) == [[17, 19, 21], [44, 31, 34]]


def test_pieces_that_touch_by_a_corner_are_one():
    # 2 voxels on the diagonal beyond the body's corner
    mask = boxes(BODY, ((26, 26), (29, 29), (32, 32)), ((27, 27), (30, 30), (33, 33)))
    assert box_of(mask, 0) == [[20, 22, 24], [27, 30, 33]]


def test_paste_puts_the_crop_back_exactly_and_nothing_else():
    mask = boxes(BODY, ((28, 30), (24, 24), (25, 25)))
    roi = find_roi(mask, np.diag([0.5, 1.5, 3.0, 1.0]), 3)
    assert roi.mask.shape == roi.frame.box_shape
    assert np.array_equal(paste(roi.mask, roi.frame), mask)
    numbers = np.arange(roi.mask.size, dtype=np.int16).reshape(roi.mask.shape) + 1
    whole = paste(numbers, roi.frame)
    assert whole.dtype == np.int16
    assert np.array_equal(whole[roi.frame.box], numbers)
    assert np.count_nonzero(whole) == numbers.size


def test_an_empty_mask_gives_an_empty_frame_and_pastes_as_nothing():
    roi = find_roi(np.zeros(SHAPE, bool), np.eye(4))
    assert roi.frame.empty
    assert roi.left_out_voxels == 0
    assert not paste(roi.mask, roi.frame).any()
    assert paste(roi.mask, roi.frame).shape == SHAPE


@pytest.mark.parametrize("orientation", ["LPS", "SAR", "IPL", "ARI"])
def test_the_same_structure_stored_in_two_orientations_gives_the_same_cube(orientation):
    mask, affine = boxes(BODY, ((25, 30), (22, 23), (24, 25))), np.diag([0.5, 1.5, 3.0, 1.0])
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(orientation))
    turned = find_roi(apply_orientation(mask, turn), affine @ inv_ornt_aff(turn, SHAPE), 2)
    cube = to_cube(find_roi(mask, affine, 2), 17)
    assert 0.1 < cube.mean() < 0.9
    np.testing.assert_allclose(to_cube(turned, 17), cube, atol=1e-6)


def test_the_cube_is_indexed_z_y_x():
    # voxels run Right, Anterior, Superior: i is x, j is y, k is z
    mask = np.zeros((3, 5, 7), bool)
    mask[0, 0, 6] = mask[2, 4, 0] = True
    cube = to_cube(find_roi(mask, np.eye(4), 0), 3)
    assert [tuple(corner) for corner in np.argwhere(cube)] == [(0, 2, 2), (2, 0, 0)]


def labels_with(value: int, mask: np.ndarray, affine: np.ndarray) -> MetaTensor:
    background = np.full(SHAPE, 1, np.uint8)
    background[mask] = value
    return MetaTensor(torch.from_numpy(background)[None], affine=torch.from_numpy(affine))


@pytest.mark.parametrize("structure", ["LAA", "laa", 8])
def test_structure_cubed_cuts_out_the_named_structure_as_bytes(structure):
    mask, affine = boxes(BODY), np.diag([-0.5, 1.5, 3.0, 1.0])
    item = StructureCubed("label", structure, resolution=17, margin=3)({"label": labels_with(8, mask, affine)})
    expected = to_cube(find_roi(mask, affine, 3), 17)
    assert item["label"].dtype == torch.uint8
    assert item["label"].shape == (1, 17, 17, 17)
    assert int(item["label"].max()) == 255
    np.testing.assert_allclose(item["label"][0].numpy() / 255, expected, atol=0.5 / 255 + 1e-6)
    frame = Frame.from_dict(item["label_frame"])
    assert (frame.low_ijk, frame.high_ijk, frame.shape) == ((17, 19, 21), (28, 31, 34), SHAPE)
    assert np.array_equal(frame.affine, affine)


def test_structure_cubed_gives_an_absent_structure_an_empty_cube_and_an_empty_frame():
    item = StructureCubed("label", "PV", resolution=5)({"label": labels_with(8, boxes(BODY), np.eye(4))})
    assert not item["label"].any()
    assert item["label"].shape == (1, 5, 5, 5)
    assert Frame.from_dict(item["label_frame"]).empty


def test_structure_cubed_says_how_much_it_left_out_of_which_case(caplog):
    mask = boxes(BODY, ((40, 43), (44, 45), (50, 51)))
    with caplog.at_level(logging.INFO, "custom.volumes.roi"):
        StructureCubed("label", "LAA", 5, margin=3)({"label": labels_with(8, mask, np.eye(4)), "case": "p07"})
    assert caplog.messages == ["p07: 16 voxels of far crumbs left out"]


def test_structure_cubed_refuses_a_structure_the_table_lacks():
    with pytest.raises(InputError, match="Coronary"):
        StructureCubed("label", "coronaries")
