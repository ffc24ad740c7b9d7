"""The heads follow their teachers, softened by a temperature, where there is a teacher."""

from __future__ import annotations

import math

import pytest
import torch

from custom.losses.distillation import Distillation

LN2 = math.log(2)


def test_it_is_the_weighted_mean_of_the_cross_entropies_with_the_teachers() -> None:
    loss = Distillation([1.0, 3.0], [1.0, 1.0])
    logits = torch.tensor([[[0.0, 0.0], [math.log(3), math.log(3)]]])
    teachers = torch.tensor([[[0.2, 0.9], [1.0, 1.0]]])
    assert float(loss(logits, teachers)) == pytest.approx((LN2 + 3 * math.log(4 / 3)) / 2)


def test_at_the_teachers_own_logits_the_gradient_is_zero_at_any_temperature() -> None:
    teachers = torch.tensor([[[0.03, 0.4, 0.97]]])
    for temperature in (1.0, 2.0, 5.0):
        logits = torch.logit(teachers).clone().requires_grad_()
        Distillation([1.0], [temperature])(logits, teachers).backward()
        assert logits.grad is not None
        assert logits.grad.abs().max() < 1e-6


def test_a_temperature_softens_both_and_the_loss_grows_with_its_square() -> None:
    """Teacher 0.9 is odds of 9; at temperature 2 odds of 3. The head says 0, softened 0: ln 2, times 4."""
    loss = Distillation([1.0], [2.0])
    assert float(loss(torch.zeros(1, 1, 1), torch.tensor([[[0.9]]]))) == pytest.approx(4 * LN2)
    logits = torch.tensor([[[math.log(9.0)]]])
    wanted = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert float(loss(logits, torch.tensor([[[0.9]]]))) == pytest.approx(4 * wanted, rel=1e-4)


def test_an_exact_zero_stays_zero_at_any_temperature() -> None:
    loss = Distillation([1.0], [8.0])
    assert float(loss(torch.tensor([[[-400.0]]]), torch.zeros(1, 1, 1))) < 1e-6


def test_without_a_teacher_nothing_is_asked() -> None:
    logits = torch.zeros(1, 2, 3, requires_grad=True)
    teachers = torch.tensor([[[-1.0, -1.0, -1.0], [0.5, -1.0, 1.0]]])
    Distillation([1.0, 1.0], [1.0, 3.0])(logits, teachers).backward()
    assert logits.grad is not None
    assert (logits.grad[0, 0] == 0).all() and float(logits.grad[0, 1, 1]) == 0
    assert float(logits.grad[0, 1, 2]) < 0


def test_a_weight_of_zero_silences_a_teacher() -> None:
    logits = torch.zeros(1, 2, 3, requires_grad=True)
    Distillation([0.0, 1.0], [1.0, 1.0])(logits, torch.ones(1, 2, 3)).backward()
    assert logits.grad is not None
    assert (logits.grad[0, 0] == 0).all() and (logits.grad[0, 1] < 0).all()
