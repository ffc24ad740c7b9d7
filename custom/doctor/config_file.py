"""Reading a config for its examination: what json and yaml pass over in silence is kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle.reference_resolver import ReferenceResolver

from .finding import Fault

YAML = (".yaml", ".yml")
SUFFIXES = (".json", *YAML)


@dataclass(frozen=True)
class Document:
    """A config file.

    Attributes:
        name: the path as the user knows it.
        content: the object in it; None if it could not be read.
        faults: what is wrong with the file itself.
    """

    name: str
    content: dict[str, Any] | None
    faults: tuple[Fault, ...] = ()


class _Object(dict[str, Any]):
    """An object of a file that remembers which keys were given to it more than once."""

    repeated: tuple[str, ...] = ()

    @classmethod
    def of(cls, pairs: Iterable[tuple[Any, Any]], keys: Iterable[Any] | None = None) -> _Object:
        """From the pairs in their order; the keys as written if other ones were merged in."""
        several = list(pairs)
        found = cls((str(key), value) for key, value in several)
        written = Counter(map(str, keys if keys is not None else (key for key, _ in several)))
        found.repeated = tuple(key for key, times in written.items() if times > 1)
        return found


def read_document(path: Path) -> Document:
    """Read a config in JSON, or in YAML where PyYAML is installed.

    A file that is missing, empty, no text, of another format or holds something else than one object has a fault and
    no content. A key given twice is a fault; the last value is taken, as MONAI does.
    """
    name = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return _unread(name, "file", "there is no such file", "Correct the path.")
    except (OSError, UnicodeDecodeError) as error:
        return _unread(name, "file", f"it cannot be read ({error})", "Give a text file in UTF-8.")
    if path.suffix.lower() in YAML:
        content = _from_yaml(name, text)
    elif path.suffix.lower() == ".json":
        content = _from_json(name, text)
    else:
        return _unread(name, "file", "MONAI reads no such format", f"Give a file in {', '.join(SUFFIXES)}.")
    if isinstance(content, Document):
        return content
    if not isinstance(content, dict):
        found = f"it holds {type(content).__name__} where a config is one object"
        return _unread(name, "file", found, "Put the settings between { and }.")
    cause, remedy = "the key is given more than once in one object, and the last one wins in silence", "Keep one."
    faults = tuple(Fault(name, where, cause, remedy) for where in _repeated(content))
    return Document(name, _plain(content), faults)


def walk(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in a config with its id, at any depth, what is outside first; the config itself has the id ''."""
    left = [(where, value)]
    while left:
        where, value = left.pop()
        yield where, value
        if isinstance(value, (dict, list)):
            inside = [(inner, content) for _, inner, content in ReferenceResolver.iter_subconfigs(where, value)]
            left += reversed(inside)


def value_at(config: Any, where: str, absent: Any = None) -> Any:
    """What stands at an id; the config itself at the empty one."""
    for part in ReferenceResolver.split_id(where) if where else ():
        if isinstance(config, dict) and part in config:
            config = config[part]
        elif isinstance(config, list) and part.isdecimal() and int(part) < len(config):
            config = config[int(part)]
        else:
            return absent
    return config


def _unread(name: str, where: str, cause: str, remedy: str) -> Document:
    return Document(name, None, (Fault(name, where, cause, remedy),))


def _from_json(name: str, text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_Object.of)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        return _unread(name, where, f"invalid JSON: {error.msg}", "Correct it there, or just before.")


def _from_yaml(name: str, text: str) -> Any:
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return _unread(name, "file", "YAML cannot be read: PyYAML is not installed", "Run pip install PyYAML.")

    class Loader(yaml.SafeLoader):  # type: ignore[misc,unused-ignore]
        """Safe: builds plain values only."""

    def mapping(loader: Any, node: Any) -> _Object:
        merge = "tag:yaml.org,2002:merge"
        keys = [loader.construct_object(key, deep=True) for key, _ in node.value if key.tag != merge]
        loader.flatten_mapping(node)
        return _Object.of(loader.construct_pairs(node, deep=True), keys)

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or error
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
        return _unread(name, where, f"invalid YAML: {problem}", "Correct it there, or just before.")


def _repeated(content: Any) -> Iterator[str]:
    """The ids that are given more than once."""
    for where, value in walk(content):
        if isinstance(value, _Object):
            yield from (f"{where}::{key}" if where else key for key in value.repeated)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
