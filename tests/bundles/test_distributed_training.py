"""However a batch is cut up, over processes or over steps, the same is learned from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from custom.near.field_checkpoint import field_of, load_checkpoint
from custom.phantoms.write_cohort import make_cohort

TOLERANCE = 0.01
"""Of a probability. Gradients are summed in another order, and Adam turns the rounding noise of weights that have no
gradient (a bias before a normalisation) into steps of full length. The answers then differ by less than 1e-5 for some
twenty epochs, and by a few thousandths after forty. Other batches would be seen at once: they move answers by 0.1."""


def dice_over_epochs(output_dir: Path) -> list[tuple[int, float]]:
    found = EventAccumulator(str(output_dir / "LA" / "tensorboard"))
    found.Reload()
    return [(event.step, event.value) for event in found.Scalars("val_dice")]


def probabilities(output_dir: Path, points: torch.Tensor) -> torch.Tensor:
    """Of every case's field at the same points, [cases, n]."""
    content = load_checkpoint(output_dir / "LA" / "last.pt")
    field, cases = field_of(content), len(content["cases"])
    with torch.no_grad():
        logits = field(points.expand(cases, -1, -1), torch.arange(cases))
    return torch.sigmoid(logits[:, 0])


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_the_same_batches(bundle: Any, tmp_path: Path) -> None:
    make_cohort(tmp_path / "cohort", cases=6, size=40)
    settings = bundle.quick | {"dataset_dir": str(tmp_path / "cohort" / "labels")}
    bundle.train(tmp_path / "one", **settings, batch_size=6)
    names = ["train", "smoke", "multi_gpu_train"]
    arguments = bundle.command("training", names, tmp_path / "two", **settings, batch_size=3)
    launcher = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    start = arguments.index("-m")
    run = subprocess.run(
        [*launcher, *arguments[start:]],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    dice = [dice_over_epochs(tmp_path / which) for which in ("one", "two")]
    assert [step for step, _ in dice[1]] == [10, 20, 30, 40]
    assert dice[1][-1][1] > 0.8
    assert load_checkpoint(tmp_path / "two" / "LA" / "last.pt")["settings"]["effective_batch"] == 6
    points = 2 * torch.rand(1, 3, 4001) - 1
    one, two = (probabilities(tmp_path / which, points) for which in ("one", "two"))
    assert float((one - two).abs().max()) < TOLERANCE
    for (_, here), (_, there) in zip(*dice, strict=True):
        assert there == pytest.approx(here, abs=1e-3)


def test_gradients_added_up_over_three_steps_learn_what_one_batch_of_three_teaches(
    bundle: Any, trained: Path, tmp_path: Path
) -> None:
    bundle.train(tmp_path, batch_size=1, accumulation_steps=3)
    points = 2 * torch.rand(1, 3, 4001) - 1
    assert float((probabilities(trained, points) - probabilities(tmp_path, points)).abs().max()) < TOLERANCE
