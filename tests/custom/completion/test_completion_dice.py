"""Dice of validation: the inside is below 0, and what was shown is kept apart from what was completed."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from torch import Tensor

from custom.anatomy import table
from custom.completion.completion_dice import CompletionDice, dice_inputs

LABELS = torch.tensor([[0, 0, 1, 1, 1, 2, 2, 3, 10, 0, 10]], dtype=torch.uint8)


def distances_for(labels: Tensor) -> Tensor:
    """That give these labels."""
    numbers = torch.arange(1, 11)[:, None]
    return torch.where(labels[:, None] == numbers, -0.3, 0.2)


def scored(found: Tensor, shown: list[int], valid: list[int] = [1] * 10) -> CompletionDice:  # noqa: B006
    metric = CompletionDice()
    metric.reset()
    masks = {"input_present": torch.tensor([shown]).bool(), "label_valid": torch.tensor([valid]).bool()}
    metric.update((found, {"lattice_labels": LABELS, **masks}))
    return metric


def test_the_truth_scores_1_and_any_constant_0() -> None:
    assert scored(distances_for(LABELS), [1] * 10).compute() == 1
    for constant in (0.0, 0.5):
        assert scored(torch.full((1, 10, 11), constant), [1] * 10).compute() == 0
    assert scored(torch.full((1, 10, 11), -0.5), [1] * 10).compute() < 0.15


def test_shown_and_completed_structures_are_counted_apart() -> None:
    half = distances_for(torch.tensor([[0, 0, 1, 1, 1, 2, 0, 3, 0, 0, 0]], dtype=torch.uint8))
    metric = scored(half, [1, 1] + [0] * 8)
    assert metric.compute() == pytest.approx((1 + 2 / 3 + 1 + 0) / 4)
    assert metric.beside["present"] == pytest.approx((1 + 2 / 3) / 2)
    assert metric.beside["completed"] == pytest.approx((1 + 0) / 2)
    assert metric.beside["LA"] == pytest.approx(2 / 3)
    assert "Aorta" not in metric.beside  # neither wanted nor found


def test_what_is_not_labelled_is_not_judged() -> None:
    metric = scored(torch.full((1, 10, 11), 0.2), [0] * 10, [0] * 10)
    assert metric.compute() == 0 and metric.beside == {}
    wrong_pv = distances_for(torch.tensor([[10, 10, 1, 1, 1, 2, 2, 3, 0, 0, 0]], dtype=torch.uint8))
    assert scored(wrong_pv, [1] * 9 + [0], [1] * 9 + [0]).compute() == 1


def test_sums_run_over_the_cases_and_all_numbers_reach_the_engine() -> None:
    outputs = [distances_for(LABELS), torch.full((1, 10, 11), 0.2)]
    masks = {"input_present": torch.ones(1, 10).bool(), "label_valid": torch.ones(1, 10).bool()}
    engine = Engine(lambda engine, found: {"pred": found, "label": {"lattice_labels": LABELS, **masks}})
    CompletionDice(output_transform=dice_inputs).attach(engine, "val_dice")
    engine.run(outputs)
    assert engine.state.metrics["val_dice"] == pytest.approx(2 / 3)
    names = {f"val_dice_{name}" for name in ("Myocardium", "LA", "LV", "PV", "present")}
    assert {key for key in engine.state.metrics if key != "val_dice"} == names
    assert set(table().names) > {name.removeprefix("val_dice_") for name in names} - {"present"}
