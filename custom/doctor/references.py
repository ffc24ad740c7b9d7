"""References and macros of a merged config, followed without building anything."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.config_item import ConfigExpression
from monai.bundle.reference_resolver import ReferenceResolver

from .config_file import read_document, value_at, walk
from .finding import Finding, did_you_mean

DEFINE = "Define it, or add the config that does to the list."
SEP = ReferenceResolver.sep


@dataclass
class Resolved:
    """A merged config with its macros replaced and its relative ids made absolute.

    Attributes:
        config: as MONAI would parse it; None in the place of a macro that leads nowhere.
        written: what stands in the files, by id, without what macros of the same config repeat.
        macros: how many macros there are.
        findings: macros and relative ids that lead nowhere.
    """

    config: dict[str, Any]
    written: list[tuple[str, Any]] = field(default_factory=list)
    macros: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def ids(self) -> set[str]:
        """Every id a reference may name; the empty one is the config itself."""
        return {where for where, _ in walk(self.config)}


def resolve(config: dict[str, Any], folders: tuple[Path, ...]) -> Resolved:
    """Make relative ids absolute and replace macros, in MONAI's order.

    Args:
        config: merged, the metadata under ``_meta_``.
        folders: where the file that a macro names may lie: the working directory first, then the bundle.
    """
    resolved = Resolved(deepcopy(config))
    _make_absolute(resolved)
    shown = {key: deepcopy(value) for key, value in resolved.config.items() if key != "_meta_"}
    resolved.written = [(where, value) for where, value in walk(shown) if where]
    for where, holder, key in _strings(resolved.config):
        if holder[key].startswith("%") and where.split(SEP)[0] != "_meta_":
            resolved.macros += 1
            holder[key] = _replacement(resolved, where, holder[key], folders)
    return resolved


def _strings(config: Any) -> list[tuple[str, Any, Any]]:
    """Every text in a config with its id, what holds it, and its key there."""
    return [
        (inner, holder, key)
        for where, holder in walk(config)
        if isinstance(holder, (dict, list))
        for key, inner, content in ReferenceResolver.iter_subconfigs(where, holder)
        if isinstance(content, str)
    ]


def _make_absolute(resolved: Resolved) -> None:
    for where, holder, key in _strings(resolved.config):
        try:
            holder[key] = ConfigParser.resolve_relative_ids(where, holder[key])
        except ValueError:
            cause = f"{holder[key]} goes up further than the config is deep"
            resolved.findings.append(Finding(where, cause, "Take a separator away."))
            holder[key] = ""


def _replacement(resolved: Resolved, where: str, text: str, folders: tuple[Path, ...]) -> Any:
    """What a macro stands for; None if it leads nowhere."""
    file, wanted = ConfigParser.split_path_id(text[1:])
    source = resolved.config
    if file:
        path = next((folder / file for folder in folders if (folder / file).is_file()), None)
        if path is None:
            cause, remedy = f"{text} names a file that is not there", "Correct the path; it starts where MONAI is run."
            resolved.findings.append(Finding(where, cause, remedy))
            return None
        document = read_document(path)
        if document.content is None:
            resolved.findings += [Finding(where, f"{text}: {fault.cause}", fault.remedy) for fault in document.faults]
            return None
        source = document.content
    found = value_at(source, wanted, resolved)
    if found is resolved or isinstance(found, str) and found.startswith("%"):
        cause = f"{text} is in no config of the list" if found is resolved else f"{text} leads to another macro"
        known = (inner for inner, _ in walk(source) if inner)
        remedy = did_you_mean(wanted, known, DEFINE, "%{}") if found is resolved else "Name what that one leads to."
        resolved.findings.append(Finding(where, cause, remedy))
        return None
    content = deepcopy(found)
    if file:
        resolved.written += [pair for pair in walk(content, where) if pair[0] != where]
    return content


def check_references(resolved: Resolved) -> tuple[int, list[Finding]]:
    """References that lead nowhere, those that MONAI takes for plain text, and those that run in a circle.

    Returns:
        How many references and macros there are, and what is wrong with them.
    """
    ids, count, findings = resolved.ids, resolved.macros, [*resolved.findings]
    for where, text in resolved.written:
        if not isinstance(text, str) or text.startswith("%"):
            continue
        references = ReferenceResolver.match_refs_pattern(text)
        count += sum(references.values())
        for name in references:
            if name not in ids:
                inside = f" in the expression {text}" if ConfigExpression.is_expression(text) else ""
                cause = f"@{name} is in no config of the list{inside}"
                findings.append(Finding(where, cause, did_you_mean(name, ids, DEFINE, "@{}")))
        if not references and not where.endswith("_desc_") and _looks_like_one(text, ids):
            cause = f"MONAI takes {text!r} for plain text: a reference is the whole value or stands in an expression"
            findings.append(Finding(where, cause, "Write an expression that starts with $, or the reference alone."))
    return count, findings + _circles(resolved.config)


def _looks_like_one(text: str, ids: set[str]) -> bool:
    names = re.findall(r"(?<![\w@])@(\w+(?:::\w+)*)", text)
    return bool(names) and not text.startswith("$") and (text.startswith("@") or any(name in ids for name in names))


def _circles(config: dict[str, Any]) -> list[Finding]:
    """Parts that need themselves to be built, each circle once."""
    contents = {where: value for where, value in walk(config) if where and where.split(SEP)[0] != "_meta_"}
    done: set[str] = set()
    chains: list[tuple[str, ...]] = []

    def follow(where: str, path: tuple[str, ...]) -> None:
        if where in path:
            chains.append(path[path.index(where) :])
        elif where not in done and where in contents:
            for name in ReferenceResolver.find_refs_in_config(contents[where], where):
                follow(name, (*path, where))
            done.add(where)

    for where in contents:
        follow(where, ())
    remedy = "Take the reference out of one of them; attach a handler that needs its trainer in initialize."
    return [
        Finding(max(chain, key=lambda where: where.count(SEP)), f"it needs itself: {' -> '.join(chain)}", remedy)
        for chain in chains
        if not any(set(chain) < set(other) for other in chains)
    ]
