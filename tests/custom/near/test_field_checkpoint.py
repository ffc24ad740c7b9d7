"""What is refused as a checkpoint, and that nothing in it is ever run."""

from __future__ import annotations

import os
import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from custom.errors import InputError
from custom.models.near.memory_mapped_table import TableStorage
from custom.models.near.near_field import NearField
from custom.near.field_checkpoint import (
    check_cases,
    field_for_new_cases,
    field_of,
    load_checkpoint,
    pack,
)
from custom.space import Frame
from custom.training.checkpoint_file import save_atomically
from tests.folder_entries import entries

CASES = ("a", "b.img", "c d")
NETWORK = {"trunk_channels": [16, 8], "latent_size": 5, "code_side": 0, "widths": [7, 7, 5, 3]}
FRAME = Frame(np.diag([-0.5, 1.5, 3.0, 1.0]), (11, 13, 17), (2, 3, 5), (7, 8, 9))


def content() -> dict[str, Any]:
    field = NearField(len(CASES), **NETWORK)
    return pack(field, "LA", "public_cardiac_ct", CASES, dict.fromkeys(CASES, FRAME), {"network": NETWORK})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_atomically(content(), tmp_path / "best.pt")
    return tmp_path / "best.pt"


def message(path: Path, structure: str | None = None) -> str:
    with pytest.raises(InputError) as raised:
        load_checkpoint(path, structure=structure)
    text = str(raised.value)
    assert text.startswith(f"{path}: found ")
    assert "\n" not in text
    return text


class Malicious:
    """An object whose unpickling creates a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def test_what_was_saved_comes_back(path: Path) -> None:
    loaded = load_checkpoint(path, structure="LA")
    assert loaded["cases"] == list(CASES)
    assert Frame.from_dict(loaded["frames"]["c d"]).low_ijk == (2, 3, 5)
    field = field_of(loaded)
    assert all(torch.equal(field.state_dict()[name], loaded["model"][name]) for name in loaded["model"])
    assert list(entries(path.parent.iterdir())) == [path]


@pytest.mark.parametrize("in_zip", [True, False])
@pytest.mark.parametrize("wrapped", [lambda thing: thing, lambda thing: {**content(), "note": thing}])
def test_code_in_a_checkpoint_is_refused_and_not_run(
    tmp_path: Path, wrapped: Callable[[Any], Any], in_zip: bool
) -> None:
    path, trace = tmp_path / "best.pt", tmp_path / "trace"
    torch.save(wrapped(Malicious(trace)), path, _use_new_zipfile_serialization=in_zip)
    assert ("could run any code" if in_zip else "cannot be read") in message(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists()  # the trap was armed


def test_a_bare_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(pickle.dumps(Malicious(tmp_path / "trace")))
    assert "cannot be read" in message(tmp_path / "best.pt")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_checkpoint_cut_short_is_refused(path: Path, kept: float | int) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(len(whole) * kept)])
    assert "wanted a whole checkpoint. It is damaged or cut short" in message(path)


def test_one_changed_byte_of_the_weights_is_noticed(path: Path) -> None:
    weights = load_checkpoint(path)["model"]["head.fc3.weight"].numpy().tobytes()
    changed = path.read_bytes().replace(weights, weights[:-1] + bytes([weights[-1] ^ 1]))
    assert changed != path.read_bytes()
    path.write_bytes(changed)
    assert "fails its checksum" in message(path)


@pytest.mark.parametrize(
    ("foreign", "named"),
    [
        ({"weight": torch.zeros(3)}, "format None"),
        (torch.zeros(3), "format 'Tensor'"),
        ([1, 2], "format 'list'"),
        ({"format": "corfield.near_stage1/2"}, "format 'corfield.near_stage1/2'"),
        ({"format": "corfield.near_stage1/1", "structure": "LA"}, "no label_table, cases, frames in it"),
        (torch.nn.Linear(2, 3), "objects besides weights"),
    ],
)
def test_a_file_of_something_else_is_refused_by_what_it_is(tmp_path: Path, foreign: Any, named: str) -> None:
    torch.save(foreign, tmp_path / "best.pt")
    assert named in message(tmp_path / "best.pt")


def test_a_case_without_a_frame_is_named(path: Path) -> None:
    loaded = content()
    del loaded["frames"]["b.img"]
    save_atomically(loaded, path)
    assert "no frame of b.img in it" in message(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_a_run_that_diverged_are_refused(path: Path, value: float) -> None:
    loaded = content()
    loaded["model"]["head.fc2.bias"][3] = value
    save_atomically(loaded, path)
    text = message(path)
    assert "NaN or infinite (head.fc2.bias)" in text
    assert "smaller --learning_rate" in text


def test_weights_of_another_network_are_refused() -> None:
    loaded = content()
    loaded["settings"] = {"network": {**NETWORK, "latent_size": 6}}
    with pytest.raises(InputError, match="weights of another network .*size mismatch"):
        field_of(loaded)


def test_codes_of_another_number_of_cases_are_refused() -> None:
    with pytest.raises(InputError, match="weights of another network .3 codes of 2 cases"):
        field_of({**content(), "cases": ["a", "c d"]})


def test_the_codes_of_a_loaded_field_are_the_files_own(path: Path) -> None:
    loaded = load_checkpoint(path)
    assert field_of(loaded).codes.table.weight.data_ptr() == loaded["model"]["codes.table.weight"].data_ptr()


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_field_for_new_cases_has_the_mean_code_for_each_and_learns_nothing_else(
    tmp_path: Path, on_disk: bool
) -> None:
    trained = content()
    table = torch.tensor([[1.0, 2, 3, 4, 5], [3, 4, 5, 6, 7], [5, 6, 7, 8, 12]])
    trained["model"]["codes.table.weight"] = table.clone()
    field = field_for_new_cases(trained, 7, TableStorage(tmp_path, on_disk))
    assert field.codes.table.weight.tolist() == [[3, 4, 5, 6, 8]] * 7
    assert len(field.codes.pages) == on_disk
    assert [name for name, weights in field.named_parameters() if weights.requires_grad] == ["codes.table.weight"]
    known, points = field_of(trained), torch.rand(1, 3, 11)
    known.codes.take(torch.tensor([[3.0, 4, 5, 6, 8]]))
    assert torch.equal(field(points, torch.tensor([5])), known(points))
    assert torch.equal(trained["model"]["codes.table.weight"], table)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    assert "found no such file; wanted a checkpoint. Give the best.pt" in message(tmp_path / "no.pt")
    assert "found a folder; wanted a checkpoint" in message(tmp_path)


def test_the_field_of_another_structure_is_refused_with_both_names(path: Path) -> None:
    assert "found a field of LA; wanted a field of RA. Give --structure LA" in message(path, structure="RA")


def test_other_cases_are_named_on_either_side() -> None:
    with pytest.raises(InputError, match=r"3 cases, among them c d; wanted codes of 3 cases, among them new\. .*fit"):
        check_cases(content(), ["a", "b.img", "new"], "last.pt")
    with pytest.raises(InputError, match="in another order"):
        check_cases(content(), ["b.img", "a", "c d"], "last.pt")
    check_cases(content(), CASES, "last.pt")


@pytest.mark.parametrize("room", [500, 5000])
def test_a_full_disk_leaves_the_old_checkpoint(path: Path, room: int) -> None:
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(InputError, match=r"best.pt: found a place that cannot be written \(File too large\)"):
            save_atomically(content() | {"more": torch.rand(10_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(entries(path.parent.iterdir())) == [path]
