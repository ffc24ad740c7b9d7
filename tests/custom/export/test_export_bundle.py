"""The whole of an export, its trial aside: that costs a process and is tested with the bundles themselves."""

from __future__ import annotations

import importlib
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from custom import __version__
from custom.errors import InputError
from custom.export import export_bundle
from custom.export.archive_layouts import published_dependencies
from custom.export.export_bundle import run_export
from custom.export.self_test import SelfTest, clean_environment, last_said, what_to_ask
from custom.export.self_test_script import FromHereAlone
from tests.folder_entries import entries

TRIAL = SelfTest(22, 65, ("configs/inference.json",), ("configs/inference.json",))


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was tried, instead of a trial."""
    seen: list[dict[str, Any]] = []

    def try_out(archive: Path, package: str, files: dict[str, bytes], name: str) -> SelfTest:
        with zipfile.ZipFile(archive) as opened:
            assert opened.testzip() is None
            seen.append({"archive": archive, "package": package, "name": name, "names": opened.namelist()})
        return TRIAL

    monkeypatch.setattr(export_bundle, "try_out", try_out)
    return seen


def test_a_bundle_becomes_one_file_with_one_folder_after_its_trial(tried: list[dict[str, Any]], tmp_path: Path) -> None:
    output = tmp_path / "new" / "fusion.zip"
    done = run_export("near_fusion", output)
    assert list(entries(output.parent.iterdir())) == [output]
    names = zipfile.ZipFile(output).namelist()
    assert names == [f"near_fusion/{name}" for name in done.names] == tried[0]["names"]
    assert (tried[0]["package"], tried[0]["name"], tried[0]["archive"].parent) == (
        "custom",
        "near_fusion",
        output.parent,
    )
    assert f"near_fusion {__version__}, vendored: {len(names)} files" in done.text
    assert "22 components found, 65 modules" in done.text and "the network gives what" in done.text


def test_the_same_export_gives_the_same_bytes(tried: list[dict[str, Any]], tmp_path: Path) -> None:
    for layout in ("vendored", "zoo"):
        contents = set()
        for name in ("a.zip", "b.zip"):
            run_export("near_fusion", tmp_path / layout / name, layout)
            contents.add((tmp_path / layout / name).read_bytes())
        assert len(contents) == 1
    assert [seen["package"] for seen in tried] == ["custom", "custom", "scripts", "scripts"]


def test_an_existing_file_is_refused_before_any_work_and_stays(tried: list[dict[str, Any]], tmp_path: Path) -> None:
    output = tmp_path / "x.zip"
    output.write_bytes(b"old")
    with pytest.raises(InputError, match="add --overwrite"):
        run_export("near_fusion", output)
    assert (output.read_bytes(), tried) == (b"old", [])
    run_export("near_fusion", output, overwrite=True)
    assert zipfile.is_zipfile(output) and len(tried) == 1


def test_an_export_that_fails_its_trial_leaves_nothing_and_what_was_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(*arguments: Any) -> SelfTest:
        raise InputError("near_fusion", "an export that fails", "one that runs", "Mend it.")

    monkeypatch.setattr(export_bundle, "try_out", fails)
    with pytest.raises(InputError, match="an export that fails"):
        run_export("near_fusion", tmp_path / "x.zip")
    assert list(entries(tmp_path.iterdir())) == []
    (tmp_path / "x.zip").write_bytes(b"old")
    with pytest.raises(InputError, match="an export that fails"):
        run_export("near_fusion", tmp_path / "x.zip", overwrite=True)
    assert [path.read_bytes() for path in entries(tmp_path.iterdir())] == [b"old"]


def test_a_place_that_cannot_be_written_is_named(tried: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="a place that cannot be written"):
        run_export("near_fusion", tmp_path / "file" / "x.zip")


def test_an_unknown_layout_is_refused_with_those_there_are(tried: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--layout: found 'flat'; wanted one of vendored, zoo"):
        run_export("near_fusion", tmp_path / "x.zip", "flat")


def test_weights_for_a_bundle_that_has_none_are_refused(tried: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="weights for near_fusion, whose network has none"):
        run_export("near_fusion", tmp_path / "x.zip", checkpoint=tmp_path / "best.pt")
    assert list(entries(tmp_path.iterdir())) == []


def test_without_weights_the_text_says_what_could_not_be_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(export_bundle, "try_out", lambda *arguments: SelfTest(74, 54, ("configs/train.json",), ()))
    assert (
        "no models/model.pt in it, so the network was not asked" in run_export("near_stage1", tmp_path / "x.zip").text
    )


def test_what_stands_alone_is_run_dry_and_a_network_is_asked_if_it_can_be_built() -> None:
    files = {
        "configs/inference.json": b'{"bundle_root": ".", "check": 1, "network_def": {}, "checkpoint": "x"}',
        "configs/train.json": b'{"bundle_root": "."}',
        "configs/smoke.json": b'{"check": 1}',
    }
    assert what_to_ask(files) == (("configs/inference.json",), ())
    assert what_to_ask(files | {"models/model.pt": b""}) == (("configs/inference.json",), ("configs/inference.json",))


def test_the_trial_inherits_no_path_to_other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setenv("KEPT", "yes")
    environment = clean_environment()
    assert {"PYTHONPATH", "PYTHONSAFEPATH"} & set(environment) == set()
    assert (environment["KEPT"], environment["MONAI_FAIL_ON_DUPLICATE_CONFIG"]) == ("yes", "1")


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("INFO: begun\nTraceback\n  File x\nKeyError: 'a'\n", "KeyError: 'a'"),
        ("Traceback\nRuntimeError: Failed to evaluate:\n  '$1 / 0'\n", "RuntimeError: Failed to evaluate: '$1 / 0'"),
        ("configs/inference.json: a::b: leads nowhere", "configs/inference.json: a::b: leads nowhere"),
        ("Killed", "Killed"),
        ("", "nothing said"),
        ("E: " + "x" * 500, "E: " + "x" * 397),
    ],
)
def test_the_error_that_a_process_ended_with_is_told_on_one_line(stderr: str, said: str) -> None:
    assert last_said(stderr) == said


def test_code_of_the_bundles_name_is_found_in_its_folder_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder in (here, elsewhere):
        (folder / "scripts").mkdir(parents=True)
        (folder / "scripts" / "__init__.py").touch()
    finder = FromHereAlone(here.resolve())
    monkeypatch.setattr(sys, "path", [str(here), str(elsewhere)])
    importlib.invalidate_caches()
    spec = finder.find_spec("scripts")
    assert spec is not None and spec.origin == str(here / "scripts" / "__init__.py")
    assert finder.find_spec("json") is None and finder.find_spec("scripts.room") is None
    for path in ([str(elsewhere), str(here)], [str(elsewhere)], []):
        monkeypatch.setattr(sys, "path", path)
        with pytest.raises(ModuleNotFoundError, match="No module named 'scripts' in the bundle"):
            finder.find_spec("scripts")


def test_the_dependencies_are_those_of_the_project_without_its_extras() -> None:
    lines = published_dependencies()
    assert lines == sorted(lines)
    assert {"monai>=1.6.1,<1.7", "torch>=2.8,<2.14", "plotly>=6,<8"} <= set(lines)
    assert [line for line in lines if line.startswith(("pytest", "ruff", "SimpleITK", "beartype"))] == []


def test_dependencies_are_read_from_a_project_an_exported_bundle_or_an_installation(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = [\n    "b>=1",\n    "a[x]>2",  # why\n]\n[tool]\n'
    )
    assert published_dependencies(tmp_path) == ["a[x]>2", "b>=1"]
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    with pytest.raises(InputError, match="no list of dependencies"):
        published_dependencies(tmp_path)
    exported = tmp_path / "exported"
    (exported / "configs").mkdir(parents=True)
    (exported / "requirements.txt").write_text("c>3\n")
    installed = published_dependencies(exported)
    assert "c>3" not in installed and any(line.startswith("monai") for line in installed)
    (exported / "configs" / "metadata.json").write_text("{}")
    assert published_dependencies(exported) == ["c>3"]
