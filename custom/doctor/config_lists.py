"""Which lists of configs of a bundle can be run: those its documents give, and every config with what it lies over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle.reference_resolver import ReferenceResolver

from .config_file import SUFFIXES, Document, read_document, value_at, walk
from .finding import Fault, did_you_mean

BASES = ("train", "inference")


@dataclass(frozen=True)
class ConfigLists:
    """What is to be examined in a bundle.

    Attributes:
        documents: every config but the metadata, by its path below ``configs``.
        bases: names of those that stand alone.
        lists: names of the configs of each run, in the order they are merged.
        faults: of the files themselves, and of commands in the documents that name configs that are not there.
    """

    documents: dict[str, Document]
    bases: tuple[str, ...]
    lists: tuple[tuple[str, ...], ...]
    faults: tuple[Fault, ...]


def config_documents(configs: Path) -> dict[str, Document]:
    """Every config in a folder and below, the metadata aside, by its path below that folder."""
    paths = [path for path in configs.rglob("*") if path.suffix.lower() in SUFFIXES and path.stem != "metadata"]
    return {path.relative_to(configs).as_posix(): read_document(path) for path in sorted(paths)}


def bases_of(documents: Mapping[str, Document]) -> tuple[str, ...]:
    """The configs that stand alone: they say where the bundle is; if none does, all that are read."""
    read = {name: document.content for name, document in documents.items() if document.content is not None}
    found = [name for name, content in read.items() if "bundle_root" in content or Path(name).stem in BASES]
    return tuple(sorted(found or read, key=lambda name: (Path(name).stem not in BASES, name == "inference.json", name)))


def config_lists(root: Path) -> ConfigLists:
    """Read a bundle's configs and work out which of them are run together.

    A base runs alone. An overlay in a folder below, such as ``structures``, is laid over every base it has something in
    common with; another one runs as the documents say, or else over the base it has most in common with. A file that
    has nothing in common with any is data, and only read.
    """
    documents = config_documents(root / "configs")
    bases = bases_of(documents)
    documented, faults = _documented(root, documents)
    lists = [(base,) for base in bases] + documented
    for name, document in documents.items():
        if name in bases or document.content is None:
            continue
        shared = {base: _in_common(document.content, documents[base].content or {}) for base in bases}
        likely = sorted((base for base in bases if shared[base]), key=lambda base: -shared[base])
        if "/" in name:
            lists += [(base, name) for base in likely]
        elif likely and not any(name in names for names in documented):
            lists.append((likely[0], name))
    faults += [fault for document in documents.values() for fault in document.faults]
    return ConfigLists(documents, bases, tuple(dict.fromkeys(lists)), tuple(faults))


def _in_common(overlay: Mapping[str, Any], base: dict[str, Any]) -> int:
    """How many of an overlay's keys and references a base has."""
    keys = [ReferenceResolver.normalize_id(key).lstrip("+") for key in overlay]
    texts = [ReferenceResolver.normalize_id(text) for _, text in walk(dict(overlay)) if isinstance(text, str)]
    named = {name for text in texts for name in re.findall(r"@(\w+(?:::\w+)*)", text)}
    return sum(value_at(base, name, ...) is not ... for name in (*keys, *named))


def _documented(root: Path, documents: Mapping[str, Document]) -> tuple[list[tuple[str, ...]], list[Fault]]:
    """The lists of configs that the commands in a bundle's documents give."""
    lists, faults = [], []
    for page in [*sorted((root / "docs").glob("*.md")), *root.glob("README.md")]:
        for names in _commands(page.read_text(encoding="utf-8", errors="replace"), root.name, set(documents)):
            missing = [name for name in names if name not in documents]
            for name in missing:
                remedy = did_you_mean(name, documents, "Correct the command, or add the config.")
                faults.append(
                    Fault(str(page), f"configs/{name}", "a command names this config, which is not there", remedy)
                )
            if not missing and all(documents[name].content is not None for name in names):
                lists.append(names)
    return lists, list(dict.fromkeys(faults))


def _commands(text: str, bundle: str, known: set[str]) -> Iterator[tuple[str, ...]]:
    """What stands behind ``--config_file``; commands for another bundle are passed over."""
    pattern = r"--config_file[ =]+(?:\"(\[.*?\])\"|'(\[.*?\])'|([^\s`]+))"
    for found in re.finditer(pattern, text.replace("\\\n", " ")):
        paths = re.findall(r"[^\s,'\"\[\]]+", next(filter(None, found.groups())))
        parts = [re.fullmatch(r"(?:(.*)/)?configs/(.+\.(?:json|ya?ml))", path) for path in paths]
        matches = [match for match in parts if match]
        if matches and len(matches) == len(paths):
            owners = {Path(match[1]).name for match in matches if match[1] and match[1] != "."}
            names = tuple(match[2] for match in matches)
            if owners <= {bundle} or set(names) <= known:
                yield names
