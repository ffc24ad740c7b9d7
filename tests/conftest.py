"""What every test may rely on: one thread, known seeds, no screen, no network."""

from __future__ import annotations

import os

# Before numpy and torch start their thread pools.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import logging
import random
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from custom.output_record import OVERWRITE, WRITER

SEED = 20240725


@pytest.fixture(autouse=True)
def determinism() -> Iterator[None]:
    """Every test starts from the same seeds on one thread, whatever the test before it has set."""
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(before[0])
    cudnn.deterministic, cudnn.benchmark = before[1:]


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """What a test has done to the project's loggers, or a library it calls, ends with it."""
    yield
    logging.disable(logging.NOTSET)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.split(".")[0] == "custom" and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def writer() -> Iterator[None]:
    """No test counts as the command or bundle that the test before it, or a fixture, ran in this process."""
    os.environ.pop(WRITER, None)
    os.environ.pop(OVERWRITE, None)
    yield
    os.environ.pop(WRITER, None)
    os.environ.pop(OVERWRITE, None)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for another machine fails; the loopback stays open for process groups."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = str(address[0]) if isinstance(address, tuple) else ""
        if self.family in (socket.AF_INET, socket.AF_INET6) and host not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}; tests run without a network")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
