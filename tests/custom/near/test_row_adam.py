"""A step moves the rows it has asked, as torch's own Adam would."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from custom.models.near.latent_codes import LatentCodes
from custom.models.near.memory_mapped_table import TableStorage
from custom.models.near.near_field import NearField
from custom.near.row_adam import RowAdam, parameter_groups

CASES, NUMBERS = 5, 7
TARGETS = torch.linspace(-1, 1, CASES * NUMBERS).reshape(CASES, NUMBERS)


class Toy(nn.Module):
    """Codes times weights, to be the targets."""

    def __init__(self, place: TableStorage | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.codes = LatentCodes(CASES, (NUMBERS,), place=place)
        self.weights = nn.Parameter(torch.ones(NUMBERS))

    def loss(self, rows: list[int]) -> Tensor:
        return (self.codes(torch.tensor(rows)) * self.weights - TARGETS[rows]).pow(2).mean()


def adam_of(toy: Toy, **options: Any) -> RowAdam:
    groups = [{"params": [toy.weights], "lr": 0.02}, {"params": [toy.codes.table.weight], "lr": 0.1}]
    return RowAdam(groups, toy.codes, **options)


def train(toy: Toy, optimizer: torch.optim.Optimizer, batches: list[list[int]]) -> None:
    for rows in batches:
        optimizer.zero_grad(set_to_none=False)
        toy.loss(rows).backward()
        optimizer.step()


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1, "betas": (0.8, 0.99), "eps": 1e-4}])
def test_where_every_step_asks_every_case_it_is_torchs_adam(options: dict[str, Any]) -> None:
    ours, theirs = Toy(), Toy()
    dense = torch.optim.Adam(
        [{"params": [theirs.weights], "lr": 0.02}, {"params": [theirs.codes.table.weight], "lr": 0.1}], **options
    )
    order = [[0, 1, 2, 3, 4], [4, 2, 0, 1, 3]] * 15
    train(ours, adam_of(ours, **options), order)
    train(theirs, dense, order)
    assert torch.allclose(ours.codes.table.weight, theirs.codes.table.weight, rtol=1e-5, atol=1e-6)
    assert torch.allclose(ours.weights, theirs.weights, rtol=1e-5, atol=1e-6)
    assert ours.loss(order[0]) < Toy().loss(order[0]) - 0.05


def test_a_row_moves_as_if_it_had_an_optimiser_of_its_own() -> None:
    ours, alone = Toy(), Toy()
    for toy in (ours, alone):
        toy.weights.requires_grad_(False)
    optimizer = RowAdam([ours.codes.table.weight], ours.codes, lr=0.1)
    train(ours, optimizer, [[3], [1], [1], [3], [0], [3]])
    code = nn.Parameter(alone.codes.table.weight[3].detach().clone())
    single = torch.optim.Adam([code], lr=0.1)
    for _ in range(3):
        single.zero_grad()
        (code - TARGETS[3]).pow(2).mean().backward()
        single.step()
    assert torch.allclose(ours.codes.table.weight[3], code, atol=1e-6)
    assert torch.equal(ours.codes.table.weight[[2, 4]], alone.codes.table.weight[[2, 4]])
    assert optimizer.state[ours.codes.table.weight]["step"].tolist() == [1, 2, 0, 3, 0]


def test_gradients_of_several_batches_add_up_to_one_step_of_each_row() -> None:
    apart, together = Toy(), Toy()
    optimizer = adam_of(apart)
    optimizer.zero_grad()
    for rows in ([1, 4], [4, 2]):
        (apart.loss(rows) / 2).backward()
    optimizer.step()
    other = adam_of(together)
    other.zero_grad()
    together.loss([1, 4, 4, 2]).backward()
    other.step()
    assert torch.allclose(apart.codes.table.weight, together.codes.table.weight, atol=1e-6)
    assert optimizer.state[apart.codes.table.weight]["step"].tolist() == [0, 1, 1, 0, 1]


def test_a_step_without_a_gradient_of_the_codes_leaves_them() -> None:
    toy = Toy()
    before = toy.codes.table.weight.detach().clone()
    optimizer = adam_of(toy)
    toy.weights.sum().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    assert torch.equal(toy.codes.table.weight, before)
    assert not torch.equal(toy.weights, torch.ones(NUMBERS))


def test_a_loss_scaler_takes_its_factor_out_of_the_rows_too() -> None:
    plain, scaled = Toy(), Toy()
    train(plain, adam_of(plain), [[2, 0]])
    optimizer, scaler = adam_of(scaled), torch.amp.GradScaler("cpu", init_scale=64.0)
    scaler.scale(scaled.loss([2, 0])).backward()
    scaler.step(optimizer)
    scaler.update()
    assert torch.allclose(plain.codes.table.weight, scaled.codes.table.weight, atol=1e-6)


@pytest.mark.parametrize("place", [False, True])
def test_a_run_goes_on_from_its_state_as_if_it_had_not_stopped(tmp_path: Path, place: bool) -> None:
    lies = TableStorage(tmp_path, on_disk=True) if place else None
    first, second = [[0, 3], [3, 1]], [[3, 4], [0, 1], [2, 3]]
    whole, begun, taken_up = Toy(), Toy(lies), Toy(lies)
    train(whole, adam_of(whole), first + second)
    optimizer = adam_of(begun)
    train(begun, optimizer, first)
    torch.save({"model": begun.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "last.pt")
    content = torch.load(tmp_path / "last.pt", weights_only=True, mmap=True)
    taken_up.load_state_dict(content["model"])
    other = adam_of(taken_up)
    other.load_state_dict(content["optimizer"])
    train(taken_up, other, second)
    assert torch.equal(whole.codes.table.weight, taken_up.codes.table.weight)
    assert len(taken_up.codes.pages) == (3 if place else 0)


def test_the_state_of_torchs_adam_is_taken_up_with_its_count_for_every_row() -> None:
    toy, old = Toy(), Toy()
    groups = [{"params": [old.weights], "lr": 0.02}, {"params": [old.codes.table.weight], "lr": 0.1}]
    dense = torch.optim.Adam(groups)
    everyone = [list(range(CASES))] * 3
    train(old, dense, everyone)
    toy.load_state_dict(old.state_dict())
    optimizer = adam_of(toy)
    optimizer.load_state_dict(deepcopy(dense.state_dict()))
    assert optimizer.state[toy.codes.table.weight]["step"].tolist() == [3.0] * CASES
    train(toy, optimizer, everyone)
    train(old, dense, everyone)
    assert torch.allclose(toy.codes.table.weight, old.codes.table.weight, atol=1e-6)


def test_frozen_codes_are_in_no_group_and_frozen_weights_neither() -> None:
    network = {"trunk_channels": [8], "latent_size": 2, "code_side": 5, "widths": [7, 7, 5, 3]}
    field = NearField(3, **network)
    weights, codes = parameter_groups(field, 0.1, 0.2)
    assert (weights["lr"], codes["lr"]) == (0.1, 0.2)
    assert codes["params"] == [field.codes.table.weight]
    field.codes.table.weight.requires_grad_(False)
    (only,) = parameter_groups(field, 0.1, 0.2)
    assert len(only["params"]) == len(weights["params"])
    for name, parameter in field.named_parameters():
        parameter.requires_grad_(name.startswith("codes."))
    (only,) = parameter_groups(field, 0.1, 0.2)
    assert only["lr"] == 0.2
