"""Settings that nothing reads, and values that the run itself would refuse."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from monai.bundle.properties import InferProperties, TrainProperties
from monai.bundle.reference_resolver import ReferenceResolver
from monai.utils import BundlePropertyConfig

from ..errors import InputError
from ..training.preflight import MONAI_KEYS, setting_paths, unknown_setting
from ..training.setting_rules import check_settings
from .config_file import Document, value_at, walk
from .finding import Finding

SEP = ReferenceResolver.sep
RESERVED = {table[BundlePropertyConfig.ID] for table in (*TrainProperties.values(), *InferProperties.values())}


def check_overrides(
    earlier: Sequence[Document], later: Document, beside: Mapping[str, Document], config: Mapping[str, Any]
) -> list[Finding]:
    """Keys of a config that no config before it has and nothing refers to: MONAI takes them in silence.

    What stands inside a component is its own concern, and so is what stands inside a setting that is declared as an
    empty object.

    Args:
        earlier: configs before it.
        later: the config or the command line that may override them.
        beside: other configs of the bundle, by the name to show.
        config: all of the run merged.
    """
    before = [document.content or {} for document in earlier]
    declared = {name: set(_paths(other.content or {})) for name, other in beside.items()}
    known = {path for content in before for path in _paths(content)}
    plain = {name for name in known if not any(isinstance(content.get(name), dict) for content in before)}
    whole = _referred_to(config)
    read = whole | {above for name in whole for above in _above(name)}
    findings = []
    for path in _paths(later.content or {}):
        if path in known | read | RESERVED or path.split(SEP)[0] in MONAI_KEYS or _runs(value_at(config, path)):
            continue
        if not any(above in whole or above not in known or _is_open(before, above) for above in _above(path)):
            findings.append(as_finding(path, unknown_setting(path, declared, plain)))
    return findings


def check_values(config: Mapping[str, Any]) -> list[Finding]:
    """Settings whose value the run would refuse, if it is one that checks its settings before it starts."""
    targets = [value["_target_"] for _, value in walk(dict(config)) if isinstance(value, dict) and "_target_" in value]
    if not any(str(target).endswith((".preflight.check_config", ".preflight.Preflight")) for target in targets):
        return []
    left = dict(config)
    findings: list[Finding] = []
    while True:
        try:
            check_settings(left)
            return findings
        except InputError as error:
            finding = as_finding("", error)
            findings.append(finding)
            if left.pop(finding.where, None) is None:
                return findings


def as_finding(where: str, error: InputError) -> Finding:
    """The text of an error of a setting, without the dashes of the command line in front of its name."""
    place, found, wanted, remedy = error.parts
    return Finding(where or str(place).removeprefix("--"), f"found {found}; wanted {wanted}", remedy)


def _paths(content: Mapping[str, Any]) -> list[str]:
    return [ReferenceResolver.normalize_id(path) for path in setting_paths(content)]


def _referred_to(config: Mapping[str, Any]) -> set[str]:
    texts = (ReferenceResolver.normalize_id(text) for _, text in walk(dict(config)) if isinstance(text, str))
    return {name for text in texts for name in re.findall(r"[@%](\w+(?:::\w+)*)", text)}


def _above(path: str) -> list[str]:
    parts = path.split(SEP)
    return [SEP.join(parts[:depth]) for depth in range(1, len(parts))]


def _is_open(before: Sequence[Mapping[str, Any]], path: str) -> bool:
    """Whether the inside of an id is not checked: a component, a list, an object whose keys the user names."""
    found = [value for content in before if (value := value_at(content, path)) is not None]
    return any(not isinstance(value, dict) or not value or "_target_" in value for value in found)


def _runs(value: Any) -> bool:
    """Whether a value is something to run, such as ``["$@trainer.run()"]``."""
    return isinstance(value, list) and any(isinstance(inner, str) and inner.startswith("$") for inner in value)
