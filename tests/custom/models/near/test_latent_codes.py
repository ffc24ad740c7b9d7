"""One code per case, and none learns from another case."""

from __future__ import annotations

import pytest
import torch

from custom.models.near.latent_codes import LatentCodes
from custom.models.near.memory_mapped_table import TableStorage


@pytest.mark.parametrize("shape", [(7,), (2, 3, 5, 11)])
def test_a_row_is_the_code_of_its_case_whatever_the_order_asked(shape):
    codes = LatentCodes(5, shape)
    asked = codes(torch.tensor([4, 0, 4]))
    assert asked.shape == (3, *shape)
    assert torch.equal(asked[0].flatten(), codes.table.weight[4])
    assert torch.equal(asked[1].flatten(), codes.table.weight[0])
    assert torch.equal(asked[2], asked[0])


@pytest.mark.parametrize("shape", [(3,), (3, 1, 1, 1)])
def test_the_mean_code_is_the_mean_over_cases(shape):
    codes = LatentCodes(2, shape)
    codes.table.weight.data = torch.tensor([[1.0, 2.0, -3.0], [3.0, 6.0, 4.0]])
    assert codes.mean().shape == (1, *shape)
    assert codes.mean().flatten().tolist() == [2.0, 4.0, 0.5]


def test_the_gradient_reaches_the_rows_that_were_asked_and_no_other():
    codes = LatentCodes(5, (3,))
    codes(torch.tensor([1, 3, 3])).sum().backward()
    assert codes.table.weight.grad is not None
    assert codes.table.weight.grad[:, 0].tolist() == [0, 1, 0, 2, 0]


def test_codes_start_small():
    codes = LatentCodes(97, (256,))
    assert codes.table.weight.std().item() == pytest.approx(0.02, rel=0.05)
    # ||z||^2 = 256 x 0.02^2, where a table as torch starts it has 256
    assert codes.table.weight.pow(2).sum(1).mean().item() == pytest.approx(0.1024, rel=0.1)
    assert LatentCodes(97, (256,), std=1.0).table.weight.std().item() == pytest.approx(1, rel=0.05)


def test_codes_in_a_file_are_the_same_numbers(tmp_path):
    tables = []
    for place in (None, TableStorage(tmp_path, on_disk=True)):
        torch.manual_seed(0)
        codes = LatentCodes(5, (2, 3, 1, 7), place=place)
        tables.append(codes)
    assert torch.equal(tables[0].table.weight, tables[1].table.weight)
    assert torch.equal(tables[0].mean(), tables[1].mean())
    assert torch.equal(tables[0](torch.tensor([3, 0])), tables[1](torch.tensor([3, 0])))
    assert (len(tables[0].pages), len(tables[1].pages)) == (0, 1)


def test_what_an_optimiser_keeps_lies_where_the_table_lies(tmp_path):
    codes = LatentCodes(3, (5,), place=TableStorage(tmp_path, on_disk=True))
    beside = codes.zeros()
    assert beside.tolist() == [[0.0] * 5] * 3
    assert [pages.tensor.data_ptr() for pages in codes.pages] == [codes.table.weight.data_ptr(), beside.data_ptr()]


def test_a_table_in_a_file_follows_the_network_nowhere(tmp_path):
    stored, plain = LatentCodes(3, (5,), place=TableStorage(tmp_path, on_disk=True)), LatentCodes(3, (5,))
    for codes in (stored, plain):
        codes.to("meta")
    assert stored.table.weight.device.type == "cpu"
    assert plain.table.weight.device.type == "meta"


def test_codes_may_be_those_of_a_table_that_is_there():
    codes, table = LatentCodes(1, (3,)), torch.arange(21.0).reshape(7, 3)
    codes.take(table)
    assert codes.table.weight.data_ptr() == table.data_ptr()
    assert codes(torch.tensor([6])).tolist() == [[18, 19, 20]]


def test_rows_are_filled_one_by_one():
    codes = LatentCodes(3, (2,))
    codes.fill(lambda row: row.copy_(torch.tensor([5.0, 7.0])))
    assert codes.table.weight.tolist() == [[5, 7]] * 3
    assert codes.table.weight.requires_grad
