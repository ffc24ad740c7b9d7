"""Unseen hearts by their code alone: noisy, with structures missing, or a few slices of them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from custom.anatomy import table
from custom.data.label_maps import write_label_map
from custom.metrics.overlap import dice
from custom.near.field_checkpoint import load_checkpoint
from custom.phantoms.write_cohort import make_cohort
from tests.bundles.unified_helpers import infer, train

UNSEEN = "phantom_005"
SEVERAL = [UNSEEN, "phantom_006", "phantom_007", "phantom_008"]
FIT = ["train", "smoke", "fit"]
GONE = ["LA", "PA"]


def opened(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(path)
    return np.asarray(image.dataobj), np.asarray(image.affine)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five hearts to train on in ``labels``; of the sixth ``unseen/whole``, ``lacking`` and ``sliced``.

    ``several/whole`` and ``several/lacking`` hold the sixth and three more.
    """
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, cases=5 + len(SEVERAL), size=40)
    for case in SEVERAL:
        labels, affine = opened(folder / "labels" / f"{case}.nii.gz")
        (folder / "labels" / f"{case}.nii.gz").unlink()
        lacking = np.where(np.isin(labels, [table()[name].index for name in GONE]), 0, labels)
        for name, array in (("whole", labels), ("lacking", lacking)):
            write_label_map(folder / "several" / name / f"{case}.nii.gz", array.astype(np.uint8), affine)
    labels, affine = opened(folder / "several" / "whole" / f"{UNSEEN}.nii.gz")
    sliced = np.zeros_like(labels)
    sliced[:, ::4] = labels[:, ::4]
    lacking = opened(folder / "several" / "lacking" / f"{UNSEEN}.nii.gz")[0]
    for name, array in (("whole", labels), ("lacking", lacking), ("sliced", sliced)):
        write_label_map(folder / "unseen" / name / f"{UNSEEN}.nii.gz", array.astype(np.uint8), affine)
    return folder


