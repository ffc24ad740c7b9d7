"""The ids that MONAI and its applications look for in a workflow, by the tables of monai.bundle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from monai.bundle.properties import InferProperties, MetaProperties, TrainProperties
from monai.utils import BundleProperty, BundlePropertyConfig

from .config_file import value_at, walk
from .finding import Finding, nearest

VALIDATION = "ValidationHandler"
HANDLERS = "train::handlers"


def is_training(config: Mapping[str, Any], first: str) -> bool | None:
    """Whether a config trains (True), infers or evaluates (False), or is no workflow of MONAI's at all (None).

    Args:
        config: macros replaced.
        first: name of its first file, which decides if a misspelt group leaves it open.
    """
    if "train" in config or "trainer" in config or "train" in Path(first).stem:
        return True
    return False if "evaluator" in config or "infer" in Path(first).stem else None


def check_properties(config: dict[str, Any], training: bool) -> list[Finding]:
    """Required properties that are missing, and optional ones that stand elsewhere than MONAI looks for them.

    Where MONAI's own ``check_properties`` would end in a traceback, the cause is reported.

    Args:
        config: macros replaced, the metadata under ``_meta_``.
        training: a workflow that trains; else one that infers or evaluates.
    """
    tables: dict[str, dict[Any, Any]] = TrainProperties if training else InferProperties
    ids, reserved = {where for where, _ in walk(config)}, {table[BundlePropertyConfig.ID] for table in tables.values()}
    findings = []
    for table in tables.values():
        wanted, described = table[BundlePropertyConfig.ID], table[BundleProperty.DESC].rstrip(".")
        if table[BundleProperty.REQUIRED] and wanted not in ids:
            known = [name for name in ids - reserved if name.count("::") == wanted.count("::")]
            cause = f"MONAI needs this property ({described}) and does not find it"
            findings.append(Finding(wanted, cause, _add(wanted, known)))
    validating = list(_validation_handlers(config)) if training else []
    if training and HANDLERS in ids and validating == [None]:
        cause = "MONAI's check of the properties fails unless this is a plain list of components"
        findings.append(Finding(HANDLERS, cause, "Write each handler out with its _target_."))
    return findings + [finding for table in tables.values() for finding in _misplaced(config, table, validating)]


def check_meta_properties(metadata: Mapping[str, Any]) -> list[Finding]:
    """What MONAI needs of the metadata and does not find there."""
    findings = []
    tables: dict[str, dict[Any, Any]] = MetaProperties
    for table in tables.values():
        wanted = table[BundlePropertyConfig.ID].removeprefix("_meta_::")
        if table[BundleProperty.REQUIRED] and value_at(dict(metadata), wanted) is None:
            cause = f"MONAI needs this property ({table[BundleProperty.DESC]}) and does not find it"
            findings.append(Finding(wanted, cause, _add(wanted, metadata)))
    return findings


def _add(wanted: str, known: Iterable[str]) -> str:
    near = nearest(wanted, known)
    return f"Add it, or rename {near} to it." if near else "Add it."


def _validation_handlers(config: Mapping[str, Any]) -> Iterator[str | None]:
    """Ids of the handlers that run the validation; a single None if the handlers are no plain list."""
    handlers = value_at(dict(config), HANDLERS, [])
    if not isinstance(handlers, list) or not all(isinstance(one, dict) and "_target_" in one for one in handlers):
        yield None
        return
    yield from (f"{HANDLERS}::{place}" for place, one in enumerate(handlers) if one["_target_"] == VALIDATION)


def _misplaced(config: dict[str, Any], table: Mapping[Any, Any], validating: list[str | None]) -> Iterator[Finding]:
    """An optional property that is in use and stands elsewhere."""
    wanted, used_by = table[BundlePropertyConfig.ID], table.get(BundlePropertyConfig.REF_ID)
    if table[BundleProperty.REQUIRED] or used_by is None:
        return
    by_handler = used_by in ("validator", "interval")
    places = [f"{place}::{used_by}" for place in validating if place] if by_handler else [used_by]
    for place in places:
        value = value_at(config, place)
        if value is None or isinstance(value, str) and (value.startswith("$") or value == f"@{wanted}"):
            continue
        if isinstance(value, str) and value.startswith("@") and value_at(config, value[1:], ...) is ...:
            continue  # it leads nowhere at all, which is another finding
        what = "a part written in place" if isinstance(value, (dict, list)) else str(value)
        cause = f"MONAI looks for this property at {wanted}, and here is {what}"
        yield Finding(place, cause, f'Put it at {wanted}, and write "@{wanted}" here.')
