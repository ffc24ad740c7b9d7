"""A1.7: how many components stay."""

from __future__ import annotations

import numpy as np

from custom.anatomy import PUBLIC_CARDIAC_CT as TABLE
from custom.rules.component_rules import keep_expected
from custom.rules.rule_types import HeartUnderRepair, RuleChange, RuleSettings

LA, RV, AORTA, PV = (TABLE[name].index for name in ("LA", "RV", "Aorta", "PV"))
USUAL, STRICT = RuleSettings(), RuleSettings(strict_components=True)

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def drawn(shape: tuple[int, int, int], *parts: tuple[int, Box]) -> np.ndarray:
    """A map with boxes of labels, each from first to last voxel along i, j, k, later ones over earlier ones."""
    labels = np.zeros(shape, dtype=np.uint8)
    for index, box in parts:
        labels[tuple(slice(first, last + 1) for first, last in box)] = index
    return labels


def kept(labels: np.ndarray, settings: RuleSettings = USUAL) -> tuple[np.ndarray, list[RuleChange]]:
    """What the rule makes of a map of 1 mm voxels, which it must leave as it is."""
    before = labels.copy()
    result, drafts = keep_expected(HeartUnderRepair(labels, (1.0, 1.0, 1.0)), TABLE, settings)
    np.testing.assert_array_equal(labels, before)
    return result, drafts


def veins(*lengths: int) -> np.ndarray:
    """Veins side by side on an atrium's wall, each 3 x 3 voxels thick."""
    parts = [(PV, ((4, 3 + length), (1, 3), (1 + 5 * place, 3 + 5 * place))) for place, length in enumerate(lengths)]
    return drawn((43, 5, 23), (LA, ((1, 3), (0, 4), (0, 22))), *parts)


def test_four_veins_that_touch_the_atrium_stay_and_strictly_the_two_largest() -> None:
    labels = veins(31, 29, 23, 19)
    result, drafts = kept(labels)
    np.testing.assert_array_equal(result, labels)
    assert [(note.component, note.gain_mm3) for note in drafts] == [(3, 0), (4, 0)]
    assert drafts[0].why == "0.74 of the largest, touches LA"
    result, drafts = kept(labels, STRICT)
    np.testing.assert_array_equal(result, veins(31, 29))
    assert [draft.before_mm3 for draft in drafts] == [207.0, 171.0]
    assert drafts[0].why == "beyond the 2 strictly expected, 0.74 of the largest"


def test_a_third_vein_below_a_tenth_of_the_largest_goes_and_the_share_is_a_setting() -> None:
    result, (draft,) = kept(veins(31, 29, 3))
    np.testing.assert_array_equal(result, veins(31, 29))
    assert draft.why == "beyond the 2 expected, 0.097 of the largest"
    np.testing.assert_array_equal(kept(veins(31, 29, 3), RuleSettings(spare_fraction=0.09))[0], veins(31, 29, 3))


def test_a_third_vein_that_touches_nothing_goes_however_large() -> None:
    labels = veins(31, 29, 23)
    labels[4:6, :, 10:15] = 0
    result, (draft,) = kept(labels)
    np.testing.assert_array_equal(result, veins(31, 29))
    assert draft.component == 3


def test_a_second_piece_of_a_chamber_stays_from_a_tenth_of_the_largest() -> None:
    chamber = (RV, ((1, 10), (1, 5), (1, 4)))  # 200 voxels
    tenth = drawn((19, 7, 11), chamber, (RV, ((13, 17), (1, 4), (7, 7))))
    np.testing.assert_array_equal(kept(tenth)[0], tenth)
    np.testing.assert_array_equal(kept(tenth, STRICT)[0], drawn((19, 7, 11), chamber))
    less = drawn((19, 7, 11), chamber, (RV, ((13, 16), (1, 4), (7, 7))))
    np.testing.assert_array_equal(kept(less)[0], drawn((19, 7, 11), chamber))


def aorta(*, last: int, wide: int = 4, third: bool = False) -> np.ndarray:
    """An ascending and a thin descending aorta, the latter down to voxel ``last`` of 12, and a third part."""
    parts = [(AORTA, ((1, 9), (1, 9), (5, 12))), (AORTA, ((13, 15), (1, wide), (9, last)))]
    return drawn((29, 11, 13), *parts, *([(AORTA, ((19, 27), (0, 7), (9, 11)))] if third else []))


def test_an_aorta_in_two_pieces_is_one_that_the_field_of_view_cuts() -> None:
    cut = aorta(last=12)
    assert (cut[13:16] == AORTA).sum() < 0.1 * (cut[1:10] == AORTA).sum()
    np.testing.assert_array_equal(kept(cut)[0], cut)
    result, (draft,) = kept(aorta(last=11))
    assert not (result[13:16] == AORTA).any() and "not cut by the field of view" in draft.why


def test_a_third_piece_of_the_aorta_at_the_edge_stays_unless_the_number_is_strict() -> None:
    labels = aorta(last=12, wide=7, third=True)
    result, (note,) = kept(labels)
    np.testing.assert_array_equal(result, labels)
    assert note.component == 3 and note.gain_mm3 == 0 and "cut by the field of view" in note.why
    assert not (kept(labels, STRICT)[0][13:16] == AORTA).any()
