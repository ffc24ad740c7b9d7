"""What a network that draws hearts from slices learns from: the shapes of a cache and their slices (C1, C3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..anatomy import StructureTable
from ..errors import InputError
from ..fingerprints import digest_of
from ..slices.cut_slices import AXES
from ..slices.slice_datalist import LISTING, SPLITS, read_listing

SLICE_KEYS = ("slice", "axis", "slice_idx")


def shape_items(
    cache_dir: str | Path,
    split: str = "training",
    structures: Sequence[str | int] = (),
    axes: Sequence[int] = AXES,
    least_pixels: int = 6,
) -> list[dict[str, Any]]:
    """An item per case and structure of a split, with all slices the structure can be seen in.

    Args:
        cache_dir: written by ``corfield slices``.
        split: training, validation or test: whole patients.
        structures: only these; all of the table if empty.
        axes: only slices across these.
        least_pixels: of the structure in a slice.

    Returns:
        Items with ``index``, ``case``, ``patient``, ``structure`` (name), ``channel`` (its place in the table), ``sdf``
        (absolute path of the case's volume), ``fingerprint`` of that file, and ``slices``: ``slice`` (absolute path),
        ``axis``, ``slice_idx`` of each.

    Raises:
        InputError: as :func:`custom.slices.slice_datalist.read_listing`; an unknown split or structure; a case's
            volume that is not there; nothing left.
    """
    labels_of, lists = read_listing(cache_dir)
    if split not in SPLITS:
        raise InputError("split", repr(split), f"one of {', '.join(SPLITS)}", "Choose one of them.")
    if not axes or any(axis not in AXES for axis in axes):
        raise InputError("axes", repr(list(axes)), f"some of {list(AXES)}", "Choose from them.")
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for item in lists[split]:
        for channel in _channels(labels_of, structures):
            if item["axis"] in axes and item["pixels"][channel] >= least_pixels:
                key = item["case"], labels_of.names[channel]
                if key not in found:
                    found[key] = _item(item, labels_of.names[channel], channel, len(found))
                found[key]["slices"].append({name: item[name] for name in SLICE_KEYS})
    if not found:
        what = f"no slice for {split} across {list(axes)} with {least_pixels} pixels of a structure"
        raise InputError(Path(cache_dir) / LISTING, what, "at least one", "Raise its share, or ask for less.")
    return list(found.values())


def _channels(labels_of: StructureTable, structures: Sequence[str | int]) -> list[int]:
    names = [labels_of[one].name for one in structures] or list(labels_of.names)
    return [labels_of.names.index(name) for name in names]


def _item(item: dict[str, Any], structure: str, channel: int, index: int) -> dict[str, Any]:
    path = Path(item["sdf"])
    try:
        fingerprint = digest_of(path)
    except OSError as error:
        remedy = "Make the slices again with `corfield slices`."
        raise InputError(path, "no such file", f"the volume of the case {item['case']}", remedy) from error
    kept = {key: item[key] for key in ("case", "patient", "sdf")}
    return kept | {
        "index": index,
        "structure": structure,
        "channel": channel,
        "fingerprint": fingerprint,
        "slices": [],
    }


def fingerprints(training: Sequence[dict[str, Any]], validation: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Of the volume of every case in two lists of items, by the case's name."""
    return {item["case"]: item["fingerprint"] for items in (training, validation) for item in items}
