"""Whole hearts trained by the true configs: all ten are learned, and a broken run ends as an unbroken one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from custom.anatomy import table
from custom.errors import InputError
from custom.metrics.overlap import dice
from custom.models.near.evaluate_grid import points_of, unit_axes
from custom.near.field_checkpoint import field_of, load_checkpoint
from custom.near.heart_checkpoint import load_heart_checkpoint
from custom.phantoms.write_cohort import make_cohort
from custom.training.checkpoint_file import save_atomically
from custom.training.preflight import root_cause
from tests.bundles.conftest import Bundle
from tests.bundles.interrupted_training import break_off
from tests.bundles.unified_helpers import QUICK, command, run, train, workflow

EVERY_EPOCH = 0.0
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
SHORT = {"max_epochs": 6, "val_interval": 2, "picture_interval": 3}


@pytest.fixture(scope="module")
def labels(bundle: Bundle) -> Path:
    return bundle.labels


@pytest.fixture(scope="module")
def hearts(labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a finished run; not to be written to."""
    output_dir = tmp_path_factory.mktemp("hearts")
    train(labels, output_dir)
    return output_dir


def events(output_dir: Path) -> EventAccumulator:
    found = EventAccumulator(str(output_dir / "heart" / "tensorboard"))
    found.Reload()
    return found


def model_of(output_dir: Path, name: str = "last.pt") -> dict[str, torch.Tensor]:
    model: dict[str, torch.Tensor] = load_checkpoint(output_dir / "heart" / name)["model"]
    return model


def same(one: Path, other: Path, name: str = "last.pt") -> bool:
    here, there = model_of(one, name), model_of(other, name)
    return list(here) == list(there) and all(torch.equal(here[key], there[key]) for key in here)


def refusal(*arguments: Any, **settings: Any) -> str:
    with pytest.raises(InputError) as raised:
        train(*arguments, **settings)
    return str(raised.value)


def test_all_ten_structures_are_learned_and_each_has_its_dice_in_tensorboard(hearts: Path) -> None:
    found = events(hearts)
    loss = [event.value for event in found.Scalars("train_loss")]
    assert sum(loss[-5:]) < sum(loss[:5]) / 2
    last = {name: found.Scalars(f"val_dice_{name}")[-1].value for name in table().names}
    assert min(last.values()) > 0.2
    mean = found.Scalars("val_dice")[-1].value
    assert mean == pytest.approx(sum(last.values()) / 10, abs=1e-5)
    assert mean > 0.6


def test_tensorboard_counts_epochs_and_shows_labels_and_field(hearts: Path) -> None:
    found = events(hearts)
    assert [event.step for event in found.Scalars("val_dice")] == [40, 80, 120, 160, 200]
    (tag,) = found.Tags()["images"]
    assert tag.startswith("phantom_000: labels | field")
    assert [picture.step for picture in found.Images(tag)] == [100, 200]


def test_a_checkpoint_holds_the_field_of_the_heart_the_weights_and_the_usual_places(hearts: Path) -> None:
    content = load_heart_checkpoint(hearts / "heart" / "best.pt")
    assert content["structure"] == "heart"
    assert sum(content["class_weights"]) == pytest.approx(10, abs=1e-4)
    weights = dict(zip(table().names, content["class_weights"], strict=True))
    assert weights["Coronary"] > 3 * weights["LV"]
    assert max(weights.values()) <= 10.001 * min(weights.values())
    assert set(content["extents"]) == set(table().names)
    assert field_of(content)(torch.zeros(2, 3, 7)).shape == (2, 10, 7)


@pytest.mark.parametrize(
    ("batch_size", "event"),
    [
        pytest.param(6, Events.EPOCH_COMPLETED(once=3), id="after an epoch"),
        pytest.param(2, Events.ITERATION_COMPLETED(once=7), id="within an epoch"),
    ],
)
def test_a_run_broken_off_and_taken_up_again_equals_an_unbroken_one(
    labels: Path, tmp_path: Path, batch_size: int, event: Any
) -> None:
    settings = SHORT | {"batch_size": batch_size, "save_seconds": EVERY_EPOCH}
    train(labels, tmp_path / "unbroken", **settings)
    begun = workflow(
        "training",
        ["train", "smoke"],
        output_dir=tmp_path / "broken",
        dataset_dir=labels,
        **(QUICK | settings),
    )
    break_off(begun, event)
    assert 0 < load_checkpoint(tmp_path / "broken" / "heart" / "last.pt")["epoch"] < 6
    train(labels, tmp_path / "broken", **settings)
    assert same(tmp_path / "unbroken", tmp_path / "broken")
    assert same(tmp_path / "unbroken", tmp_path / "broken", "best.pt")


def test_a_run_is_not_taken_up_with_another_cap(labels: Path, tmp_path: Path) -> None:
    train(labels, tmp_path, **SHORT)
    assert "begun with weight_cap = 4.0" in refusal(labels, tmp_path, **SHORT, weight_cap=5.0)


def dice_of_la(output_dir: Path) -> float:
    """Of the first head's answers at all voxels of the first case's box with the labels there."""
    stored = next(
        item
        for path in sorted((output_dir / "heart" / "boxes").glob("*.pt"))
        if (item := torch.load(path, weights_only=True))["index"] == 0
    )
    box = stored["label"][0]
    field = field_of(load_checkpoint(output_dir / "heart" / "last.pt"))
    axes = unit_axes(tuple(box.shape))
    with torch.no_grad():
        logits = field(points_of(axes, torch.arange(box.numel())).T[None])[0, table().names.index("LA")]
    return dice((logits > 0).reshape(box.shape).numpy(), box.numpy() == table()["LA"].index)


