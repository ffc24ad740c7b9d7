"""A field with its codes in a file is the same field."""

from __future__ import annotations

from pathlib import Path

import torch

from custom.models.near.memory_mapped_table import TableStorage
from custom.models.near.near_field import NearField

NETWORK = {"trunk_channels": [8], "latent_size": 2, "code_side": 5, "widths": [7, 7, 5, 3]}


def test_it_answers_the_same_wherever_its_codes_lie(tmp_path: Path) -> None:
    points, rows = torch.rand(2, 3, 11), torch.tensor([6, 2])
    answers = []
    for place in (None, TableStorage(tmp_path, on_disk=True)):
        torch.manual_seed(0)
        answers.append(NearField(7, place=place, **NETWORK)(points, rows))
    assert torch.equal(*answers)
    assert not torch.equal(answers[0][0], answers[0][1])


def test_its_device_is_that_of_the_network(tmp_path: Path) -> None:
    field = NearField(7, place=TableStorage(tmp_path, on_disk=True), **NETWORK).to("meta")
    assert field.device.type == "meta"
    assert field.codes.table.weight.device.type == "cpu"
