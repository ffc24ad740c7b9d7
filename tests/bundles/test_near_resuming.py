"""What a run refuses to go on from, and when it stops itself."""

from __future__ import annotations

import gzip
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from custom.errors import InputError
from custom.phantoms.write_cohort import make_cohort
from custom.training.run_bundle import bundle_configs, run_bundle


def train(labels: Path, output: Path, **overrides: Any) -> None:
    settings = {"dataset_dir": str(labels), "output_dir": str(output), "structure": "LA", "device": "cpu", "amp": False}
    run_bundle(bundle_configs("near_stage1", ["train", "smoke"]), "training", **settings, **overrides)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cohort and a run of two epochs."""
    folder = tmp_path_factory.mktemp("begun")
    make_cohort(folder / "phantoms", cases=2, size=32)
    train(folder / "phantoms" / "labels", folder / "out", max_epochs=2)
    return folder


@pytest.fixture
def copied(begun: Path, tmp_path: Path) -> Path:
    shutil.copytree(begun / "out", tmp_path / "out")
    return tmp_path / "out"


def test_a_best_checkpoint_in_the_place_of_the_last_is_refused(begun: Path, copied: Path) -> None:
    shutil.copy(copied / "LA" / "best.pt", copied / "LA" / "last.pt")
    with pytest.raises(InputError, match="last.pt: found a checkpoint without optimizer, scheduler, scaler, epoch"):
        train(begun / "phantoms" / "labels", copied, max_epochs=2)


def test_a_label_map_changed_since_the_run_was_begun_is_named(
    begun: Path, copied: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A config of logging that another test has read may have silenced it.
    monkeypatch.setattr(logging.getLogger("custom.training.run_checkpoints"), "disabled", False)
    labels = tmp_path / "labels"
    shutil.copytree(begun / "phantoms" / "labels", labels)
    changed = labels / "phantom_001.nii.gz"
    changed.write_bytes(gzip.compress(gzip.decompress(changed.read_bytes()), 1))
    with caplog.at_level(logging.WARNING, logger="custom.training.run_checkpoints"):
        train(labels, copied, max_epochs=2)
    assert "1 label maps have changed since the run was begun, among them phantom_001" in caplog.text


def test_a_run_whose_loss_is_no_number_stops_and_says_what_to_do(begun: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found a loss of (nan|inf) in epoch \d+; .* Lower --learning_rate"):
        train(begun / "phantoms" / "labels", tmp_path / "out", max_epochs=4, learning_rate=1e30)
    assert not (tmp_path / "out" / "LA" / "best.pt").exists()


def test_a_finished_run_given_again_changes_nothing(begun: Path, copied: Path) -> None:
    before = torch.load(copied / "LA" / "last.pt", weights_only=True)
    train(begun / "phantoms" / "labels", copied, max_epochs=2)
    after = torch.load(copied / "LA" / "last.pt", weights_only=True)
    assert after["epoch"] == before["epoch"] == 2
    assert all(torch.equal(after["model"][name], value) for name, value in before["model"].items())
