"""Counting, keeping and cleaning components on lines of voxels, distances worked by hand."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from custom.errors import InputError
from custom.volumes.components import CleanComponentsd, Removed, clean, count, keep_largest, label

SHAPE = (3, 5, 37)
SPACING_MM = (3.0, 2.0, 1.0)  # one voxel is 6 mm3, a step along k is 1 mm


def line(*runs: tuple[int, int]) -> np.ndarray:
    """Runs of voxels (first and last k) along the middle of the volume."""
    mask = np.zeros(SHAPE, dtype=bool)
    for first, last in runs:
        mask[1, 2, first : last + 1] = True
    return mask


# A trunk of 10, two fragments of 4 (24 mm3) 3 mm apart from one another, and one voxel of dust.
TRUNK, NEAR, FAR, DUST = (0, 9), (12, 15), (18, 21), (30, 30)


@pytest.mark.parametrize(("connectivity", "components"), [(6, 3), (18, 2), (26, 1)])
def test_face_edge_and_corner_neighbours(connectivity, components):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[0, 0, 0] = mask[1, 1, 0] = True  # share an edge
    mask[2, 2, 1] = True  # shares a corner with the second
    assert count(mask, connectivity) == components
    assert label(mask, connectivity)[1] == components


def test_empty_full_and_one_voxel_are_counted():
    assert count(np.zeros(SHAPE, dtype=bool)) == 0
    assert count(np.ones(SHAPE, dtype=bool)) == 1
    assert count(line(DUST)) == 1


def test_opposite_faces_of_the_volume_are_not_neighbours():
    assert count(line((0, 0), (36, 36))) == 2


def test_labels_run_from_the_largest():
    labels, components = label(line(DUST, NEAR, TRUNK))
    assert components == 3
    assert [int(labels[1, 2, k]) for k in (0, 12, 30)] == [1, 2, 3]
    assert np.bincount(labels.ravel()).tolist() == [3 * 5 * 37 - 15, 10, 4, 1]


def test_an_empty_mask_has_no_labels():
    labels, components = label(np.zeros(SHAPE, dtype=bool))
    assert components == 0 and labels.shape == SHAPE and not labels.any()


@pytest.mark.parametrize(
    ("k", "kept"), [(1, line(TRUNK)), (2, line(TRUNK, NEAR)), (9, line(TRUNK, NEAR, DUST))], ids=["1", "2", "all"]
)
def test_the_k_largest_stay(k, kept):
    assert np.array_equal(keep_largest(line(DUST, NEAR, TRUNK), k), kept)


@pytest.mark.parametrize("order", ["C", "F"])
def test_of_equals_the_first_in_raster_order_stays_however_the_mask_is_stored(order):
    mask = np.zeros(SHAPE, dtype=bool, order=order)
    mask[0, 4, 20:22] = True  # first in raster order (i, j, k)
    mask[2, 0, 3:5] = True  # first in the opposite order
    assert np.argwhere(keep_largest(mask, 1)).tolist() == [[0, 4, 20], [0, 4, 21]]


def test_keeping_none_is_refused():
    with pytest.raises(ValueError, match="k is 0"):
        keep_largest(line(TRUNK), 0)
    with pytest.raises(ValueError, match="components is 0"):
        clean(line(TRUNK), 0)


@pytest.mark.parametrize(
    "mask", [np.zeros(SHAPE, dtype=bool), np.ones(SHAPE, dtype=bool), line(DUST)], ids=["empty", "full", "one voxel"]
)
def test_nothing_is_cleaned_from_empty_full_and_one_voxel(mask):
    cleaned, removed = clean(mask, 1, reach_mm=8.0)
    assert np.array_equal(cleaned, mask) and removed == []
    assert np.array_equal(keep_largest(mask, 1), mask)


def test_without_reach_fragments_go_and_each_is_accounted_for():
    cleaned, removed = clean(line(TRUNK, NEAR, FAR, DUST), 1, spare_fraction=0.5, spacing_mm=SPACING_MM)
    assert np.array_equal(cleaned, line(TRUNK))
    # 4 voxels from k = 12 to 9: 3 mm; from 18: 9 mm; one voxel from 30: 21 mm
    assert removed == [Removed(24.0, 3.0), Removed(24.0, 9.0), Removed(6.0, 21.0)]


def test_a_component_of_exactly_the_spared_fraction_stays():
    assert count(clean(line(TRUNK, DUST), 1, spare_fraction=0.1)[0]) == 2
    assert count(clean(line(TRUNK, DUST), 1, spare_fraction=0.11)[0]) == 1


def test_the_named_number_of_components_stays_whatever_their_size():
    assert np.array_equal(clean(line(TRUNK, DUST), 2, spare_fraction=1.0)[0], line(TRUNK, DUST))


def test_reach_grows_from_fragment_to_fragment():
    mask = line(TRUNK, NEAR, FAR, DUST)
    cleaned, removed = clean(mask, 1, spare_fraction=0.5, reach_mm=3.0, spacing_mm=SPACING_MM)
    assert np.array_equal(cleaned, line(TRUNK, NEAR, FAR))
    assert removed == [Removed(6.0, 9.0)]  # the dust, measured from the last fragment kept


def test_a_fragment_beyond_reach_goes():
    cleaned, _ = clean(line(TRUNK, NEAR, FAR), 1, spare_fraction=0.5, reach_mm=2.9, spacing_mm=SPACING_MM)
    assert np.array_equal(cleaned, line(TRUNK))


def test_reach_is_in_mm_not_in_voxels():
    # the same three voxels of distance are 6 mm at 2 mm spacing along k
    cleaned, removed = clean(line(TRUNK, NEAR), 1, 0.5, reach_mm=3.0, spacing_mm=(1.0, 3.0, 2.0))
    assert np.array_equal(cleaned, line(TRUNK))
    assert removed == [Removed(24.0, 6.0)]


def test_dust_within_reach_goes_and_is_no_stepping_stone():
    mask = line(TRUNK, (12, 12), (15, 18))
    cleaned, removed = clean(mask, 1, spare_fraction=0.5, reach_mm=3.0, spacing_mm=SPACING_MM)
    assert np.array_equal(cleaned, line(TRUNK))
    assert removed == [Removed(24.0, 6.0), Removed(6.0, 3.0)]


def test_the_least_volume_is_in_mm3():
    mask = line(TRUNK, NEAR)
    assert count(clean(mask, 1, 0.5, reach_mm=3.0, spacing_mm=SPACING_MM, min_volume_mm3=24.0)[0]) == 2
    assert count(clean(mask, 1, 0.5, reach_mm=3.0, spacing_mm=SPACING_MM, min_volume_mm3=24.1)[0]) == 1


def test_distance_follows_the_spacing_of_every_axis():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[0, 0, :11] = True
    mask[2, 3, 13] = True
    _, removed = clean(mask, 1, spacing_mm=SPACING_MM)
    assert removed == [Removed(6.0, 9.0)]  # 2 x 3 mm, 3 x 2 mm, 3 x 1 mm: root of 36 + 36 + 9


def test_distances_agree_with_a_distance_transform_on_speckle():
    mask = np.random.default_rng(5).random((7, 11, 13)) < 0.3
    cleaned, removed = clean(mask, 2, spare_fraction=1.0, spacing_mm=SPACING_MM, connectivity=6)
    distance_mm = ndimage.distance_transform_edt(~cleaned, sampling=SPACING_MM)
    pieces, pieces_count = ndimage.label(mask & ~cleaned)
    plain = [(6.0 * (pieces == n).sum(), distance_mm[pieces == n].min()) for n in range(1, pieces_count + 1)]
    assert len(removed) == pieces_count > 10
    np.testing.assert_allclose(sorted((r.volume_mm3, r.distance_mm) for r in removed), sorted(plain))


def test_cleaning_leaves_the_mask_given():
    mask = line(TRUNK, DUST)
    clean(mask, 1)
    assert np.array_equal(mask, line(TRUNK, DUST))


def test_the_transform_bridges_thin_structures_only():
    mask = line(TRUNK, NEAR, DUST)[None].astype(np.uint8)
    thin = CleanComponentsd("mask", "LAA", spare_fraction=0.5, min_volume_mm3=4.0)
    thick = CleanComponentsd("mask", "LV", spare_fraction=0.5, min_volume_mm3=4.0)
    assert np.array_equal(thin({"mask": mask})["mask"][0], line(TRUNK, NEAR))
    assert np.array_equal(thick({"mask": mask})["mask"][0], line(TRUNK))


def test_the_transform_takes_the_number_of_components_from_the_table():
    mask = line(TRUNK, NEAR, DUST)[None]
    assert np.array_equal(CleanComponentsd("mask", 6, spare_fraction=0.5)({"mask": mask})["mask"][0], line(TRUNK, NEAR))


@pytest.mark.parametrize(("step_mm", "kept"), [(2.0, line(TRUNK, NEAR)), (3.0, line(TRUNK))], ids=["6 mm", "9 mm"])
def test_the_transform_reads_the_spacing_from_the_affine(step_mm, kept):
    mask = MetaTensor(torch.from_numpy(line(TRUNK, NEAR)[None]), affine=np.diag([-3.0, 2.0, step_mm, 1.0]))
    cleaned = CleanComponentsd("mask", "LAA", spare_fraction=0.5, reach_mm=8.0)({"mask": mask})["mask"]
    assert np.array_equal(cleaned[0].numpy(), kept)


def test_the_transform_keeps_value_type_and_metadata_and_leaves_its_input():
    mask = MetaTensor(torch.from_numpy(line(TRUNK, DUST)[None].astype(np.float32) * 8), affine=np.diag([3.0, 2, 1, 1]))
    cleaned = CleanComponentsd("mask", "LV", spare_fraction=0.5)({"mask": mask, "case": "a"})
    assert cleaned["case"] == "a"
    assert isinstance(cleaned["mask"], MetaTensor) and cleaned["mask"].dtype == torch.float32
    assert np.array_equal(cleaned["mask"].numpy()[0], line(TRUNK) * np.float32(8))
    assert torch.equal(cleaned["mask"].affine, mask.affine)
    assert mask.sum() == 8 * 11


def test_the_transform_logs_what_it_removed(caplog):
    with caplog.at_level(logging.INFO):
        CleanComponentsd("mask", "LV", spare_fraction=0.5)({"mask": line(TRUNK, NEAR, DUST)[None]})
    assert "LV: removed 2 components, 5.0 mm3" in caplog.text


def test_the_transform_refuses_other_shapes_and_unknown_structures():
    with pytest.raises(ValueError, match=r"\(3, 5, 37\), wanted \[1, i, j, k\]"):
        CleanComponentsd("mask", "LV")({"mask": line(TRUNK)})
    with pytest.raises(InputError, match="Did you mean 'Coronary'"):
        CleanComponentsd("mask", "coronaries")


@pytest.mark.parametrize("shape", [(1, 3, 1), (5, 1, 1), (1, 1, 7), (1, 5, 3)])
def test_a_line_one_voxel_thick_is_counted_too(shape: tuple[int, int, int]) -> None:
    """The library fails on such lines by itself."""
    mask = np.zeros(shape, dtype=bool)
    mask.reshape(-1)[::2] = True  # every second voxel: alone along a line
    if min(sorted(shape)[1:]) == 1:
        assert count(mask, 26) == (mask.size + 1) // 2
        assert label(mask, 26)[1] == (mask.size + 1) // 2
    else:
        assert count(mask, 26) == 1
