"""The penalty on codes."""

from __future__ import annotations

import pytest
import torch

from custom.losses.latent_prior import code_prior


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1, 1, 1)])
def test_the_prior_is_the_squared_norm_averaged_over_the_batch_alone(shape):
    codes = torch.tensor([[1.0, 2.0, -2.0], [0.0, 3.0, 4.0]]).reshape(shape)
    # (9 + 25) / 2
    assert code_prior(codes).item() == 17.0


def test_its_gradient_is_towards_zero_and_vanishes_there():
    codes = torch.tensor([[0.0, 3.0], [-1.0, 0.0]], requires_grad=True)
    code_prior(codes).backward()
    # 2 z / batch
    assert codes.grad is not None
    assert codes.grad.tolist() == [[0.0, 3.0], [-1.0, 0.0]]
