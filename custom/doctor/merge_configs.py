"""Configs laid over each other as MONAI does it, with the file that each part comes from."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.reference_resolver import ReferenceResolver
from monai.bundle.utils import MERGE_KEY, merge_kv

from .config_file import Document, walk
from .finding import Fault, did_you_mean

SEP = ReferenceResolver.sep


@dataclass
class Merged:
    """Configs merged in order.

    Attributes:
        config: the settings and parts, and the metadata under ``_meta_``.
        first: name of the first file.
        origins: the file that has set an id and what is inside it.
    """

    config: dict[str, Any]
    first: str
    origins: dict[str, str] = field(default_factory=dict)

    def origin(self, where: str) -> str:
        """The file that an id comes from; the first one if none has set it or anything it stands in."""
        parts = where.split(SEP)
        above = (SEP.join(parts[:depth]) for depth in range(len(parts), 0, -1))
        return next((self.origins[key] for key in above if key in self.origins), self.first)


def merge(documents: Sequence[Document], metadata: Mapping[str, Any]) -> tuple[Merged, list[Fault]]:
    """Lay configs over each other, later ones over earlier ones, ``a::b`` and ``+a`` as MONAI takes them.

    Args:
        documents: all of them read.
        metadata: of the bundle.

    Returns:
        The merged config, and a fault for every key that leads nowhere or cannot be merged.
    """
    parser = ConfigParser(config={})
    merged, faults = Merged(parser.get(), documents[0].name), []
    for document in documents:
        for key, value in (document.content or {}).items():
            where = ReferenceResolver.normalize_id(key).removeprefix(MERGE_KEY)
            before = deepcopy(parser.get(where)) if key.startswith(MERGE_KEY) else None
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    merge_kv(parser, key, deepcopy(value))
            except (KeyError, IndexError, ValueError, TypeError):
                faults.append(_leads_nowhere(document, key, where, parser))
                continue
            for inner in _set_by(where, value, before):
                _remember(merged.origins, inner, document.name)
    merged.config["_meta_"] = dict(metadata)
    return merged, faults


def _set_by(where: str, value: Any, before: Any) -> list[str]:
    """The ids that a value sets: those it adds to what was there before, or the one it replaces."""
    if isinstance(before, list):
        return [f"{where}{SEP}{len(before) + index}" for index in range(len(value))]
    return [f"{where}{SEP}{key}" for key in value] if isinstance(before, dict) else [where]


def _remember(origins: dict[str, str], where: str, name: str) -> None:
    """That a file has set an id, whatever others had set inside it."""
    for key in [key for key in origins if key.startswith(where + SEP)]:
        del origins[key]
    origins[where] = name


def _leads_nowhere(document: Document, key: str, where: str, parser: ConfigParser) -> Fault:
    above = where.rpartition(SEP)[0]
    if where in parser:
        cause = f"{key} cannot be merged: a list is added to a list, an object to an object"
        return Fault(document.name, where, cause, f"Leave the {MERGE_KEY} out to replace it.")
    cause = f"{above or where} is not in the configs before this one"
    known = [inner for inner, _ in walk(parser.get()) if inner]
    remedy = "Give the config that declares it before this one."
    return Fault(document.name, where, cause, did_you_mean(above or where, known, remedy))
