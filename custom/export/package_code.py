"""The package as files, and the part of it that a bundle's configs reach."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from .bundle_source import PACKAGE, files_below

NAME = PACKAGE.name
DOTTED = re.compile(rf"(?<![\w./-]){NAME}\.(?=[A-Za-z_])")
"""The package's name where it begins a dotted path."""


def package_files(package: Path = PACKAGE) -> dict[str, bytes]:
    """Every file of the package, byte for byte, by path in it."""
    return {path.relative_to(package).as_posix(): path.read_bytes() for path in files_below(package)}


def targets_of(value: Any) -> Iterator[str]:
    """Every ``_target_`` in a config, at any depth."""
    if isinstance(value, dict):
        if isinstance(value.get("_target_"), str):
            yield value["_target_"]
        for inner in value.values():
            yield from targets_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from targets_of(inner)


def module_file(dotted: str, files: Mapping[str, bytes]) -> str:
    """The file of the module that a dotted path inside the package is, or lies in; empty if there is none."""
    path = dotted
    while True:
        stem = path.replace(".", "/")
        for name in (f"{stem}.py", f"{stem}/__init__.py".removeprefix("/")):
            if name in files:
                return name
        if not path:
            return ""
        path = path.rpartition(".")[0]


def imported_files(name: str, files: Mapping[str, bytes]) -> set[str]:
    """The files of the package that a file of it imports, anywhere in it, by relative imports."""
    found = set()
    for node in ast.walk(ast.parse(files[name])):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = PurePosixPath(name).parents[node.level - 1]
            base = ".".join([*above.parts, *(node.module or "").split(".")]).strip(".")
            found |= {module_file(f"{base}.{alias.name}".strip("."), files) for alias in node.names}
    return found - {""}


def reached_files(targets: Iterable[str], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files that components of the package need: their modules, what these import, and data beside them.

    Args:
        targets: dotted paths; those that do not begin with the package's name are passed over.
        files: the whole package, by path in it.

    Returns:
        The part of ``files``; none if no target is the package's.
    """
    own = [target.partition(".")[2] for target in targets if target.partition(".")[0] == NAME]
    waiting, seen = {module_file(path, files) for path in own} - {""}, set[str]()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        parents = {f"{parent}/__init__.py".removeprefix("./") for parent in PurePosixPath(name).parents}
        waiting |= ((imported_files(name, files) | parents) & set(files)) - seen
    folders = {str(PurePosixPath(name).parent) for name in seen if not name.endswith("__init__.py")}
    seen |= {name for name in files if not name.endswith(".py") and str(PurePosixPath(name).parent) in folders}
    return {name: files[name] for name in sorted(seen)}
