"""The cases of a training run, which structures are labelled in each, and which are for validation (B1, B5)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..anatomy import PUBLIC_CARDIAC_CT, table
from ..data.case_list import case_name, find_items
from ..errors import InputError

VALIDATION = "validation"


def _listed(dataset_dir: Path) -> list[tuple[dict[str, Any], bool]]:
    """The items of a data list, and whether each is for validation."""
    content: Any = json.loads(dataset_dir.read_text(encoding="utf-8"))
    groups = content if isinstance(content, dict) else {"training": content}
    found = [(item, group == VALIDATION) for group in ("training", VALIDATION) for item in groups.get(group) or []]
    return [(item if isinstance(item, dict) else {"label": item}, held) for item, held in found]


def _labelled(item: dict[str, Any], label_table: str, where: Path) -> list[bool]:
    """For every structure of the table, whether the item lists it as labelled; all if it lists none."""
    labels_of = table(label_table)
    names = item.get("labelled")
    if names is None:
        return [True] * len(labels_of)
    if not isinstance(names, list) or not names:
        wanted = 'a list such as ["LV", "Myocardium"]'
        raise InputError(where, f"labelled = {names!r} of {item['label']}", wanted, "Correct the item.")
    chosen = {labels_of[name].name for name in names}
    return [structure.name in chosen for structure in labels_of]


def _told(item: dict[str, Any], label_table: str, where: Path) -> dict[str, Any]:
    """The entries of a data list for a case beside its label map."""
    told: dict[str, Any] = {"labelled": _labelled(item, label_table, where)}
    if "cloud" in item:
        told["cloud"] = str(where.parent / item["cloud"])
    return told


def completion_items(dataset_dir: str | Path, label_table: str = PUBLIC_CARDIAC_CT.name) -> list[dict[str, Any]]:
    """The items of :func:`custom.data.case_list.find_items`, with ``labelled`` and ``held_out`` beside them.

    Args:
        dataset_dir: a folder of label maps, one label map, or a data list, such as that of ``corfield clouds``. An item
            of a list may have ``labelled``, the names of the structures that were labelled there, and ``cloud``,
            its cloud relative to the list; a list may have a group ``validation`` beside ``training``.
        label_table: name of the table.

    Raises:
        InputError: as that function; an unknown structure, an item that is labelled with nothing, or a case in both
            groups.
    """
    place = Path(dataset_dir)
    if place.suffix.lower() != ".json":
        every = [True] * len(table(label_table))
        return [{**item, "labelled": every, "held_out": False} for item in find_items(place, label_table)]
    items = find_items(place, label_table)
    listed = _listed(place)
    known = {case_name(item["label"]): _told(item, label_table, place) for item, _ in listed}
    held = {case_name(item["label"]) for item, for_validation in listed if for_validation}
    both = held & {item["case"] for item in items}
    if both:
        found = f"{', '.join(sorted(both)[:3])} in both groups"
        raise InputError(place, found, "cases of their own for validation", "Take them out of one of the two.")
    found_items = [{**item, **known[item["case"]], "held_out": False} for item in items]
    for item, for_validation in listed:
        if for_validation:
            (own,) = find_items(place.parent / item["label"], label_table)
            found_items.append({**own, "index": len(found_items), **known[own["case"]], "held_out": True})
    return found_items


def held_out(items: Sequence[dict[str, Any]], share: float | int, seed: int = 0) -> set[str]:
    """Names of the cases for validation: those of the data list, or else a random share of all.

    A single case is for both; of several, at least one is held out and at least one is left.
    """
    told = {item["case"] for item in items if item["held_out"]}
    if told or len(items) < 2 or share == 0:
        return told
    count = min(max(1, round(share * len(items))), len(items) - 1)
    order = np.random.default_rng(seed).permutation(len(items))
    return {items[position]["case"] for position in order[:count]}


def split(
    items: Sequence[dict[str, Any]], share: float | int, seed: int = 0
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Items for training and for validation; with nothing held out both are all of them."""
    held = held_out(items, share, seed)
    training = [item for item in items if item["case"] not in held]
    return training, [item for item in items if item["case"] in held] or list(items)
