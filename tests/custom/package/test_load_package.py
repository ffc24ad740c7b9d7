"""A package is opened as it was written, or not at all; nothing in it is run."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.errors import InputError
from custom.package import HeartModel, load
from custom.package.load_package import sha256
from custom.package.manifest import CODES_FILE, FIELD, FILES
from custom.package.safetensors_io import CODES
from tests.custom.package.package_helpers import CASES, NETWORK, lively, resealed


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_package_opens_with_its_cases(packed: Path) -> None:
    model = load(packed)
    assert isinstance(model, HeartModel) and model.cases == CASES
    assert model.field.codes.table.weight.shape == (1, 3 * 5**3)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.0, 0.5, 0.999])
def test_a_changed_byte_is_refused_with_both_hashes(name: str, place: float, model: Path) -> None:
    content = bytearray((model / name).read_bytes())
    stated = sha256(model / name)
    content[int(place * len(content))] ^= 1
    (model / name).write_bytes(content)
    with pytest.raises(InputError) as raised:
        load(model)
    where, found, wanted, _ = raised.value.parts
    assert where == model / name
    assert (sha256(model / name) in found, stated in wanted) == (True, True)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str, model: Path) -> None:
    (model / name).unlink()
    with pytest.raises(InputError, match=f"{name}: found no such file; wanted all files of the package"):
        load(model)


@pytest.mark.parametrize("name", [FIELD, CODES_FILE])
@pytest.mark.parametrize("kept", [0, 7, 100, -4])
def test_a_file_cut_short_is_refused_and_so_it_is_if_the_hashes_are_made_to_fit(
    name: str, kept: int, model: Path
) -> None:
    content = (model / name).read_bytes()
    (model / name).write_bytes(content[:kept])
    with pytest.raises(InputError, match=f"{name}: found {len(content[:kept])} bytes; wanted the {len(content)} bytes"):
        load(model)
    resealed(model)
    with pytest.raises(InputError, match=f"{name}: found no safetensors file"):
        load(model)


@pytest.mark.parametrize("name", [FIELD, CODES_FILE])
@pytest.mark.parametrize("writer", ["pickle", "torch", "torch_zip"])
def test_a_pickle_in_place_of_tensors_is_refused_and_not_run(
    name: str, writer: str, model: Path, tmp_path: Path
) -> None:
    trap, buffer = {"codes": Trap(tmp_path / "sprung")}, io.BytesIO()
    if writer == "pickle":
        pickle.dump(trap, buffer)
    else:
        torch.save(trap, buffer, _use_new_zipfile_serialization=writer == "torch_zip")
    (model / name).write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=name):
        load(model)
    resealed(model)
    with pytest.raises(InputError, match=f"{name}: found no safetensors file"):
        load(model)
    assert not (tmp_path / "sprung").exists()
    pickle.loads(pickle.dumps(trap))
    assert (tmp_path / "sprung").exists()  # the trap would have sprung


def test_opening_and_drawing_unpickle_nothing(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("something was unpickled")

    for place, name in ((pickle, "loads"), (pickle, "load"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(place, name, refused)
    assert load(packed).render("007").labels.any()


def test_another_networks_weights_are_refused(model: Path) -> None:
    wider = lively(1, NETWORK | {"widths": [16, 16, 16, 24]})
    save_file({k: v.contiguous() for k, v in wider.state_dict().items() if not k.startswith("codes.")}, model / FIELD)
    resealed(model)
    with pytest.raises(InputError, match="field.safetensors: found weights of another network .*size mismatch"):
        load(model)


@pytest.mark.parametrize(
    "network",
    [
        NETWORK | {"widths": [16, 16]},
        NETWORK | {"depth": 3},
        NETWORK | {"code_side": "five"},
        NETWORK | {"trunk_channels": []},
        NETWORK | {"latent_size": -3},
        NETWORK | {"outputs": 11},
        {},
    ],
)
def test_settings_of_no_network_or_another_one_are_refused(network: dict[str, Any], model: Path) -> None:
    resealed(model, network=network)
    with pytest.raises(InputError, match="field.safetensors: found "):
        load(model)


@pytest.mark.parametrize("change", ["missing", "added", "half", "nan"])
def test_weights_that_lack_one_or_are_of_another_kind_are_refused(change: str, model: Path) -> None:
    weights = load_file(model / FIELD)
    if change == "missing":
        del weights["head.fc1.bias"]
    elif change == "added":
        weights["codes.more"] = torch.zeros(2)
    elif change == "half":
        weights["head.fc1.bias"] = weights["head.fc1.bias"].half()
    else:
        weights["head.fc1.bias"][0] = torch.nan
    save_file(weights, model / FIELD)
    resealed(model)
    said = {"missing": "fc1.bias", "added": "codes.more", "half": "torch.float16", "nan": "NaN or infinite entries"}
    with pytest.raises(InputError, match=f"field.safetensors: found .*{said[change]}"):
        load(model)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({CODES: torch.zeros(3, 3, 5, 5, 5)}, "found codes of 3 cases; wanted those of 4"),
        ({CODES: torch.zeros(4, 3, 5, 5)}, "size mismatch"),
        ({CODES: torch.zeros(4, 5, 5, 5, 3)}, r"found codes of \(5, 5, 5, 3\)"),
        ({CODES: torch.zeros(4)}, r"found codes of type F32 and shape \(4,\)"),
        ({CODES: torch.zeros(4, 0, 5, 5, 5)}, "found codes of type F32 and shape"),
        ({CODES: torch.zeros(4, 3, 5, 5, 5, dtype=torch.float64)}, "found codes of type F64"),
        ({CODES: torch.zeros(4, 3, 5, 5, 5), "more": torch.zeros(1)}, "found the tensors codes, more"),
        ({}, "found no tensor"),
    ],
)
def test_codes_that_do_not_belong_to_the_cases_or_the_network_are_refused(
    tensors: dict[str, torch.Tensor], said: str, model: Path
) -> None:
    save_file(tensors, model / CODES_FILE)
    resealed(model)
    with pytest.raises(InputError, match=said):
        load(model)


def test_a_table_of_another_number_of_structures_is_refused(model: Path) -> None:
    resealed(model, label_table=TOTALSEGMENTATOR_HEART, thresholds={})
    with pytest.raises(InputError, match="and 10 structures; wanted codes of .* and 5 structures"):
        load(model)


def test_what_is_no_folder_is_refused(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no such folder; wanted the folder of a package"):
        load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="model.json: found a file; wanted the folder of a package"):
        load(packed / "model.json")
    with pytest.raises(InputError, match="model.json: found no such file"):
        load(tmp_path)


def test_a_device_this_machine_does_not_have_is_refused(packed: Path) -> None:
    with pytest.raises(InputError, match="--device: found 'abacus'; wanted a device of this machine"):
        load(packed, "abacus")
