"""Sizes that no heart has are named; those that no unit explains away are refused."""

from __future__ import annotations

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT, TOTALSEGMENTATOR_HEART
from custom.data.plausible_size import Size, checked_size, doubts, size_of
from custom.errors import InputError
from custom.phantoms.phantom_heart import make_heart

LA, LV, RV, AORTA, CORONARY = (PUBLIC_CARDIAC_CT[name].index for name in ("LA", "LV", "RV", "Aorta", "Coronary"))


def blocks(*indices: int) -> np.ndarray:
    """Blocks of 3 x 5 x 7 voxels, side by side along the first axis."""
    labels = np.zeros((23, 11, 13), np.uint8)
    for position, index in enumerate(indices):
        labels[2 + 3 * position : 5 + 3 * position, 3:8, 4:11] = index
    return labels


def test_the_size_is_that_of_all_structures_and_of_the_chambers_in_mm() -> None:
    found = size_of(blocks(LA, LV, AORTA, CORONARY), (2.0, 1.0, 1.5), PUBLIC_CARDIAC_CT)
    assert found == Size(longest_mm=24.0, chambers_mm=12.0, chambers=2)
    assert size_of(np.zeros((5, 7, 11), np.uint8), (1.0, 1.0, 1.0), PUBLIC_CARDIAC_CT) == Size()
    assert [one.name for one in PUBLIC_CARDIAC_CT.chambers] == ["LA", "LV", "RA", "RV"]
    assert len(TOTALSEGMENTATOR_HEART.chambers) == 4


def test_a_far_speck_does_not_make_a_heart_large() -> None:
    labels = np.zeros((97, 41, 43), np.uint8)
    labels[5:35, 5:35, 5:35] = LA
    labels[96, 40, 42] = LV
    assert size_of(labels, (1.0, 1.0, 1.0), PUBLIC_CARDIAC_CT).longest_mm == 30.0


@pytest.mark.parametrize(("scale", "unit"), [(0.001, "metres"), (0.1, "centimetres"), (1000.0, "micrometres")])
def test_a_heart_in_another_unit_is_refused_with_the_unit_it_is_likely_in(scale: float, unit: str) -> None:
    spacing_mm = (6.0 * scale, 6.0 * scale, 15.0 * scale)
    with pytest.raises(InputError, match=rf"a.nii: found a heart .* mm long; .* unit in the header \(in {unit}"):
        checked_size("a.nii", blocks(LA, LV, RV), spacing_mm, PUBLIC_CARDIAC_CT)


def test_a_small_piece_is_named_and_a_piece_of_more_than_a_metre_is_refused() -> None:
    piece = checked_size("a.nii", blocks(CORONARY), (0.5, 0.5, 0.5), PUBLIC_CARDIAC_CT)
    assert doubts({"a": piece}) == [
        "1 case, a: all that is labelled is down to 3.5 mm long; a piece, or no true spacing"
    ]
    assert doubts({"a": checked_size("a.nii", blocks(CORONARY), (5.0, 5.0, 5.0), PUBLIC_CARDIAC_CT)}) == []
    with pytest.raises(InputError, match=r"a heart 1.05e\+03 mm long"):
        checked_size("a.nii", blocks(CORONARY), (1.0, 1.0, 150.0), PUBLIC_CARDIAC_CT)


def test_a_heart_has_a_size_that_can_be_true() -> None:
    labels, affine = make_heart(3, 48)
    size = checked_size("a.nii", labels, [abs(affine[axis, axis]) for axis in range(3)], PUBLIC_CARDIAC_CT)
    assert 70 < size.chambers_mm < size.longest_mm < 170 and size.chambers == 4
    assert doubts({"a": size}) == []


def test_what_is_too_large_and_too_small_is_said_once_a_cohort_with_the_likely_spacing() -> None:
    sizes = {name: Size(240.0, 200.0, 4) for name in "abcde"} | {"f": Size(45.0, 30.0, 2), "g": Size(150.0, 110.0, 4)}
    large, small = doubts(sizes)
    assert large.startswith(
        "5 cases, among them a, b, c: chambers up to 200 mm long, of at most 180 in a heart; limits in"
    )
    assert large.endswith("the true one is likely about 0.6 times the header's")
    assert small.startswith("1 case, f: hearts of down to 45 mm") and small.endswith("about 4 times the header's")
    assert "bridges, contacts, specks" in large
