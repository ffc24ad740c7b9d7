"""The loss: what is true costs nothing, what is unknown is not judged, and what was hidden is."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from custom.models.vecset.evaluate_distance_grid import labels_of
from custom.models.vecset.set_loss import SetLoss, mean_of_labelled, truncated_error

CLASSES = 3


def case(batch: int = 2) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A true answer and its target."""
    volume, near = torch.randn(batch, CLASSES, 11), 0.02 * torch.randn(batch, CLASSES, 13)
    own = torch.arange(7).expand(batch, -1) % CLASSES
    answer = {
        "volume": volume.clone(),
        "near": near.clone(),
        "surface": torch.zeros(batch, CLASSES, 7),
        "slopes": torch.ones(batch, 5),
    }
    target = {"volume": volume, "near": near, "surface_class": own, "label_valid": torch.ones(batch, CLASSES)}
    return answer, target


def test_the_truth_costs_nothing() -> None:
    loss = SetLoss()
    assert float(loss(*case())) == 0
    assert loss.terms == {
        "loss_volume": 0, "loss_near": 0, "loss_surface": 0, "loss_eikonal": 0, "loss_side": 0, "mean_slope": 1,
    }  # fmt: skip


def test_an_exact_field_has_an_eikonal_term_of_0_and_a_constant_one_of_1() -> None:
    points = torch.randn(1, 3, 19, requires_grad=True)
    for field, wanted in ((points.norm(dim=1) - 0.5, 0.0), (0 * points.sum(dim=1) + 7, 1.0)):
        (gradient,) = torch.autograd.grad(field.sum(), points, retain_graph=True)
        loss, (answer, target) = SetLoss(), case(1)
        loss({**answer, "slopes": gradient.norm(dim=1)}, target)
        assert loss.terms["loss_eikonal"] == pytest.approx(wanted, abs=1e-6)


def test_the_terms_have_the_weights_of_the_requirement() -> None:
    answer, target = case()
    for name, off, wanted in (("volume", 0.05, 0.05), ("near", 0.05, 0.5), ("slopes", 3.0, 0.009)):
        inside = {**target, name: 0 * answer[name]} if name != "slopes" else target
        moved = {**answer, name: (0 * answer[name] if name != "slopes" else answer[name]) + off}
        assert float(SetLoss(truncation=0.1)(moved, inside)) == pytest.approx(wanted, rel=1e-4)
    moved = {**answer, "surface": answer["surface"] - 0.02}
    assert float(SetLoss()(moved, target)) == pytest.approx(0.2, rel=1e-4)


def test_a_structure_that_is_not_labelled_is_not_judged_and_its_target_may_be_nothing() -> None:
    answer, target = case()
    target["label_valid"][:, 1] = 0
    answer["volume"][:, 1] += 5
    answer["near"][:, 1] -= 5
    answer["surface"][:, 1] = 3
    target["near"][:, 1] = math.nan
    assert float(SetLoss()(answer, target)) == 0


def test_nothing_labelled_costs_nothing_but_slopes() -> None:
    answer, target = case()
    answer["volume"] += 1
    assert float(SetLoss()(answer, {**target, "label_valid": 0 * target["label_valid"]})) == 0


def test_the_loss_does_not_ask_what_was_shown() -> None:
    """One mask says what the encoder sees, another what is judged: a structure left out of the input is judged."""
    answer, target = case()
    answer["near"][:, 2] += 0.05
    assert "input_present" not in target
    assert float(SetLoss()(answer, target)) > 0.1


def test_a_rare_structure_counts_as_much_as_a_common_one() -> None:
    error = torch.zeros(1, 2, 10)
    error[0, 0] = 0.4
    assert float(mean_of_labelled(error, torch.ones(1, 2))) == pytest.approx(0.2)
    own = torch.tensor([[0] * 9 + [1]])
    answer, target = case(1)
    surface = torch.zeros(1, CLASSES, 10)
    surface[0, 1] = 0.06
    loss = SetLoss()
    loss({**answer, "surface": surface}, {**target, "surface_class": own})
    assert loss.terms["loss_surface"] == pytest.approx(0.03)  # the mean of the two structures that have points


@pytest.mark.parametrize(
    ("found", "wanted", "error"),
    [
        (0.03, 0.05, 0.02),
        (0.2, 0.05, 0.15),
        (0.3, 0.5, 0.0),
        (9.0, 0.5, 0.0),
        (0.04, 0.5, 0.06),
        (-0.3, 0.5, 0.4),
        (-0.3, -0.5, 0.0),
        (0.2, -0.5, 0.3),
        (0.0, -0.02, 0.02),
    ],
)
def test_beyond_the_truncation_the_right_side_is_enough(found: float, wanted: float, error: float) -> None:
    asked = torch.tensor([found], requires_grad=True)
    answer = truncated_error(asked, torch.tensor([wanted]), 0.1)
    assert float(answer.detach()) == pytest.approx(error, abs=1e-6)
    answer.sum().backward()
    assert asked.grad is not None
    assert (float(asked.grad) != 0) == (error > 0)


def test_a_constant_answer_labels_nothing() -> None:
    for constant in (0.0, 0.3):
        assert labels_of(torch.full((10, 17), constant)).tolist() == [0] * 17


def test_a_point_belongs_to_the_structure_it_lies_deepest_in() -> None:
    distances = torch.tensor([[0.1, -0.1, -0.1, 0.2], [0.2, -0.2, 0.1, -1e-6]])
    assert labels_of(distances).tolist() == [0, 2, 1, 2]


def test_the_side_term_is_least_at_the_truth_and_asks_for_more_than_no_answer() -> None:
    answer, target = case()
    loss = SetLoss(volume_weight=0, near_weight=0, surface_weight=0, eikonal_weight=0, side_weight=1.0, softness=0.01)
    at_truth = float(loss(answer, target))
    assert 0 < at_truth < 0.4
    silent = {name: torch.zeros_like(value) for name, value in answer.items()}
    assert float(loss(silent, target)) == pytest.approx(math.log(2), rel=1e-6)  # unsure of every side
    for factor in (0.5, 2.0):
        other = answer | {name: factor * answer[name] for name in ("volume", "near")}
        assert float(loss(other, target)) > at_truth
    wrong = answer | {name: -answer[name] for name in ("volume", "near")}
    assert float(loss(wrong, target)) > math.log(2)


def test_the_side_of_what_nobody_labelled_is_not_judged() -> None:
    answer, target = case()
    loss = SetLoss(side_weight=1.0)
    target["label_valid"][:, 1:] = 0
    before = float(loss(answer, target))
    answer["near"][:, 1:] *= -1
    target["volume"][:, 1:] = float("nan")
    assert float(loss(answer, target)) == pytest.approx(before)
