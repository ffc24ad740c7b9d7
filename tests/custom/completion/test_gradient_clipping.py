"""Gradients are clipped once per step of the weights, whatever is accumulated."""

from __future__ import annotations

import torch
from ignite.engine import Engine
from monai.engines.utils import IterationEvents
from torch import nn

from custom.completion.gradient_clipping import ClipGradients, LogSteps


def norms_after(batches: int, accumulation_steps: int) -> list[float]:
    """Length of the gradient after each backward pass, of a network whose gradient grows by 3 with each."""
    network = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network.weight.grad = torch.zeros(1, 1)
    found = []

    def step(engine: Engine, _: int) -> None:
        assert network.weight.grad is not None
        network.weight.grad += 3.0
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
        found.append(float(network.weight.grad))

    engine = Engine(step)
    engine.register_events(*IterationEvents)
    ClipGradients(network, optimizer, 2.0, accumulation_steps).attach(engine)
    LogSteps(optimizer).attach(engine)
    engine.run(range(batches), epoch_length=batches)
    assert engine.state.metrics["learning_rate"] == 0.1
    return [round(length, 3) for length in found]


def test_every_step_is_clipped_to_the_length() -> None:
    assert norms_after(2, 1) == [2.0, 2.0]


def test_between_the_steps_nothing_is_clipped_and_the_last_of_an_epoch_is() -> None:
    assert norms_after(5, 3) == [3.0, 6.0, 2.0, 5.0, 2.0]
