"""The terms of a stage's loss, on shapes small enough to count."""

from __future__ import annotations

import math

import pytest
import torch

from custom.sam3d.stage_loss import ShapeLoss, plane_error

SURE = 20.0


def shape() -> torch.Tensor:
    """Two cases of 3^3 voxels: one voxel inside each."""
    occupancy = torch.zeros(2, 1, 3, 3, 3)
    occupancy[0, 0, 2, 1, 0] = occupancy[1, 0, 0, 1, 2] = 1
    return occupancy


def test_only_the_plane_that_was_seen_is_compared_with_the_mask() -> None:
    occupancy = shape()
    logits = SURE * (2 * occupancy - 1)
    logits[1, 0, 2] = SURE  # wrong, but in another plane
    error = plane_error(logits, occupancy, torch.tensor([1, 0]), torch.tensor([1, 0]))
    assert error.tolist() == pytest.approx([0, 0], abs=1e-6)
    error = plane_error(logits, occupancy, torch.tensor([1, 0]), torch.tensor([1, 2]))
    assert error[0] == pytest.approx(0, abs=1e-6) and error[1] == pytest.approx(SURE + 1 - 1 / 10, rel=1e-5)


def test_the_decoded_estimate_counts_late_alone() -> None:
    occupancy = shape()
    loss = ShapeLoss(sdf_weight=0.5, decoded_loss_after=0.5)
    distance = torch.full_like(occupancy, 6.0)
    answer = {"flow": torch.tensor(0.25), "decoded": torch.zeros_like(occupancy)}
    target = {"occupancy": occupancy, "sdf_mm": distance}
    assert loss(answer | {"time": torch.tensor([0.2, 0.3])}, target) == pytest.approx(0.25)
    # Half a voxel's occupancy is wrong everywhere, 6 mm away.
    assert loss(answer | {"time": torch.tensor([0.2, 0.9])}, target) == pytest.approx(0.25 + 0.5 * 3)
    assert loss.logged(None) == pytest.approx({"train_loss": 1.75, "loss_flow": 0.25, "loss_sdf": 3.0})


def test_the_codecs_terms_are_weighed_and_logged() -> None:
    occupancy = shape()
    mean = torch.full((2, 1, 1, 1, 1), 2.0)
    answer = {"logits": torch.zeros_like(occupancy), "mean": mean, "log_variance": torch.zeros_like(mean)}
    loss = ShapeLoss(kl_weight=0.1)
    dice = 1 - (2 * 0.5 + 1) / (13.5 + 1 + 1)
    assert loss(answer, {"occupancy": occupancy}) == pytest.approx(math.log(2) + dice + 0.1 * 2)
    assert loss.terms == pytest.approx({"loss_entropy": math.log(2), "loss_dice": dice, "loss_kl": 2.0})
