"""Two processes move the rows that either has asked, by the mean of their gradients."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from custom.models.near.memory_mapped_table import TableStorage
from custom.models.near.near_field import NearField
from custom.near.row_adam import RowAdam, parameter_groups
from custom.training.distributed import synchronised

NETWORK = {"trunk_channels": [8], "latent_size": 2, "code_side": 5, "widths": [7, 7, 5, 3]}
ASKED = ([4, 1, 1], [2, 6, 1])
"""The rows of either process's batch: different ones, one of both, and one twice."""
POINTS = torch.linspace(-1, 1, 2 * 3 * 3 * 11).reshape(2, 3, 3, 11)


def begun(folder: Path, seed: int, frozen: bool) -> NearField:
    torch.manual_seed(seed)
    field = NearField(7, place=TableStorage(folder, on_disk=True), **NETWORK)
    for name, parameter in field.named_parameters():
        parameter.requires_grad_(not frozen or name.startswith("codes."))
    return field


def learn(network: torch.nn.Module, field: NearField, rows: list[int], points: Tensor) -> dict[str, Tensor]:
    optimizer = RowAdam(parameter_groups(network, 0.01, 0.1), field.codes)
    for _ in range(3):
        optimizer.zero_grad()
        (network(points, index=torch.tensor(rows)) - 1).pow(2).mean().backward()
        optimizer.step()
    return field.state_dict()


def process(folder: Path) -> None:
    """What each of the two does: once with all that learns, once with the codes alone."""
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    for frozen in (False, True):
        field = begun(folder, seed=0 if rank == 0 or frozen else 5, frozen=frozen)
        network = synchronised(field, torch.device("cpu"))
        assert isinstance(network, DistributedDataParallel) is not frozen
        torch.save(learn(network, field, ASKED[rank], POINTS[rank]), folder / f"{frozen}_{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_and_hold_the_same_codes(tmp_path: Path) -> None:
    launcher = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    run = subprocess.run([*launcher, __file__, str(tmp_path)], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    for frozen in (False, True):
        one = begun(tmp_path, 0, frozen)
        before = one.codes.table.weight.detach().clone()
        expected = learn(one, one, ASKED[0] + ASKED[1], POINTS.flatten(0, 1))
        moved = (expected["codes.table.weight"] != before).any(dim=1)
        assert moved.tolist() == [False, True, True, False, True, False, True]
        first, second = (torch.load(tmp_path / f"{frozen}_{rank}.pt") for rank in (0, 1))
        for name, values in expected.items():
            assert torch.equal(first[name], second[name]), name
            assert torch.allclose(first[name], values, atol=2e-4), name


if __name__ == "__main__":
    process(Path(sys.argv[1]))
