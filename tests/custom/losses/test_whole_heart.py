"""The loss of ten heads: weighted by how rare a structure is, up to a cap, and silent on what is unknown."""

from __future__ import annotations

import math

import pytest
import torch

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.errors import InputError
from custom.losses.whole_heart import HeartLoss, by_structure, class_weights

LN2 = math.log(2)


def test_weights_are_one_over_the_share_and_one_on_the_average() -> None:
    assert class_weights([400, 100, 200], 100) == pytest.approx([3 / 7, 12 / 7, 6 / 7])


def test_no_weight_is_more_than_the_cap_times_the_smallest() -> None:
    weights = class_weights([100_000, 50_000, 140], 10)
    assert weights[2] / weights[0] == pytest.approx(10)
    assert weights[1] / weights[0] == pytest.approx(2)
    assert sum(weights) / 3 == pytest.approx(1)


def test_a_cap_of_one_makes_all_weights_equal() -> None:
    assert class_weights([5, 70_000, 0], 1) == [1, 1, 1]


def test_a_structure_no_case_holds_weighs_as_little_as_the_largest() -> None:
    weights = class_weights([100, 0, 50], 10)
    assert weights[1] == weights[0]
    assert class_weights([0, 0], 10) == [1, 1]


def test_the_loss_is_the_weighted_mean_of_the_cross_entropies() -> None:
    """Logits of 0 cost ln 2 a point, whatever is wanted; a logit of ln 3 where 1 is wanted costs ln(4/3)."""
    logits = torch.tensor([[[0.0, 0.0, 0.0], [math.log(3)] * 3]])
    target = torch.tensor([[[0.0, 1.0, 0.5], [1.0, 1.0, 1.0]]])
    assert float(HeartLoss([0.5, 1.5])(logits, target)) == pytest.approx((0.5 * LN2 + 1.5 * math.log(4 / 3)) / 2)


def test_what_is_unknown_is_not_punished() -> None:
    logits = torch.full((2, 3, 7), 5.0, requires_grad=True)
    target = torch.zeros(2, 3, 7)
    target[0, 1], target[1, :, 4:] = -1.0, -1.0
    HeartLoss([1.0, 1.0, 1.0], dice_weight=1.0)(logits, target).backward()
    assert logits.grad is not None
    assert (logits.grad[0, 1] == 0).all() and (logits.grad[1, :, 4:] == 0).all()
    assert (logits.grad[0, 0] > 0).all()


def test_a_structure_known_nowhere_adds_nothing() -> None:
    loss = HeartLoss([1.0, 1.0], dice_weight=1.0)
    logits, target = torch.randn(2, 2, 11), torch.full((2, 2, 11), -1.0)
    assert float(loss(logits, target)) == 0.0


def test_the_unknown_does_not_dilute_the_known() -> None:
    loss, logits = HeartLoss([1.0]), torch.zeros(1, 1, 8)
    target = torch.tensor([[[1.0, 0.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0]]])
    assert float(loss(logits, target)) == pytest.approx(LN2)


def test_the_dice_term_is_taken_over_the_cases_that_hold_the_structure() -> None:
    """Half inside everywhere, two of four points wanted: Dice 2 * 1 / (2 + 2); the other case holds nothing."""
    logits = torch.zeros(2, 1, 4)
    target = torch.tensor([[[1.0, 1.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 0.0]]])
    plain, with_dice = (float(HeartLoss([1.0], weight)(logits, target)) for weight in (0.0, 2.0))
    assert with_dice - plain == pytest.approx(2 * 0.5)


def test_a_number_for_a_structure_goes_by_its_name_in_any_case() -> None:
    numbers = by_structure(1.0, {"coronary": 3, "PV": 0.5})
    named = dict(zip(PUBLIC_CARDIAC_CT.names, numbers, strict=True))
    assert (named["Coronary"], named["PV"], named["LV"]) == (3.0, 0.5, 1.0)


@pytest.mark.parametrize(("changes", "said"), [({"Cornary": 1}, "Coronary"), ({"PV": -1}, "--weights: PV")])
def test_a_strange_structure_or_number_is_refused(changes: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        by_structure(1.0, changes, name="weights")
