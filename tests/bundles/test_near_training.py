"""Training by the true configs: it learns, it writes what it says, and a broken run ends as an unbroken one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigWorkflow
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from custom.errors import InputError
from custom.near.field_checkpoint import load_checkpoint
from custom.training.checkpoint_file import save_atomically
from custom.training.preflight import root_cause
from tests.bundles.interrupted_training import break_off

EVERY_EPOCH = 0.0
"""As ``save_seconds``: ``last.pt`` is written after every epoch."""


def events(output_dir: Path) -> EventAccumulator:
    found = EventAccumulator(str(output_dir / "LA" / "tensorboard"))
    found.Reload()
    return found


def largest_difference(one: Path, other: Path, name: str = "last.pt") -> float:
    """The largest difference of any weight or code of two runs."""
    weights = [load_checkpoint(folder / "LA" / name)["model"] for folder in (one, other)]
    assert list(weights[0]) == list(weights[1])
    return max(float((weights[0][key] - weights[1][key]).abs().max()) for key in weights[0])


def parts(workflow: ConfigWorkflow, *names: str) -> list[Any]:
    """Parts of a workflow before it runs, built in the order in which a run builds them: the seed comes first."""
    workflow.initialize()
    return [workflow.parser.get_parsed_content(name) for name in ("preflight", *names)][1:]


def train_until(bundle: Any, output_dir: Path, event: Any, **overrides: Any) -> None:
    """Train, and break off at an event of the trainer."""
    workflow = bundle.workflow("training", ["train", "smoke"], output_dir, **overrides)
    break_off(workflow, event)


def only_first_labels(source: Path, target: Path, count: int) -> Path:
    """A copy of a folder of label maps that holds the labels 1 to ``count`` only."""
    target.mkdir()
    for path in source.glob("*.nii.gz"):
        image = nib.load(path)
        array = np.asarray(image.dataobj)
        nib.save(nib.Nifti1Image(np.where(array > count, 0, array).astype(np.uint8), image.affine), target / path.name)
    return target


def test_the_loss_falls_and_the_best_dice_is_above_0_8(trained: Path) -> None:
    scalars = events(trained)
    loss = [event.value for event in scalars.Scalars("train_loss")]
    dice = [event.value for event in scalars.Scalars("val_dice")]
    assert len(loss) == 40
    assert sum(loss[-5:]) < sum(loss[:5]) / 3
    assert len(dice) == 4
    assert max(dice) > 0.8


def test_tensorboard_counts_epochs_and_shows_a_picture_of_label_and_field(trained: Path) -> None:
    found = events(trained)
    assert [event.step for event in found.Scalars("val_dice")] == [10, 20, 30, 40]
    (tag,) = found.Tags()["images"]
    assert tag.startswith("phantom_000")
    pictures = found.Images(tag)
    assert [picture.step for picture in pictures] == [20, 40]
    assert (pictures[0].width, pictures[0].height) == (2 * 24, 24)


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_a_checkpoint_is_read_without_running_code_from_it(trained: Path, name: str) -> None:
    content = torch.load(trained / "LA" / name, weights_only=True)
    assert content["structure"] == "LA"
    assert content["cases"] == ["phantom_000", "phantom_001", "phantom_002"]
    assert content["model"]["codes.table.weight"].shape == (3, 16)


def test_last_holds_what_going_on_needs(trained: Path) -> None:
    content = load_checkpoint(trained / "LA" / "last.pt")
    assert content["epoch"] == 40
    assert content["scheduler"]["last_epoch"] == 40
    steps = [state["step"] for state in content["optimizer"]["state"].values()]
    assert torch.cat([step.flatten() for step in steps]).unique().tolist() == [40.0]
    assert steps[-1].tolist() == [40.0] * 3, "each code has a count of its own"


def test_best_holds_the_weights_of_the_best_validation(bundle: Any, trained: Path, tmp_path: Path) -> None:
    dice = {event.step: event.value for event in events(trained).Scalars("val_dice")}
    best_epoch = max(dice, key=lambda step: dice[step])
    train_until(bundle, tmp_path, Events.EPOCH_COMPLETED(once=best_epoch), **bundle.quick, save_seconds=EVERY_EPOCH)
    assert largest_difference(trained, tmp_path, "best.pt") == 0.0


def test_a_structure_may_be_called_by_its_index(bundle: Any, trained: Path, tmp_path: Path) -> None:
    bundle.train(tmp_path, structure=2)
    assert largest_difference(trained, tmp_path) == 0.0


def test_the_share_of_band_points_follows_the_milestones(bundle: Any, tmp_path: Path) -> None:
    workflow = bundle.workflow("training", ["train", "smoke"], tmp_path, max_epochs=6, bias_milestones=[2, 5])
    trainer, sampling = parts(workflow, "train::trainer", "train::sampling")
    seen: list[float] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(sampling.ratio))
    workflow.run()
    assert seen == [0.5, 0.5, 0.3, 0.3, 0.3, 0.1]


@pytest.mark.parametrize(
    ("batch_size", "event", "kept"),
    [
        pytest.param(6, Events.EPOCH_COMPLETED(once=13), 13, id="after an epoch"),
        pytest.param(2, Events.ITERATION_COMPLETED(once=25), 12, id="within an epoch"),
    ],
)
def test_a_run_broken_off_and_taken_up_again_equals_an_unbroken_one(
    bundle: Any, tmp_path: Path, batch_size: int, event: Any, kept: int
) -> None:
    settings = bundle.quick | {"max_epochs": 20, "bias_milestones": [5, 14], "batch_size": batch_size}
    bundle.train(tmp_path / "unbroken", **settings)
    train_until(bundle, tmp_path / "broken", event, **settings, save_seconds=EVERY_EPOCH)
    assert load_checkpoint(tmp_path / "broken" / "LA" / "last.pt")["epoch"] == kept
    bundle.train(tmp_path / "broken", **settings)
    assert largest_difference(tmp_path / "unbroken", tmp_path / "broken") == 0.0
    assert largest_difference(tmp_path / "unbroken", tmp_path / "broken", "best.pt") == 0.0


def test_codes_in_a_file_are_learned_and_taken_up_again_as_in_memory(bundle: Any, tmp_path: Path) -> None:
    settings = bundle.quick | {"max_epochs": 12, "batch_size": 2}
    bundle.train(tmp_path / "memory", **settings)
    bundle.train(tmp_path / "file", **settings, codes_on_disk=True)
    train_until(bundle, tmp_path / "broken", Events.EPOCH_COMPLETED(once=7), **settings, save_seconds=EVERY_EPOCH)
    bundle.train(tmp_path / "broken", **settings, codes_on_disk=True)
    assert largest_difference(tmp_path / "memory", tmp_path / "file") == 0.0
    assert largest_difference(tmp_path / "memory", tmp_path / "broken") == 0.0
    assert largest_difference(tmp_path / "memory", tmp_path / "file", "best.pt") == 0.0


def test_a_run_taken_up_again_keeps_its_best_against_later_worse_ones(bundle: Any, tmp_path: Path) -> None:
    train_until(bundle, tmp_path, Events.EPOCH_COMPLETED(once=25), **bundle.quick, save_seconds=EVERY_EPOCH)
    last, best = tmp_path / "LA" / "last.pt", tmp_path / "LA" / "best.pt"
    save_atomically({**load_checkpoint(last), "best": 1.0}, last)
    before = best.read_bytes()
    bundle.train(tmp_path)
    assert best.read_bytes() == before
    assert load_checkpoint(last)["best"] == 1.0


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param({"amp": True}, id="bfloat16"),
        pytest.param({"loss": "dice_focal"}, id="Dice and focal loss"),
        pytest.param({"code_side": 6, "latent_size": 4}, id="a grid of codes"),
        pytest.param(
            {"label_table": "totalsegmentator_heart", "structure": "heart_ventricle_left"}, id="another table"
        ),
    ],
)
def test_the_other_choices_learn_too(bundle: Any, tmp_path: Path, overrides: dict[str, Any]) -> None:
    if "label_table" in overrides:
        overrides["dataset_dir"] = str(only_first_labels(bundle.labels, tmp_path / "labels", 5))
    workflow = bundle.train(tmp_path, **overrides)
    assert workflow.parser.get_parsed_content("validate::evaluator").state.best_metric > 0.7


def test_a_finished_run_started_again_changes_nothing(bundle: Any, tmp_path: Path) -> None:
    settings = {"max_epochs": 3}
    bundle.train(tmp_path, **settings)
    before = load_checkpoint(tmp_path / "LA" / "last.pt")
    bundle.train(tmp_path, **settings)
    after = load_checkpoint(tmp_path / "LA" / "last.pt")
    assert all(torch.equal(before["model"][key], after["model"][key]) for key in before["model"])
    assert (before["epoch"], before["best"]) == (after["epoch"], after["best"])


def test_a_run_broken_off_before_its_first_checkpoint_starts_anew(bundle: Any, trained: Path, tmp_path: Path) -> None:
    train_until(bundle, tmp_path, Events.EPOCH_COMPLETED(once=5), **bundle.quick)
    assert not (tmp_path / "LA" / "last.pt").exists()
    bundle.train(tmp_path)
    assert largest_difference(trained, tmp_path) == 0.0


def test_a_run_is_not_taken_up_with_another_length(bundle: Any, tmp_path: Path) -> None:
    bundle.train(tmp_path, max_epochs=3)
    with pytest.raises(RuntimeError) as raised:
        bundle.train(tmp_path, max_epochs=4)
    cause = root_cause(raised.value)
    assert isinstance(cause, InputError)
    assert "begun with max_epochs = 3" in str(cause)


@pytest.mark.slow
def test_a_killed_process_started_again_by_the_same_command_equals_an_unbroken_run(bundle: Any, tmp_path: Path) -> None:
    settings = bundle.quick | {"max_epochs": 300, "save_seconds": EVERY_EPOCH}
    bundle.train(tmp_path / "unbroken", **settings)
    command = [sys.executable, *bundle.command("training", ["train", "smoke"], tmp_path / "broken", **settings)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    last = tmp_path / "broken" / "LA" / "last.pt"
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            deadline = time.monotonic() + 120
            while not last.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert process.returncode == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert 0 < load_checkpoint(last)["epoch"] < 300
    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "going on after epoch" in again.stdout + again.stderr
    assert largest_difference(tmp_path / "unbroken", tmp_path / "broken") == 0.0
    assert largest_difference(tmp_path / "unbroken", tmp_path / "broken", "best.pt") == 0.0
