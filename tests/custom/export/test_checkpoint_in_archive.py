"""Weights that go with a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from custom.errors import InputError
from custom.export.checkpoint_in_archive import (
    CHECKPOINT,
    MODEL,
    add_checkpoint,
    location,
    read_checkpoint,
    takers,
    texts_in,
    with_setting,
)

INFERENCE = {"bundle_root": ".", "structure": "LA", "checkpoint": "best.pt", "device": "$torch.device('cpu')"}

KEPT = "$os.path.join(@bundle_root, 'models', 'checkpoint.pt')"


def bundle(**configs: dict[str, Any]) -> dict[str, bytes]:
    files = {f"configs/{name}.json": json.dumps(content).encode() for name, content in configs.items()}
    return files | {"docs/README.md": b"# B\n", "docs/data_license.txt": b"It ships no images and no label maps.\n"}


def written(path: Path, **content: Any) -> Path:
    torch.save({"model": {"weight": torch.arange(7.0)}, **content}, path)
    return path


def config_in(files: dict[str, bytes], name: str) -> Any:
    return json.loads(files[f"configs/{name}.json"])


def test_a_setting_changes_and_the_form_of_the_config_stays() -> None:
    text = b'{\n    "a": {"a": 1},\n\n    "b": "x",   "c": [1,\n 2]\n}\n'
    assert with_setting(text, "b", "y") == text.replace(b'"x"', b'"y"')
    assert json.loads(with_setting(text, "c", "z")) == {"a": {"a": 1}, "b": "x", "c": "z"}


def test_only_the_top_level_key_changes_even_where_the_same_words_stand_before_it() -> None:
    text = b'{"deep": {"b": "x"}, "b": "x"}'
    assert json.loads(with_setting(text, "b", "y")) == {"deep": {"b": "x"}, "b": "y"}


def test_the_weights_are_added_as_they_are_and_taken_by_every_config_that_takes_any(tmp_path: Path) -> None:
    path = written(tmp_path / "best.pt")
    files = bundle(inference=INFERENCE, fit={"checkpoint": "x"}, train={"bundle_root": ".", "lr": 1})
    assert takers(files) == ["configs/fit.json", "configs/inference.json"]
    done = add_checkpoint(files, path, "b")
    assert done[CHECKPOINT] == path.read_bytes()
    assert config_in(done, "inference") == INFERENCE | {"checkpoint": KEPT}
    assert config_in(done, "fit") == {"checkpoint": KEPT}
    assert done["configs/train.json"] == files["configs/train.json"]


def test_beside_a_checkpoint_lie_its_weights_alone_where_monai_looks_for_them(tmp_path: Path) -> None:
    done = add_checkpoint(bundle(inference=INFERENCE), written(tmp_path / "best.pt", structure="PV"), "b")
    (tmp_path / "model.pt").write_bytes(done[MODEL])
    weights = read_checkpoint(tmp_path / "model.pt")
    assert list(weights) == ["weight"] and torch.equal(weights["weight"], torch.arange(7.0))


def test_weights_alone_are_taken_as_they_are_and_by_the_configs(tmp_path: Path) -> None:
    torch.save({"weight": torch.arange(5.0)}, tmp_path / "state.pt")
    done = add_checkpoint(bundle(inference=INFERENCE), tmp_path / "state.pt", "b")
    assert done[MODEL] == (tmp_path / "state.pt").read_bytes() and CHECKPOINT not in done
    assert config_in(done, "inference")["checkpoint"] == location(MODEL)
    assert location(MODEL) == "$os.path.join(@bundle_root, 'models', 'model.pt')"


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    path = written(tmp_path / "best.pt", structure="PV")
    assert add_checkpoint(bundle(inference=INFERENCE), path, "b") == add_checkpoint(
        bundle(inference=INFERENCE), path, "b"
    )


def test_settings_that_the_checkpoint_names_follow_it_in_configs_that_are_run_by_themselves(tmp_path: Path) -> None:
    path = written(tmp_path / "best.pt", structure="PV", device="cuda", format="f/1")
    overlay = {"structure": "LAA"}
    train = {"bundle_root": ".", "structure": "LA"}
    done = add_checkpoint(bundle(inference=INFERENCE, train=train, laa=overlay), path, "b")
    assert config_in(done, "inference") == INFERENCE | {"checkpoint": KEPT, "structure": "PV"}
    assert config_in(done, "train") == train | {"structure": "PV"}
    assert config_in(done, "laa") == overlay
    assert '- `structure`: `"PV"`' in done["docs/README.md"].decode()


def test_the_documents_say_that_weights_go_with_it(tmp_path: Path) -> None:
    files = bundle(inference=INFERENCE)
    files["docs/data_license.txt"] = b"This bundle ships no images, no label maps and no trained weights.\n"
    done = add_checkpoint(files, written(tmp_path / "best.pt"), "b")
    assert done["docs/README.md"].startswith(b"# B\n\n## Weights\n\nIn `models`: models/checkpoint.pt and")
    terms = done["docs/data_license.txt"].decode()
    assert terms.startswith("This bundle ships no images and no label maps.\n") and "under the terms of" in terms
    assert "docs/data_license.txt" in files and MODEL not in files


def test_a_bundle_without_weights_takes_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="weights for b, whose network has none; wanted nothing"):
        add_checkpoint(bundle(inference={"bundle_root": "."}), written(tmp_path / "best.pt"), "b")


def test_weights_alone_name_nothing() -> None:
    assert (texts_in(torch.ones(3)), texts_in({"weight": torch.ones(3)})) == ({}, {})
    assert texts_in({"structure": "LA", "epoch": 3}) == {"structure": "LA"}


class Own:
    """No weights."""


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    files = bundle(inference=INFERENCE)
    torch.save({"model": Own()}, tmp_path / "objects.pt")
    whole = written(tmp_path / "whole.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pt").write_text("hello")
    for name, found in {
        "objects.pt": "could run any code",
        "cut.pt": "a file that cannot be read",
        "text.pt": "",
        "gone.pt": "no such file",
        ".": "a folder",
    }.items():
        with pytest.raises(InputError, match=f"found .*{found}"):
            add_checkpoint(files, tmp_path / name, "b")
