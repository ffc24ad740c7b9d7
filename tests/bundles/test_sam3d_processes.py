"""Two processes draw a heart from a slice as one does: the same is learned from the same batches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from custom.sam3d.shape_checkpoint import load_shape_checkpoint
from tests.bundles.sam3d_helpers import SMALL, command, make_cache, train

OVERLAYS = {"vae": ["vae"], "base": ["base"], "lora": []}
EPOCHS = {"max_epochs": 6, "val_interval": 3, "amp": False}


def train_in_two(cache: Path, output_dir: Path, overlays: list[str]) -> None:
    """A stage with half the batch in each of two processes."""
    settings: dict[str, Any] = SMALL | EPOCHS | {"dataset_dir": cache, "output_dir": output_dir, "batch_size": 2}
    arguments = command("training", ["train", *overlays, "smoke", "multi_gpu_train"], **settings)
    launcher = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*launcher, *arguments[arguments.index("-m") :]],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def learned(content: dict[str, Any]) -> dict[str, torch.Tensor]:
    parts = {f"{part}.{key}": value for part, state in content["parts"].items() for key, value in state.items()}
    return parts | content.get("adapter", {})


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_the_same_batches(tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "cache")
    for stage, overlays in OVERLAYS.items():
        train(cache, tmp_path / "one", *overlays, **EPOCHS)
        train_in_two(cache, tmp_path / "two", overlays)
        one, two = (load_shape_checkpoint(tmp_path / which / stage / "last.pt") for which in ("one", "two"))
        assert two["settings"]["effective_batch"] == one["settings"]["effective_batch"] == SMALL["batch_size"]
        assert two["best"] == pytest.approx(one["best"], abs=1e-4)
        here, there = learned(one), learned(two)
        assert list(here) == list(there)
        assert max(float((here[key] - there[key]).abs().max()) for key in here) < 1e-4, stage
