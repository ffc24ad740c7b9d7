"""The site of the documents: which pages it is made of, and that GitHub runs what .ci/run does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.test_architecture import _rooms_in_map

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "docs" / "pages.py"


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pages", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_room_of_the_map_has_an_api_page(pages: ModuleType) -> None:
    assert set(pages.rooms()) == set(_rooms_in_map())
    assert {f"api/{room}.md" for room in _rooms_in_map()} <= set(pages.generated())


def test_the_script_of_the_site_names_no_room() -> None:
    strings = set(re.findall(r"\"([\w.]+)\"", SCRIPT.read_text(encoding="utf-8")))
    assert strings & set(_rooms_in_map()) == set()


def test_every_module_stands_on_one_api_page(pages: ModuleType) -> None:
    shown = re.findall(r"^::: (\S+)$", "\n".join(pages.generated().values()), flags=re.MULTILINE)
    paths = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "custom").rglob("*.py")]
    modules = {".".join(path.parts).removesuffix(".__init__") for path in paths} - {"custom"}
    assert len(modules) > 100
    assert sorted(shown) == sorted(modules)


def test_every_room_has_a_sentence_in_the_index_of_the_api(pages: ModuleType) -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (.+) \|$", pages.api_index(), flags=re.MULTILINE)
    assert [room for room, _ in rows] == pages.rooms()
    assert [room for room, line in rows if len(line) < 15] == []


def test_every_bundle_has_a_page_with_its_own_readme(pages: ModuleType) -> None:
    bundles = {path.parents[1].name for path in (ROOT / "bundles").glob("*/docs/README.md")}
    assert len(bundles) == 5
    for name in bundles:
        text = (ROOT / "bundles" / name / "docs" / "README.md").read_text(encoding="utf-8")
        assert pages.generated()[f"bundles/{name}.md"].splitlines()[0] == text.splitlines()[0]
        assert pages.generated()[f"bundles/{name}.md"].count("\n") == text.count("\n")


def test_links_between_files_become_links_between_pages(pages: ModuleType) -> None:
    text = "[a](../bundles/near_stage1/docs/README.md#data) [b](config.yaml) [c](https://a.b) [d](../README.md)"
    expected = "[a](../bundles/near_stage1.md#data) b [c](https://a.b) [d](../index.md)"
    assert pages.linked(text, "workflow/README.md") == expected


def test_a_link_to_a_file_that_is_not_there_fails_the_site(pages: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"workflow/README\.md: found a link to gone\.md"):
        pages.linked("[a](gone.md)", "workflow/README.md")


def test_every_page_of_docs_stands_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n", 1)[1]
    own = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert [page for page in sorted(own) if f": {page}\n" not in navigation] == []


def test_github_runs_all_of_the_check_and_the_fast_tests_on_every_python() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    classifiers = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    matrix = re.search(r"python: \[(.+)\]", workflow)
    assert matrix and re.findall(r"3\.\d+", matrix.group(1)) == classifiers
    assert "- run: make test\n" in workflow and "- run: .ci/run\n" in workflow


def test_the_check_builds_the_site_and_ends_with_the_slow_tests() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert "make docs" in lines and lines[-1] == "make slow"
