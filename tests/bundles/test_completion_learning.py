"""The network learns what hearts look like: better than the mean of its training hearts, on hearts it never saw."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from jaxtyping import UInt8

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.completion.complete_case import complete_case, load_completer
from custom.phantoms.write_cohort import make_cohort
from tests.bundles.completion_helpers import run

Labels = UInt8[np.ndarray, "i j k"]
INDICES = PUBLIC_CARDIAC_CT.indices
HIDDEN = [PUBLIC_CARDIAC_CT[name].index for name in ("LA", "RV", "Aorta")]


def hearts_of(folder: Path, cases: int, seed: int) -> list[tuple[Labels, np.ndarray]]:
    make_cohort(folder, cases=cases, size=48, seed=seed)
    images = [nib.load(path) for path in sorted((folder / "truth").glob("*.nii.gz"))]
    return [(np.asarray(image.dataobj).astype(np.uint8), image.affine) for image in images]


def dice(found: Labels, truth: Labels, indices: list[int]) -> float:
    pairs = [((found == index), (truth == index)) for index in indices]
    return float(np.mean([2 * (one & other).sum() / (one.sum() + other.sum()) for one, other in pairs]))


def voted(hearts: list[tuple[Labels, np.ndarray]]) -> Labels:
    """The label that most training hearts have at each voxel."""
    votes = np.stack([sum((labels == index).astype(int) for labels, _ in hearts) for index in (0, *INDICES)])
    return np.asarray((0, *INDICES), np.uint8)[votes.argmax(axis=0)]


@pytest.mark.slow
def test_hearts_never_seen_are_rebuilt_and_completed_better_than_by_the_mean_heart(tmp_path: Path) -> None:
    known, unseen = hearts_of(tmp_path / "known", 24, seed=11), hearts_of(tmp_path / "unseen", 4, seed=12)
    settings = {"cloud_points": 20000, "hidden_counts": [0, 3], "val_share": 0.0, "val_points": 3000}
    settings |= {"max_epochs": 60, "val_interval": 30, "dataset_dir": tmp_path / "known" / "truth"}
    run("training", ["train", "sizes/tiny"], output_dir=tmp_path / "run", **settings)
    completer, mean = load_completer(tmp_path / "run" / "phase1" / "best.pt"), voted(known)
    figures = []
    for truth, affine in unseen:
        rebuilt = complete_case(truth, affine, completer, keep_given=False).labels
        partial = np.where(np.isin(truth, HIDDEN), 0, truth).astype(np.uint8)
        whole = complete_case(partial, affine, completer).labels
        in_the_mean = np.where(partial > 0, partial, np.where(np.isin(mean, HIDDEN), mean, 0))
        figures.append([dice(rebuilt, truth, list(INDICES)), dice(mean, truth, list(INDICES)),
                        dice(whole, truth, HIDDEN), dice(in_the_mean, truth, HIDDEN)])  # fmt: skip
    rebuilt_dice, mean_dice, completed, completed_by_mean = np.mean(figures, axis=0)
    assert rebuilt_dice > mean_dice + 0.1
    assert completed > completed_by_mean + 0.03
