"""What a whole heart's checkpoint holds beyond a structure's: weights of the classes, usual places, thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..anatomy import PUBLIC_CARDIAC_CT, table
from ..errors import InputError
from ..rules.priority_decision import PriorityDecision
from .field_checkpoint import load_checkpoint

HEART = "heart"
"""What stands in the place of the structure's name."""

BESIDE = {"class_weights": list, "extents": dict}


def load_heart_checkpoint(path: str | Path, label_table: str = PUBLIC_CARDIAC_CT.name) -> dict[str, Any]:
    """The content of a whole heart's checkpoint.

    Besides what :func:`custom.near.field_checkpoint.load_checkpoint` names: ``class_weights``, ``extents`` (where each
    structure usually begins and ends) and, once calibrated, ``thresholds`` by the structure's name.

    Raises:
        InputError: what that function refuses, a field of a single structure, or one of another table.
    """
    remedy = "Give the best.pt or last.pt of a unified_implicit run."
    content = load_checkpoint(path)
    if content["structure"] != HEART:
        raise InputError(path, f"a field of {content['structure']} alone", "a field of the whole heart", remedy)
    lacking = [part for part, kind in BESIDE.items() if not isinstance(content.get(part), kind)]
    if lacking:
        raise InputError(path, f"no {', '.join(lacking)} in it", "a whole heart's checkpoint", remedy)
    if content["label_table"] != label_table:
        found, wanted = f"a field of the table {content['label_table']}", f"one of {label_table}"
        raise InputError(path, found, wanted, f"Give --label_table {content['label_table']}.")
    return content


def decision_of(
    content: Mapping[str, Any], thresholds: Mapping[str, float] | None = None, fallback: str = "background"
) -> PriorityDecision:
    """The decision by a checkpoint's calibrated thresholds, one half where there are none.

    Args:
        content: of the checkpoint.
        thresholds: to use instead, by the structure's name.
        fallback: see :class:`custom.rules.priority_decision.PriorityDecision`.

    Raises:
        InputError: an unknown structure or fallback, or a threshold outside of (0, 1).
    """
    labels_of = table(content["label_table"])
    changed = {labels_of[name].name: value for name, value in (thresholds or {}).items()}
    return PriorityDecision(labels_of, {**content.get("thresholds", {}), **changed}, fallback)
