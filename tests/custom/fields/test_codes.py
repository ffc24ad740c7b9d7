"""One code per case, and none learns from another case."""

from __future__ import annotations

import pytest
import torch

from custom.fields.codes import Codes


@pytest.mark.parametrize("shape", [(7,), (2, 3, 5, 11)])
def test_a_row_is_the_code_of_its_case_whatever_the_order_asked(shape):
    codes = Codes(5, shape)
    asked = codes(torch.tensor([4, 0, 4]))
    assert asked.shape == (3, *shape)
    assert torch.equal(asked[0].flatten(), codes.table.weight[4])
    assert torch.equal(asked[1].flatten(), codes.table.weight[0])
    assert torch.equal(asked[2], asked[0])


@pytest.mark.parametrize("shape", [(3,), (3, 1, 1, 1)])
def test_the_mean_code_is_the_mean_over_cases(shape):
    codes = Codes(2, shape)
    codes.table.weight.data = torch.tensor([[1.0, 2.0, -3.0], [3.0, 6.0, 4.0]])
    assert codes.mean().shape == (1, *shape)
    assert codes.mean().flatten().tolist() == [2.0, 4.0, 0.5]


def test_the_gradient_reaches_the_rows_that_were_asked_and_no_other():
    codes = Codes(5, (3,))
    codes(torch.tensor([1, 3, 3])).sum().backward()
    assert codes.table.weight.grad is not None
    assert codes.table.weight.grad[:, 0].tolist() == [0, 1, 0, 2, 0]


def test_codes_start_small():
    codes = Codes(97, (256,))
    assert codes.table.weight.std().item() == pytest.approx(0.02, rel=0.05)
    # ||z||^2 = 256 x 0.02^2, where a table as torch starts it has 256
    assert codes.table.weight.pow(2).sum(1).mean().item() == pytest.approx(0.1024, rel=0.1)
    assert Codes(97, (256,), std=1.0).table.weight.std().item() == pytest.approx(1, rel=0.05)
