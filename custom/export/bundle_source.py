"""A bundle as it lies on disk: found, read, and refused if it is none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..training.run_bundle import BUNDLES

PACKAGE = Path(__file__).resolve().parents[1]
METADATA, README, LICENSE = "configs/metadata.json", "docs/README.md", "LICENSE"
PARTS = ("configs", "docs", "models", LICENSE, "large_files.yml", "large_files.yaml", "large_files.json")
"""What a bundle consists of; anything else in its folder is what runs have written there."""


@dataclass(frozen=True)
class Source:
    """A bundle, read.

    Attributes:
        name: of its folder; the archive holds a folder of the same name.
        folder: absolute.
        files: contents by path in the bundle, with forward slashes.
    """

    name: str
    folder: Path
    files: dict[str, bytes]


def bundle_names() -> list[str]:
    """The bundles that lie beside the package."""
    return sorted(path.parents[1].name for path in BUNDLES.glob(f"*/{METADATA}"))


def find_bundle(given: str) -> Path:
    """The folder of a bundle, by its name or its path. A name goes before a folder of that name.

    Raises:
        InputError: neither; it names the bundles there are.
    """
    names = bundle_names()
    if given in names:
        return BUNDLES / given
    if Path(given).is_dir():
        return Path(given).resolve()
    near = get_close_matches(given, names, n=1)
    wanted = f"one of {', '.join(names)}, or the folder of a bundle" if names else "the folder of a bundle"
    found = "a file" if Path(given).is_file() else "neither a bundle of this name nor a folder"
    raise InputError(given, found, wanted, f"Did you mean {near[0]}?" if near else "Choose one of them.")


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder in a fixed order, without what Python, editors and systems leave behind."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        hidden = any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(folder).parts)
        if not hidden and not path.name.endswith((".pyc", ".pyo", ".orig", ".rej", "~")):
            yield path


def read_bundle(folder: Path) -> Source:
    """Read a bundle's own files; what runs have written into its folder is left there.

    Raises:
        InputError: it is no bundle (all that is missing is named), or a config is no JSON.
    """
    parts = [folder / part for part in PARTS]
    paths = [path for part in parts for path in ([part] if part.is_file() else files_below(part))]
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    missing = [name for name in (METADATA, README, LICENSE) if name not in files]
    if not alone(files, str(folder)):
        missing.append("configs/*.json that can be run (one with a bundle_root)")
    if missing:
        remedy = "Give the folder that holds configs/, docs/ and LICENSE."
        raise InputError(folder, f"a folder without {', '.join(missing)}", "the folder of a MONAI bundle", remedy)
    return Source(folder.resolve().name, folder.resolve(), files)


def configs_of(files: Mapping[str, bytes], where: str = "") -> dict[str, dict[str, Any]]:
    """The JSON configs among the files of a bundle, parsed, without the metadata.

    Raises:
        InputError: one is no JSON object; ``where`` is put before its path.
    """
    found = {}
    for name, content in files.items():
        if name.startswith("configs/") and name.endswith(".json") and name != METADATA:
            found[name] = parsed(name, content, where)
    return found


def parsed(name: str, content: bytes, where: str = "") -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: it is none.
    """
    try:
        value = json.loads(content)
    except ValueError as error:
        found = f"no JSON ({error})"
    else:
        if isinstance(value, dict):
            return value
        found = f"a {type(value).__name__}"
    raise InputError(Path(where) / name, found, "a JSON object", "Mend the file.")


def alone(files: Mapping[str, bytes], where: str = "") -> list[str]:
    """The configs that are run by themselves, not laid over another: those that say where the bundle is."""
    return sorted(name for name, config in configs_of(files, where).items() if "bundle_root" in config)