@pytest.fixture(scope="module")
def hearts(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output_dir = tmp_path_factory.mktemp("hearts")
    train(cohort / "labels", output_dir, max_epochs=300, val_interval=100)
    return output_dir


def fitted(hearts: Path, cohort: Path, which: str, folder: Path, epochs: int = 60, **settings: object) -> np.ndarray:
    """The heart drawn from the code found for ``cohort/unseen/WHICH``."""
    return opened(fit(hearts, cohort / "unseen" / which, folder, epochs, **settings) / f"{UNSEEN}.nii.gz")[0]


def fit(hearts: Path, labels: Path, folder: Path, epochs: int = 60, **settings: object) -> Path:
    """The folder of the hearts drawn from the codes found for label maps."""
    checkpoint = hearts / "heart" / "best.pt"
    shared = {"checkpoint": checkpoint, "run_dir": folder / "fit", "max_epochs": epochs, "val_interval": epochs}
    train(labels, folder, FIT, **shared, **settings)
    infer(folder, checkpoint=folder / "fit" / "best.pt", maps_dir=folder / "maps")
    return folder / "maps"


def mean_dice(drawn: np.ndarray, cohort: Path, names: list[str] | None = None, case: str = UNSEEN) -> float:
    labels, _ = opened(cohort / "several" / "whole" / f"{case}.nii.gz")
    chosen = [table()[name].index for name in (names or [s.name for s in table() if not s.thin])]
    return float(np.mean([dice(drawn == index, labels == index) for index in chosen]))


def test_a_search_moves_the_code_alone_and_comes_nearer_than_the_mean_heart(
    hearts: Path, cohort: Path, tmp_path: Path
) -> None:
    drawn = fitted(hearts, cohort, "whole", tmp_path)
    before, after = load_checkpoint(hearts / "heart" / "best.pt"), load_checkpoint(tmp_path / "fit" / "best.pt")
    assert after["cases"] == [UNSEEN]
    moved = {key for key in after["model"] if not torch.equal(after["model"][key], before["model"][key])}
    assert moved == {"codes.table.weight"}
    mean = before["model"]["codes.table.weight"].mean(dim=0, keepdim=True)
    torch.save({**after, "model": {**after["model"], "codes.table.weight": mean}}, tmp_path / "mean.pt")
    infer(tmp_path, checkpoint=tmp_path / "mean.pt", maps_dir=tmp_path / "mean")
    usual = mean_dice(opened(tmp_path / "mean" / f"{UNSEEN}.nii.gz")[0], cohort)
    assert mean_dice(drawn, cohort) > usual + 0.05
    assert mean_dice(drawn, cohort) > 0.7


def test_missing_structures_are_completed_not_punished(hearts: Path, cohort: Path, tmp_path: Path) -> None:
    spared = fitted(hearts, cohort, "lacking", tmp_path / "spared")
    punished = fitted(hearts, cohort, "lacking", tmp_path / "punished", missing_structures="empty")
    assert mean_dice(spared, cohort, GONE) > 0.35
    assert mean_dice(punished, cohort, GONE) < 0.2
    there = [structure.name for structure in table() if not structure.thin and structure.name not in GONE]
    assert mean_dice(spared, cohort, there) > 0.7


def test_the_box_of_a_heart_that_lacks_structures_is_that_of_the_whole(
    hearts: Path, cohort: Path, tmp_path: Path
) -> None:
    for which in ("whole", "lacking"):
        fitted(hearts, cohort, which, tmp_path / which, epochs=1)
    boxes = []
    for which in ("whole", "lacking"):
        frame = load_checkpoint(tmp_path / which / "fit" / "best.pt")["frames"][UNSEEN]
        boxes.append(np.asarray([frame["low_ijk"], frame["high_ijk"]]))
    assert np.abs(boxes[0] - boxes[1]).max() <= 3


def test_what_is_called_unlabelled_is_completed_although_the_map_says_otherwise(
    hearts: Path, cohort: Path, tmp_path: Path
) -> None:
    completed = fitted(hearts, cohort, "lacking", tmp_path, missing_structures="empty", unlabelled=GONE)
    assert mean_dice(completed, cohort, GONE) > 0.35


def test_every_fourth_slice_is_enough_for_a_heart(hearts: Path, cohort: Path, tmp_path: Path) -> None:
    sliced = fitted(hearts, cohort, "sliced", tmp_path / "known", slices_axis=1)
    taken_whole = fitted(hearts, cohort, "sliced", tmp_path / "taken_whole", missing_structures="empty")
    assert mean_dice(sliced, cohort) > 0.55
    assert mean_dice(taken_whole, cohort) < mean_dice(sliced, cohort) - 0.2


def test_along_the_modes_what_is_missing_goes_with_what_is_there(hearts: Path, cohort: Path, tmp_path: Path) -> None:
    dices = []
    for modes in (0, 32):
        maps = fit(hearts, cohort / "several" / "lacking", tmp_path / str(modes), modes=modes)
        drawn = {case: opened(maps / f"{case}.nii.gz")[0] for case in SEVERAL}
        dices.append(np.mean([mean_dice(drawn[case], cohort, GONE, case) for case in SEVERAL]))
    assert dices[1] > dices[0] + 0.02


def test_a_search_taken_up_again_equals_an_unbroken_one(hearts: Path, cohort: Path, tmp_path: Path) -> None:
    """It begins at the same heart along the modes."""
    for folder in ("unbroken", "broken"):
        fitted(hearts, cohort, "whole", tmp_path / folder, epochs=6)
    last = tmp_path / "broken" / "fit" / "last.pt"
    before = load_checkpoint(last)["model"]["codes.table.weight"]
    fitted(hearts, cohort, "whole", tmp_path / "broken", epochs=6)
    after = load_checkpoint(last)["model"]["codes.table.weight"]
    unbroken = load_checkpoint(tmp_path / "unbroken" / "fit" / "last.pt")["model"]["codes.table.weight"]
    assert torch.equal(before, after) and torch.equal(after, unbroken)


def test_a_found_heart_is_decided_by_the_calibrated_thresholds_of_the_trained_ones(
    hearts: Path, cohort: Path, tmp_path: Path
) -> None:
    trained = load_checkpoint(hearts / "heart" / "best.pt")
    calibrated = {name.name: 0.4 for name in table()}
    torch.save({**trained, "thresholds": calibrated}, tmp_path / "calibrated.pt")
    shared = {"checkpoint": tmp_path / "calibrated.pt", "run_dir": tmp_path / "fit", "max_epochs": 1, "val_interval": 1}
    train(cohort / "unseen" / "whole", tmp_path, FIT, **shared)
    assert load_checkpoint(tmp_path / "fit" / "best.pt")["thresholds"] == calibrated
