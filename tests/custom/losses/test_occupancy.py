"""The losses of the requirement, each against its formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from custom.errors import InputError
from custom.losses.occupancy import LOSSES, occupancy_loss


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 - 2 sum(p y) / (sum p + sum y) per case, then the mean over cases."""
    p = torch.sigmoid(logits)
    overlap = (2 * (p * target).sum(dim=(1, 2)) + 1e-5) / (p.sum(dim=(1, 2)) + target.sum(dim=(1, 2)) + 1e-5)
    return (1 - overlap).mean()


def focal_loss(logits: Tensor, target: Tensor, gamma: float = 4.0) -> Tensor:
    """-(1 - p_t)^gamma log p_t, p_t the probability of the right answer; the mean over points."""
    p = torch.sigmoid(logits)
    right = torch.where(target > 0.5, p, 1 - p)
    return (-((1 - right) ** gamma) * right.log()).mean()


def example() -> tuple[Tensor, Tensor]:
    return torch.randn(3, 1, 11) * 2, (torch.rand(3, 1, 11) > 0.6).float()


def test_dice_focal_is_seven_tenths_dice_and_three_tenths_focal_of_gamma_four():
    logits, target = example()
    dice, focal = dice_loss(logits, target), focal_loss(logits, target)
    assert 0.1 < dice < 0.9
    assert focal > 0.05
    torch.testing.assert_close(occupancy_loss("dice_focal")(logits, target), 0.7 * dice + 0.3 * focal)


def test_dice_counts_every_case_alike_whatever_its_size():
    # logits 0, so p = 1/2 at 4 points; 4 of 4 inside: 1 - 2 x 2 / (2 + 4) = 1/3; 1 of 4: 1 - 2 x 0.5 / (2 + 1) = 2/3
    target = torch.tensor([[[1.0, 1.0, 1.0, 1.0]], [[0.0, 1.0, 0.0, 0.0]]])
    focal = 0.5**4 * math.log(2)
    loss = occupancy_loss("dice_focal")(torch.zeros(2, 1, 4), target).item()
    assert loss == pytest.approx(0.7 * 0.5 + 0.3 * focal, abs=1e-5)


def test_bce_is_the_binary_cross_entropy_of_soft_occupancies():
    logits = torch.tensor([[[0.0, math.log(3)]]])
    # p = 1/2 against 1: log 2; p = 3/4 against 1/4: -(log(3/4) + 3 log(1/4)) / 4
    expected = (math.log(2) - (math.log(0.75) + 3 * math.log(0.25)) / 4) / 2
    assert occupancy_loss("bce")(logits, torch.tensor([[[1.0, 0.25]]])).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_right_answer_costs_less_than_a_wrong_one(name):
    loss, target = occupancy_loss(name), example()[1]
    right, wrong = 20 * (2 * target - 1), -20 * (2 * target - 1)
    assert loss(right, target) < 1e-3
    assert loss(wrong, target) > 0.9


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_empty_and_full_cases_give_a_finite_loss_that_pulls_the_right_way(name, value):
    logits = torch.zeros(2, 1, 7, requires_grad=True)
    loss = occupancy_loss(name)(logits, torch.full((2, 1, 7), value))
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert ((logits.grad > 0) == (value == 0)).all()


def test_an_unknown_loss_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="'dice'; wanted one of bce, dice_focal"):
        occupancy_loss("dice")
