"""The house rules that can be checked: imports, rooms listed, modules that documents name, length of functions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.api import read_configuration
from importlinter.cli import lint_imports

import custom
from tests.folder_entries import entries

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "custom"
MODULES = sorted(PACKAGE.rglob("*.py"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MAX_FUNCTION_LINES = 50
"""Of code: the docstring does not count."""


def _walk(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path)))


def _place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def _code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    documented = len((ast.get_docstring(node) or "").splitlines())
    return (node.end_lineno or node.lineno) - node.lineno + 1 - documented


def _exists(dotted: str) -> bool:
    """Whether a dotted name, from a room of ``custom`` on, is a module or something that its module defines."""
    place, names = PACKAGE, dotted.split(".")
    while names and (place / names[0]).is_dir():
        place /= names.pop(0)
    if not names:
        return True
    module = (place / names[0]).with_suffix(".py")
    return module.is_file() and (
        len(names) == 1 or re.search(rf"\b{names[1]}\b", module.read_text(encoding="utf-8")) is not None
    )


def _rooms_on_disk() -> set[str]:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return folders | {path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__"}


def _rooms_in_map() -> list[str]:
    return re.findall(r"^``(\w+)``", custom.__doc__ or "", flags=re.MULTILINE)


def _levels_in_map() -> dict[str, int]:
    """The drawing at the end of the map: each room and the number of its line."""
    drawing = (custom.__doc__ or "").split("::\n", 1)[1].split("\n")
    lines = [line for line in drawing if line.startswith("    ")]
    return {room: level for level, line in enumerate(lines) for room in re.findall(r"\w+", line)}


def _levels_in_contract() -> dict[str, int]:
    contracts = read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return {room: level for level, line in enumerate(layers) for room in re.findall(r"\w+", line)}


def test_imports_point_downwards_only() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_the_map_lists_the_rooms_that_exist_and_no_other() -> None:
    rooms = _rooms_in_map()
    assert len(rooms) == len(set(rooms))
    assert set(rooms) == _rooms_on_disk()


def test_the_map_draws_every_room_it_lists_and_no_other() -> None:
    assert set(_levels_in_map()) == set(_rooms_in_map())


def test_the_contract_knows_every_room_and_no_other() -> None:
    assert set(_levels_in_contract()) == set(_rooms_in_map())


def test_the_contract_keeps_above_what_the_map_draws_above() -> None:
    drawn, kept = _levels_in_map(), _levels_in_contract()
    assert [(a, b) for a in drawn for b in drawn if drawn[a] < drawn[b] and not kept[a] < kept[b]] == []


def test_inside_custom_every_import_of_custom_is_relative() -> None:
    absolute = []
    for path in MODULES:
        for node in _walk(path):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            absolute += [_place(path, node) for name in names if name.split(".")[0] == PACKAGE.name]
    assert absolute == []


def test_nothing_is_printed_outside_the_command_line() -> None:
    printed = [
        _place(path, node)
        for path in MODULES
        if path.parent != PACKAGE / "cli"
        for node in _walk(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printed == []


@pytest.mark.parametrize("folder", ["custom", "benchmarks"])
def test_no_function_is_longer_than_a_page(folder: str) -> None:
    long = [
        _place(path, node)
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in _walk(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _code_lines(node) > MAX_FUNCTION_LINES
    ]
    assert long == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_modules_that_a_document_names_exist(document: Path) -> None:
    rooms = "|".join(sorted(_rooms_on_disk()))
    named = re.findall(
        rf"(?:`|\|  |, |\()((?:{rooms})(?:\.\w+)+)(?=`|  |, |\)| )", document.read_text(encoding="utf-8")
    )
    assert [name for name in named if not name.endswith((".json", ".csv")) and not _exists(name)] == []


def test_the_version_of_the_citation_is_that_of_the_package() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, flags=re.MULTILINE) == [custom.__version__]


def test_every_bundle_carries_the_licence_of_the_project() -> None:
    bundles = sorted(path for path in entries((ROOT / "bundles").iterdir()) if path.is_dir())
    text = (ROOT / "LICENSE").read_bytes()
    assert bundles
    assert [bundle.name for bundle in bundles if (bundle / "LICENSE").read_bytes() != text] == []


def test_every_dependency_is_pinned() -> None:
    project, constraints = (ROOT / "pyproject.toml").read_text("utf-8"), (ROOT / "constraints.txt").read_text("utf-8")
    required = {name.lower() for name in re.findall(r'^    "([\w-]+)[>=]=', project, flags=re.MULTILINE)}
    assert len(required) > 20
    assert required - set(re.findall(r"^([\w-]+)==", constraints, flags=re.MULTILINE)) == set()