def test_a_structure_is_learned_from_its_teacher(labels: Path, trained: Path, tmp_path: Path) -> None:
    """Of its labels only one point a case and epoch is asked: what it knows of the atrium it has from the teacher."""
    settings = {"max_epochs": 120, "val_interval": 120, "code_learning_rate": 0.1}
    settings |= {"points_per_structure": 0, "shell_points": 0, "band_points": 1, "background_points": 0}
    train(labels, tmp_path / "taught", **settings, teacher_dir=trained, teacher_weight=10.0)
    train(labels, tmp_path / "not", **settings)
    assert dice_of_la(tmp_path / "taught") > 0.7
    assert dice_of_la(tmp_path / "not") < 0.5


def test_a_teacher_for_no_such_structure_is_refused(labels: Path, trained: Path, tmp_path: Path) -> None:
    message = refusal(labels, tmp_path, teacher_dir=trained, teacher_weights={"Atrium": 1.0})
    assert "'Atrium'" in message
    assert "no STRUCTURE/best.pt" in refusal(labels, tmp_path, teacher_dir=labels)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"code_side": 0, "latent_size": 16, "trunk_channels": [16, 8]}, id="a vector code"),
        pytest.param({"dice_weight": 1.0}, id="with the Dice term"),
        pytest.param({"amp": True}, id="bfloat16"),
        pytest.param({"accumulation_steps": 3, "batch_size": 1}, id="gradients of three steps added up"),
    ],
)
def test_the_other_choices_learn_too(labels: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    train(labels, tmp_path, **(SHORT | {"max_epochs": 25} | settings))
    loss = [event.value for event in events(tmp_path).Scalars("train_loss")]
    assert loss[-1] < 0.85 * loss[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight_cap", 0.5),
        ("missing_structures", "maybe"),
        ("slices_axis", 3),
        ("points_per_structure", -1),
        ("unlabelled", "PV"),
        ("teacher_temperature", 0),
        ("points_per_case", 100),
    ],
)
def test_a_setting_that_no_run_can_use_is_refused_by_name(labels: Path, tmp_path: Path, name: str, value: Any) -> None:
    assert refusal(labels, tmp_path, **{name: value}).startswith(f"--{name}: found ")


def test_a_fresh_run_refuses_the_field_of_a_single_structure(labels: Path, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "heart").mkdir()
    save_atomically(load_checkpoint(trained / "LA" / "last.pt"), tmp_path / "heart" / "last.pt")
    assert "found a run begun with" in refusal(labels, tmp_path, **SHORT)


def test_an_unknown_setting_is_refused_with_the_nearest(labels: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception) as raised:
        run("training", ["train", "smoke"], tmp_path, dataset_dir=labels, wieght_cap=3)
    assert "Did you mean --weight_cap?" in str(root_cause(raised.value))


@pytest.mark.slow
def test_a_killed_process_started_again_by_the_same_command_equals_an_unbroken_run(
    labels: Path, tmp_path: Path
) -> None:
    settings = QUICK | {"save_seconds": EVERY_EPOCH, "dataset_dir": labels}
    train(labels, tmp_path / "unbroken", save_seconds=EVERY_EPOCH)
    arguments = command("training", ["train", "smoke"], output_dir=tmp_path / "broken", **settings)
    last = tmp_path / "broken" / "heart" / "last.pt"
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log, env=ENVIRONMENT)
        try:
            deadline = time.monotonic() + 240
            while not last.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert process.returncode == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert 0 < load_checkpoint(last)["epoch"] < 200
    again = subprocess.run([sys.executable, *arguments], env=ENVIRONMENT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "going on after epoch" in again.stdout + again.stderr
    assert same(tmp_path / "unbroken", tmp_path / "broken")
    assert same(tmp_path / "unbroken", tmp_path / "broken", "best.pt")


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_the_same_batches(tmp_path: Path) -> None:
    make_cohort(tmp_path / "cohort", cases=6, size=40)
    settings = QUICK | {"max_epochs": 20, "val_interval": 10, "dataset_dir": tmp_path / "cohort" / "labels"}
    train(tmp_path / "cohort" / "labels", tmp_path / "one", max_epochs=20, val_interval=10, batch_size=6)
    names = ["train", "smoke", "multi_gpu_train"]
    arguments = command("training", names, output_dir=tmp_path / "two", **settings, batch_size=3)
    launcher = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*launcher, *arguments[arguments.index("-m") :]], env=ENVIRONMENT, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert load_checkpoint(tmp_path / "two" / "heart" / "last.pt")["settings"]["effective_batch"] == 6
    points = 2 * torch.rand(1, 3, 4001) - 1
    answers = []
    for which in ("one", "two"):
        field = field_of(load_checkpoint(tmp_path / which / "heart" / "last.pt"))
        with torch.no_grad():
            answers.append(torch.sigmoid(field(points.expand(6, -1, -1), torch.arange(6))))
    assert float((answers[0] - answers[1]).abs().max()) < 0.01
    dice = [[event.value for event in events(tmp_path / which).Scalars("val_dice_LV")] for which in ("one", "two")]
    assert dice[1] == pytest.approx(dice[0], abs=0.01)
