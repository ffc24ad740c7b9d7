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

from custom.cohort.structure_dataset import StructureDataset
from custom.engines import handlers
from custom.engines.handlers import Checkpoints
from custom.fields.near import NearField


class Clock:
    """Seconds that pass when they are told to; a writing takes some of them."""

    def __init__(self, writing: float | int) -> None:
        self.now, self.writing, self.written = 0.0, writing, list[float]()

    def monotonic(self) -> float:
        return self.now

    def save(self, content: dict[str, Any], path: Path) -> None:
        self.now += self.writing
        self.written.append(self.now)


def written(
    monkeypatch: pytest.MonkeyPatch, seconds: int, writing: float | int, epochs: int, epoch: int
) -> list[float]:
    """When ``last.pt`` was written."""
    clock = Clock(writing)
    monkeypatch.setattr(handlers, "time", clock)
    monkeypatch.setattr(handlers, "save_atomically", clock.save)
    field = NearField(1, [8], 1, 5, [3, 3, 3, 3])
    optimizer = torch.optim.SGD(field.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
    dataset = Mock(StructureDataset, cases=["a"], frames={}, fingerprints={})
    evaluator = Mock(Evaluator, state=SimpleNamespace(best_metric=-1.0, iteration=0))
    keeper = Checkpoints("", field, optimizer, scheduler, dataset, "LA", "table", {}, evaluator, seconds=seconds)
    engine = Mock(Engine, state=SimpleNamespace(epoch=0), scaler=None)
    for _ in range(epochs):
        clock.now += epoch
        keeper.keep(engine)
    return clock.written


def test_a_checkpoint_is_written_when_its_seconds_have_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(monkeypatch, seconds=10, writing=0.5, epochs=7, epoch=6) == [12.5, 25.0, 37.5]


def test_where_writing_takes_long_it_takes_a_twentieth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = written(monkeypatch, seconds=10, writing=7, epochs=100, epoch=11)
    assert ends[:2] == [18.0, 18 + 13 * 11 + 7]  # 140 seconds at least in between
    assert 7 * len(ends[1:]) <= 0.05 * ends[-1]


def test_with_0_seconds_a_checkpoint_is_written_after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(monkeypatch, seconds=0, writing=7, epochs=3, epoch=1) == [8.0, 16.0, 24.0]
