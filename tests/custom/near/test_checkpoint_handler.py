"""How often a run's checkpoint is written."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from ignite.engine import Engine
from monai.engines import Evaluator
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from custom.completion.set_checkpoint import CompletionCheckpointHandler
from custom.data.structure_dataset import StructureDataset
from custom.models.near.near_field import NearField
from custom.models.vecset.part_network import set_network
from custom.near.checkpoint_handler import FieldCheckpointHandler
from custom.training import run_checkpoints
from custom.training.run_checkpoints import CheckpointHandler

KINDS = pytest.mark.parametrize("kind", ["field", "completion"])


class Clock:
    """Seconds that pass when they are told to; a writing takes some of them."""

    def __init__(self, writing: float | int) -> None:
        self.now, self.writing, self.written = 0.0, writing, list[float]()

    def monotonic(self) -> float:
        return self.now

    def save(self, content: dict[str, Any], path: Path) -> None:
        self.now += self.writing
        self.written.append(self.now)


def keeper_of(kind: str, seconds: int) -> CheckpointHandler:
    """The checkpoints of a field or of a completing network."""
    evaluator = Mock(Evaluator, state=SimpleNamespace(best_metric=-1.0, iteration=0))
    if kind == "field":
        field = NearField(1, [8], 1, 5, [3, 3, 3, 3])
        dataset = Mock(StructureDataset, cases=["a"], frames={}, fingerprints={})
        return FieldCheckpointHandler(
            "", field, *steps_of(field), dataset, "LA", "table", {}, evaluator, seconds=seconds
        )
    network = set_network(width=8, heads=1, depth=1, point_queries=3, class_tokens=1, latent_channels=4)
    told: tuple[dict[str, str], str, str, dict[str, Any]] = ({}, "phase1", "table", {})
    return CompletionCheckpointHandler("", network, *steps_of(network), *told, evaluator, seconds=seconds)


def steps_of(network: nn.Module) -> tuple[Optimizer, LRScheduler]:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer)


def written(
    monkeypatch: pytest.MonkeyPatch, kind: str, seconds: int, writing: float | int, epochs: int, epoch: int
) -> list[float]:
    """When ``last.pt`` was written."""
    clock = Clock(writing)
    monkeypatch.setattr(run_checkpoints, "time", clock)
    monkeypatch.setattr(run_checkpoints, "save_atomically", clock.save)
    keeper = keeper_of(kind, seconds)
    engine = Mock(Engine, state=SimpleNamespace(epoch=0), scaler=None)
    for _ in range(epochs):
        clock.now += epoch
        keeper.keep(engine)
    return clock.written


@KINDS
def test_a_checkpoint_is_written_when_its_seconds_have_passed(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    assert written(monkeypatch, kind, seconds=10, writing=0.5, epochs=7, epoch=6) == [12.5, 25.0, 37.5]


@KINDS
def test_where_writing_takes_long_it_takes_a_twentieth_of_the_time(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    ends = written(monkeypatch, kind, seconds=10, writing=7, epochs=100, epoch=11)
    assert ends[:2] == [18.0, 18 + 13 * 11 + 7]  # 140 seconds at least in between
    assert 7 * len(ends[1:]) <= 0.05 * ends[-1]


@KINDS
def test_with_0_seconds_a_checkpoint_is_written_after_every_epoch(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    assert written(monkeypatch, kind, seconds=0, writing=7, epochs=3, epoch=1) == [8.0, 16.0, 24.0]
