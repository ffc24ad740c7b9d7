"""Items of the evaluation: one slice of each structure and axis of a case (C4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...slices.cut_slices import AXES
from ...slices.slice_datalist import SPLITS, read_listing


@dataclass(frozen=True)
class EvaluationItems:
    """The slices that are evaluated.

    Attributes:
        items: ``slice`` and ``sdf`` (absolute paths), ``case``, ``patient``, ``structure``, ``axis`` and ``slice_idx``.
        unasked: (case, structure, axis) of which there is no slice: the case lacks the structure, or it is too small.
    """

    items: tuple[dict[str, Any], ...]
    unasked: tuple[tuple[str, str, int], ...]


def find_evaluation_items(
    cache_dir: str | Path,
    split: str = "test",
    structures: Sequence[str | int] = (),
    axes: Sequence[int] = AXES,
    least_pixels: int = 1,
    only_cases: Sequence[str] = (),
) -> EvaluationItems:
    """One question per case, structure and axis: the slice with the most pixels of the structure, the first of several.

    Nothing is chosen by what lies outside the slices, and no two slices of a case make one question. The order is that
    of the list, then of the table, then of the axes.

    Args:
        cache_dir: written by ``corfield slices``.
        split: whose patients.
        structures: only these; all of the table if empty.
        axes: across which the slices lie.
        least_pixels: a slice with fewer of the structure is not evaluated.
        only_cases: only these; all if empty.

    Raises:
        InputError: as :func:`custom.slices.slice_datalist.read_listing`; an unknown split, structure, axis or case;
            nothing to ask.
    """
    labels_of, lists = read_listing(cache_dir)
    if split not in SPLITS:
        raise InputError("split", repr(split), f"one of {', '.join(SPLITS)}", "Choose one of them.")
    if not axes or any(axis not in AXES for axis in axes):
        raise InputError("eval_axes", repr(list(axes)), f"some of {list(AXES)}", "Choose from them.")
    found = [item for item in lists[split] if not only_cases or item["case"] in only_cases]
    names = [labels_of[one].name for one in structures] or list(labels_of.names)
    items, unasked = [], []
    for case in dict.fromkeys(item["case"] for item in found):
        for name in names:
            channel = labels_of.names.index(name)
            for axis in axes:
                own = [item for item in found if item["case"] == case and item["axis"] == axis]
                best = max(own, key=lambda item: item["pixels"][channel], default=None)
                if best is None or best["pixels"][channel] < least_pixels:
                    unasked.append((case, name, axis))
                    continue
                kept = {key: best[key] for key in ("slice", "sdf", "case", "patient", "axis", "slice_idx")}
                items.append(kept | {"structure": name})
    if not items:
        wanted = f"a slice of {split} with {least_pixels} pixels of a structure"
        raise InputError(cache_dir, "nothing to ask about", wanted, "Give another split, or raise its share.")
    return EvaluationItems(tuple(items), tuple(unasked))
