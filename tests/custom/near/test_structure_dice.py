"""Dice of every structure over the points of all cases together."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.near.structure_dice import StructureDice

CHANNEL = {name: channel for channel, name in enumerate(PUBLIC_CARDIAC_CT.names)}


def case(**answers: list[tuple[float, float]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities and targets [10, 4]; structures that are not given are neither found nor wanted."""
    probability, target = torch.zeros(10, 4), torch.zeros(10, 4)
    for name, pairs in answers.items():
        for point, (found, wanted) in enumerate(pairs):
            probability[CHANNEL[name], point], target[CHANNEL[name], point] = found, wanted
    return probability, target


def metrics_of(*cases: tuple[torch.Tensor, torch.Tensor]) -> dict[str, float]:
    engine = Engine(lambda engine, batch: batch)
    StructureDice().attach(engine, "val_dice")
    engine.run([([one[0]], [one[1]]) for one in cases])
    return dict(engine.state.metrics)


def test_points_of_all_cases_count_together_and_the_mean_is_over_the_structures() -> None:
    """LA: one hit, found twice and wanted three times, over two cases. PV: all wrong."""
    one = case(LA=[(0.9, 1.0), (0.8, 0.2)], PV=[(0.7, 0.0)])
    other = case(LA=[(0.1, 1.0), (0.4, 0.6)])
    metrics = metrics_of(one, other)
    assert metrics["val_dice_LA"] == pytest.approx(2 / 5)
    assert metrics["val_dice_PV"] == 0
    assert metrics["val_dice"] == pytest.approx((2 / 5 + 0) / 2)
    assert set(metrics) == {"val_dice", "val_dice_LA", "val_dice_PV"}


def test_what_is_unknown_is_not_counted() -> None:
    metrics = metrics_of(case(LA=[(0.9, 1.0), (0.9, -1.0), (0.1, -1.0)]))
    assert metrics == {"val_dice": 1.0, "val_dice_LA": 1.0}


def test_nothing_found_and_nothing_wanted_is_no_success() -> None:
    assert metrics_of(case()) == {"val_dice": 0.0}
