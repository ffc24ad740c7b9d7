"""Finding and reading a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from custom.errors import InputError
from custom.export.bundle_source import alone, bundle_names, files_below, find_bundle, read_bundle
from custom.training.run_bundle import BUNDLES


def write_bundle(folder: Path, **configs: dict[str, Any]) -> Path:
    """The least that is a bundle, with one config to run unless others are given."""
    for name, content in {"metadata": {"version": "1.2.3"}, **(configs or {"inference": {"bundle_root": "."}})}.items():
        path = folder / "configs" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    (folder / "docs").mkdir()
    (folder / "docs" / "README.md").write_text("# A bundle\n")
    (folder / "LICENSE").write_text("Do as you like.\n")
    return folder


def refusal(given: str) -> str:
    with pytest.raises(InputError) as raised:
        read_bundle(find_bundle(given))
    return str(raised.value)


def test_a_bundle_of_the_project_is_found_by_its_name() -> None:
    assert {"near_stage1", "near_fusion"} <= set(bundle_names())
    assert [find_bundle(name) for name in bundle_names()] == [BUNDLES / name for name in bundle_names()]


def test_an_unknown_name_is_refused_with_those_there_are_and_the_nearest() -> None:
    assert refusal("near_stage2") == (
        f"near_stage2: found neither a bundle of this name nor a folder; wanted one of {', '.join(bundle_names())}, "
        "or the folder of a bundle. Did you mean near_stage1?"
    )
    assert refusal("segresnet").endswith("Choose one of them.")


def test_a_file_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "inference.json").write_text("{}")
    assert "found a file; wanted" in refusal(str(tmp_path / "inference.json"))


def test_a_foreign_folder_is_read_under_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(tmp_path / "of_others")
    monkeypatch.chdir(tmp_path / "of_others")
    source = read_bundle(find_bundle("."))
    assert (source.name, source.folder) == ("of_others", tmp_path / "of_others")
    assert sorted(source.files) == ["LICENSE", "configs/inference.json", "configs/metadata.json", "docs/README.md"]
    assert source.files["LICENSE"] == b"Do as you like.\n"


def test_a_folder_that_is_no_bundle_is_refused_with_all_that_is_missing(tmp_path: Path) -> None:
    assert refusal(str(tmp_path)) == (
        f"{tmp_path}: found a folder without configs/metadata.json, docs/README.md, LICENSE, configs/*.json that can "
        "be run (one with a bundle_root); wanted the folder of a MONAI bundle. "
        "Give the folder that holds configs/, docs/ and LICENSE."
    )


@pytest.mark.parametrize("missing", ["configs/metadata.json", "docs/README.md", "LICENSE"])
def test_one_missing_file_alone_is_named_alone(tmp_path: Path, missing: str) -> None:
    (write_bundle(tmp_path / "b") / missing).unlink()
    assert f"found a folder without {missing}; wanted" in refusal(str(tmp_path / "b"))


def test_a_bundle_of_overlays_only_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", smoke={"max_epochs": 1})
    assert "found a folder without configs/*.json that can be run" in refusal(str(tmp_path / "b"))


@pytest.mark.parametrize(("text", "found"), [('{"a" 1}', "no JSON (Expecting"), ("[1]", "a list"), ("", "no JSON")])
def test_a_config_that_is_no_json_object_is_named(tmp_path: Path, text: str, found: str) -> None:
    path = write_bundle(tmp_path / "b") / "configs" / "train.json"
    path.write_text(text)
    message = refusal(str(tmp_path / "b"))
    assert message.startswith(f"{path}: found {found}") and "wanted a JSON object" in message


def test_what_runs_have_written_into_the_folder_is_left_there(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b")
    for name in ("output/LA/best.pt", "data/phantoms/a.nii.gz", "eval/schema.json", "custom/x.py", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    assert len(read_bundle(folder).files) == 4


def test_what_python_editors_and_systems_leave_behind_is_no_file_of_anyone(tmp_path: Path) -> None:
    kept = ["a.py", "deep/er/b.json", "deep/page.html"]
    left = ["__pycache__/a.cpython-311.pyc", "deep/.DS_Store", ".git/config", "a.py~", "a.py.orig", "deep/c.pyc"]
    for name in kept + left:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)] == kept
    assert list(files_below(tmp_path / "nowhere")) == []


def test_the_configs_that_are_run_by_themselves_are_those_that_say_where_the_bundle_is() -> None:
    assert alone(read_bundle(BUNDLES / "near_stage1").files) == ["configs/inference.json", "configs/train.json"]
    assert alone(read_bundle(BUNDLES / "near_fusion").files) == ["configs/inference.json"]
