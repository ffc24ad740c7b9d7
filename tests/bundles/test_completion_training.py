"""Networks trained by the true configs: phase after phase, broken off and taken up again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from custom.anatomy import table
from custom.completion.set_checkpoint import load_completion, network_of
from custom.errors import InputError
from custom.phantoms.write_cohort import make_cohort
from custom.training.checkpoint_file import save_atomically
from custom.training.preflight import root_cause
from tests.bundles.completion_helpers import SHORT, command, train, workflow
from tests.bundles.interrupted_training import break_off

NAMES = table().names


@pytest.fixture(scope="module")
def clouded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four phantoms, and their clouds once the first run has made them."""
    folder = tmp_path_factory.mktemp("clouded")
    make_cohort(folder, cases=4, size=32)
    return folder


@pytest.fixture(scope="module")
def first(clouded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a finished first phase; not to be written to."""
    output_dir = tmp_path_factory.mktemp("first")
    train(clouded, output_dir, "phase1")
    return output_dir


def model_of(output_dir: Path, phase: str = "phase1", name: str = "last.pt") -> dict[str, torch.Tensor]:
    model: dict[str, torch.Tensor] = load_completion(output_dir / phase / name)["model"]
    return model


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[key], other[key]) for key in other)


def refusal(*arguments: Any, **settings: Any) -> str:
    with pytest.raises(InputError) as raised:
        train(*arguments, **settings)
    return str(raised.value)


def scalars(output_dir: Path, phase: str = "phase1") -> EventAccumulator:
    found = EventAccumulator(str(output_dir / phase / "tensorboard"))
    found.Reload()
    return found


def test_every_term_of_the_loss_and_every_dice_has_its_name_in_tensorboard(first: Path) -> None:
    found = scalars(first)
    names = set(found.Tags()["scalars"])
    terms = {f"loss_{term}" for term in ("volume", "near", "surface", "eikonal", "side")}
    assert names >= terms | {"train_loss", "mean_slope", "learning_rate", "val_dice", "val_dice_present"}
    assert "val_dice_completed" not in names
    weights = {"loss_volume": 1, "loss_near": 10, "loss_surface": 10, "loss_eikonal": 0.001, "loss_side": 10}
    last = {name: found.Scalars(name)[-1].value for name in terms | {"train_loss"}}
    assert last["train_loss"] == pytest.approx(sum(weights[name] * last[name] for name in terms), rel=1e-4)
    assert [event.step for event in found.Scalars("val_dice")] == [2, 4]
    loss = [event.value for event in found.Scalars("train_loss")]
    assert loss[-1] < loss[0]


def test_the_learning_rate_rises_and_falls(first: Path) -> None:
    rates = [event.value for event in scalars(first).Scalars("learning_rate")]
    assert rates[0] == pytest.approx(0.0002) and rates[1] == pytest.approx(0.002)
    assert rates[1] > rates[2] > rates[3]


def test_a_checkpoint_rebuilds_its_network(first: Path) -> None:
    content = load_completion(first / "phase1" / "best.pt")
    assert content["phase"] == "phase1" and content["settings"]["frame"] == {"scale_mm": 100.0, "centre_mm": []}
    network = network_of(content)
    assert not network.training
    assert network(torch.rand(1, 16, 31)).shape == (1, 10, 31)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(Events.EPOCH_COMPLETED(once=2), id="after an epoch"),
        pytest.param(Events.ITERATION_COMPLETED(once=5), id="within an epoch"),
    ],
)
def test_a_run_broken_off_and_taken_up_again_equals_an_unbroken_one(clouded: Path, tmp_path: Path, event: Any) -> None:
    settings = {"save_seconds": 0.0, "batch_size": 1, "init_from": ""}
    train(clouded, tmp_path / "unbroken", "phase2", **settings)
    where = {"dataset_dir": clouded / "truth", "clouds_dir": clouded / "clouds", "output_dir": tmp_path / "broken"}
    begun = workflow("training", ["train", "smoke", "phase2"], **(SHORT | settings | where))
    break_off(begun, event)
    assert 0 < load_completion(tmp_path / "broken" / "phase2" / "last.pt")["epoch"] < 4
    train(clouded, tmp_path / "broken", "phase2", **settings)
    for name in ("last.pt", "best.pt"):
        assert same(*(model_of(tmp_path / which, "phase2", name) for which in ("unbroken", "broken")))


def test_a_phase_starts_from_the_one_before_and_completes_what_it_hides(
    clouded: Path, first: Path, tmp_path: Path
) -> None:
    best = first / "phase1" / "best.pt"
    train(clouded, tmp_path / "second", "phase2", init_from=best, learning_rate=1e-9, weight_decay=0.0)
    before, after = model_of(first, "phase1", "best.pt"), model_of(tmp_path / "second", "phase2")
    assert all(torch.allclose(before[key], after[key], atol=1e-6) for key in before)
    assert scalars(tmp_path / "second", "phase2").Scalars("val_dice_completed")


def test_of_partial_labels_only_what_is_labelled_is_shown_and_judged(clouded: Path, tmp_path: Path) -> None:
    items = [{"label": str(path), "labelled": ["LV", "RV", "Aorta"]} for path in sorted(clouded.glob("truth/*.gz"))]
    listing = tmp_path / "partial.json"
    listing.write_text(json.dumps(items))
    phase4 = {"init_from": "", "dataset_dir": listing}
    workflow_ = train(clouded, tmp_path, "phase4", **phase4)
    batch = next(iter(workflow_.parser.get_parsed_content("train::dataloader")))
    labelled = np.asarray([name in ("LV", "RV", "Aorta") for name in NAMES])
    assert (batch["label_valid"].numpy() == labelled).all()
    assert not batch["input_present"].numpy()[:, ~labelled].any()
    found = set(scalars(tmp_path, "phase4").Tags()["scalars"])
    assert {name for name in NAMES if f"val_dice_{name}" in found} <= {"LV", "RV", "Aorta"}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"variant": "parts", "point_queries": 3}, id="the part-wise variant"),
        pytest.param({"accumulation_steps": 2, "batch_size": 1}, id="gradients of two steps added up"),
        pytest.param({"eikonal_share": 0.0}, id="without slopes"),
        pytest.param({"cache_cases": 0, "point_queries": 0}, id="nothing in memory, learned tokens alone"),
    ],
)
def test_the_other_choices_learn_too(clouded: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    train(clouded, tmp_path, **({"max_epochs": 15, "val_interval": 15} | settings))
    loss = [event.value for event in scalars(tmp_path).Scalars("train_loss")]
    assert loss[-1] < 0.95 * loss[0]


def test_a_run_is_not_taken_up_with_other_settings_cases_or_none(clouded: Path, first: Path) -> None:
    assert "begun with near_weight = 10.0" in refusal(clouded, first, "phase1", near_weight=5.0)
    assert "because resume is false" in refusal(clouded, first, "phase1", resume=False)
    one = clouded / "truth" / "phantom_000.nii.gz"
    assert "begun with cases" in refusal(clouded, first, "phase1", dataset_dir=one)


def test_a_finished_run_given_again_changes_nothing(clouded: Path, first: Path) -> None:
    before = model_of(first)
    train(clouded, first, "phase1")
    assert same(before, model_of(first))


def test_weights_of_another_size_or_another_bundle_are_refused(clouded: Path, first: Path, tmp_path: Path) -> None:
    best = first / "phase1" / "best.pt"
    assert "weights of another network" in refusal(clouded, tmp_path / "a", init_from=best, width=16)
    assert "no such file" in refusal(clouded, tmp_path / "b", init_from=tmp_path / "none.pt")
    save_atomically({"format": "another"}, tmp_path / "other.pt")
    assert "a file of format 'another'" in refusal(clouded, tmp_path / "c", init_from=tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_counts", [3]),
        ("hidden_schemes", "no_atria"),
        ("variant", "whole"),
        ("truncation_mm", 0),
        ("rotation_deg", 180),
        ("val_share", 1.0),
        ("phase", "../phase1"),
        ("points_per_case", 100),
    ],
)
def test_a_setting_that_no_run_can_use_is_refused_by_name(clouded: Path, tmp_path: Path, name: str, value: Any) -> None:
    assert refusal(clouded, tmp_path, **{name: value}).startswith(f"--{name}: found ")


def test_a_disk_that_is_full_leaves_the_checkpoint_that_was_there(
    clouded: Path, first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (first / "phase1" / "last.pt").read_bytes()

    def full(*arguments: Any, **settings: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("custom.near.field_checkpoint.torch.save", full)
    assert "No space left on device" in refusal(clouded, first, "phase1")
    monkeypatch.undo()
    assert (first / "phase1" / "last.pt").read_bytes() == before
    assert root_cause(InputError("a", "b", "c", "d")) is not None


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_the_same_batches(clouded: Path, tmp_path: Path) -> None:
    settings = {"max_epochs": 10, "val_interval": 5, "val_points": 2000, "val_share": 0.0, "hidden_counts": [0, 3]}
    train(clouded, tmp_path / "one", **settings, batch_size=4)
    where = {"dataset_dir": clouded / "truth", "clouds_dir": clouded / "clouds", "output_dir": tmp_path / "two"}
    arguments = command("training", ["train", "smoke", "multi_gpu_train"], **where, **settings, batch_size=2)
    launcher = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*launcher, *arguments[arguments.index("-m") :]],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    content = load_completion(tmp_path / "two" / "phase1" / "last.pt")
    assert content["settings"]["effective_batch"] == 4
    one, two = (model_of(tmp_path / which) for which in ("one", "two"))
    assert all(torch.allclose(one[key], two[key], atol=0.02) for key in one)
    scored = [[event.value for event in scalars(tmp_path / which).Scalars("val_dice")] for which in ("one", "two")]
    assert scored[1] == pytest.approx(scored[0], abs=0.02)
