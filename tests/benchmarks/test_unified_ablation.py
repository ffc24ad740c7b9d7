"""The ladder of levers, and the softmax at its end."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.softmax_ablation import Largest, SoftmaxLoss
from benchmarks.unified_ablation import levers, main
from benchmarks.unified_runs import plain_settings
from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.phantoms.write_cohort import make_cohort


def test_every_rung_asks_as_many_points_and_adds_one_lever() -> None:
    configured = {**plain_settings(), "dice_weight": 0.0}
    ladder = levers(configured)
    points = {
        10 * (one["points_per_structure"] + one.get("shell_points", 0)) + one["band_points"] + one["background_points"]
        for one in ladder.values()
    }
    assert len(points) == 1
    plain, weighted, resampled, taught, softmax, even = ladder.values()
    assert plain["weight_cap"] == 1 < weighted["weight_cap"]
    assert plain["points_per_structure"] == weighted["points_per_structure"] == 0
    assert resampled["points_per_structure"] == configured["points_per_structure"]
    assert taught == {**resampled, "teachers": True}
    assert not any(one["teachers"] for one in (plain, weighted, resampled, softmax, even))
    assert even == {**softmax, "weight_cap": 1}
    assert list(levers({**configured, "dice_weight": 0.5}))[3] == "+ Dice"


def test_the_softmax_loss_is_the_cross_entropy_of_background_and_structures() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 17)
    hard = torch.randint(0, 4, (2, 17))
    target = F.one_hot(hard, 4).movedim(-1, 1)[:, 1:].float()
    whole = torch.cat([torch.zeros(2, 1, 17), logits], dim=1)
    even = SoftmaxLoss([1.0, 1.0, 1.0])(logits, target)
    torch.testing.assert_close(even, F.cross_entropy(whole, hard))
    weighed = SoftmaxLoss([0.5, 2.0, 3.0])(logits, target)
    each = F.cross_entropy(whole, hard, reduction="none") * torch.tensor([0.5, 0.5, 2.0, 3.0])[hard]
    torch.testing.assert_close(weighed, each.mean())
    unknown = target.clone()
    unknown[:, :, 5:] = -1
    torch.testing.assert_close(
        SoftmaxLoss([1.0, 1.0, 1.0])(logits, unknown), F.cross_entropy(whole[..., :5], hard[..., :5])
    )


def test_the_largest_logit_wins_and_that_of_background_is_zero() -> None:
    logits = torch.full((1, 10, 3), -4.0)
    logits[0, 2, 1], logits[0, 8, 1], logits[0, 8, 2] = 0.1, 3.0, -0.1
    labels = Largest(PUBLIC_CARDIAC_CT)(torch.sigmoid(logits))
    assert labels.flatten().tolist() == [0, PUBLIC_CARDIAC_CT.indices[8], 0]


def test_rungs_are_trained_and_scored(tmp_path: Path) -> None:
    make_cohort(tmp_path / "cohort", cases=2, size=32)
    fused, truth = str(tmp_path / "cohort" / "labels"), str(tmp_path / "cohort" / "truth")
    only = ["+ positive resampling", "+ distillation", "softmax, resampled"]
    main(str(tmp_path / "out"), fused=fused, truth=truth, steps=30, only=only, quick=True)
    found = json.loads((tmp_path / "out" / "ablation.json").read_text())
    resampled, softmax = found["runs"]  # there are no teachers
    assert resampled["name"] == "+ positive resampling"
    assert len(resampled["thresholds"]) == 10
    assert softmax["thresholds"] == {}
    assert softmax["calibrated"] == softmax["even"]
    assert max(softmax["even"]["learned"].values()) > 0.1
    text = (tmp_path / "out" / "ablation.md").read_text()
    assert text.count("softmax, resampled") == 2
