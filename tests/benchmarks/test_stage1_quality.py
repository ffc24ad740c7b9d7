"""What the quality benchmark counts as won, and what it leaves out."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from benchmarks.peer_smoothers import PEERS
from benchmarks.stage1_quality import DAMAGED, OURS, best_peer, damaged_copies, verdict, without_absent
from custom.metrics.case_scores import ScoreRow


def row(dice: float, assd_mm: float = 1.0, reference_mm3: float = 8.0, structure: str = "LA") -> ScoreRow:
    return ScoreRow(
        case="one",
        structure=structure,
        dice=dice,
        hd95_mm=1.0,
        assd_mm=assd_mm,
        surface_dice=0.5,
        components=1,
        components_reference=1,
        volume_mm3=8.0,
        volume_reference_mm3=reference_mm3,
        empty="" if reference_mm3 else "reference",
    )


def table(ours: ScoreRow) -> dict[str, list[ScoreRow]]:
    rows = {name: [row(0.80)] for name in PEERS}
    rows["median 3"] = [row(0.90)]
    return {DAMAGED: [row(0.85, 0.9)], OURS: [ours], **rows}


def test_the_best_peer_is_the_one_of_the_highest_mean_dice() -> None:
    assert best_peer(table(row(0.95)), "LA") == ("median 3", 0.90)


def test_a_structure_is_won_only_above_the_best_peer_and_better_only_in_both_measures() -> None:
    won = verdict(table(row(0.91, 0.8)), ["LA"])
    assert "Above the best peer's Dice: 1 of 1. Better than the damaged label: 1 of 1." in won
    assert "| LA | 0.850 | 0.900 | 0.910 | median 3 | 0.900 | 0.800 |" in won
    level = verdict(table(row(0.90, 0.9)), ["LA"])
    assert "Above the best peer's Dice: 0 of 1. Better than the damaged label: 0 of 1." in level


def test_a_structure_that_the_truth_lacks_is_left_out_of_every_way() -> None:
    rows = {"ours": [row(0.9), row(0.0, reference_mm3=0.0)], "damaged": [row(0.0, reference_mm3=0.0)]}
    assert [len(own) for own in without_absent(rows).values()] == [1, 0]


def test_hearts_are_damaged_in_copies_and_the_same_way_every_time(tmp_path: Path) -> None:
    hearts = tmp_path / "hearts"
    hearts.mkdir()
    labels = np.zeros((31, 37, 41), np.uint8)
    labels[6:24, 7:29, 8:33] = 3
    nib.save(nib.Nifti1Image(labels, np.diag([1.5, 1.5, 1.5, 1.0])), hearts / "heart.nii.gz")
    first, truth = damaged_copies(hearts, tmp_path / "one", seed=0)
    again, _ = damaged_copies(hearts, tmp_path / "two", seed=0)
    assert truth == hearts
    broken, same = (np.asarray(nib.load(folder / "heart.nii.gz").dataobj) for folder in (first, again))
    np.testing.assert_array_equal(broken, same)
    assert 0.7 < (broken == 3).sum() / (labels == 3).sum() < 1.3
    assert (broken != labels).sum() > 100
    np.testing.assert_array_equal(np.asarray(nib.load(hearts / "heart.nii.gz").dataobj), labels)
