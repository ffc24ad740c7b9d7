"""The lists of a cache of slices: which slice and which case is for training, validation and the test (C1).

``datalist.json`` is a MONAI data list with an item per slice, its paths relative to the cache; ``datalist.csv`` is the
same as a table. A patient is in one split alone: all slices of all of a patient's cases stay together.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..anatomy import StructureTable, table
from ..errors import InputError
from ..files import write_file
from .cut_slices import AXES

LISTING, TABLE = "datalist.json", "datalist.csv"
SPLITS = ("training", "validation", "test")
FORMAT = 1

_WANTED, _REMEDY = "the list that `corfield slices` writes", "Make the slices, or give their folder."


@dataclass(frozen=True)
class CachedCase:
    """A case of a cache.

    Attributes:
        case: its name.
        patient: whose it is.
        sdf: its volume, relative to the cache.
        slices: (file relative to the cache, axis, slice_idx, pixels per structure of the table) of each slice.
    """

    case: str
    patient: str
    sdf: str
    slices: tuple[tuple[str, int, int, tuple[int, ...]], ...]

    def items(self) -> list[dict[str, Any]]:
        """An item per slice."""
        return [
            {
                "slice": path,
                "sdf": self.sdf,
                "case": self.case,
                "patient": self.patient,
                "axis": axis,
                "slice_idx": index,
                "pixels": list(pixels),
            }
            for path, axis, index, pixels in self.slices
        ]


def write_listing(
    folder: Path, cases: Sequence[CachedCase], splits: Mapping[str, str], label_table: StructureTable
) -> None:
    """Write ``datalist.json`` and ``datalist.csv``, each whole or not at all.

    Args:
        folder: of the cache.
        cases: all of them.
        splits: where each *patient* belongs.
        label_table: of the masks.

    Raises:
        InputError: the place cannot be written.
    """
    ordered = sorted(cases, key=lambda case: case.case)
    lists: dict[str, Any] = {"format": FORMAT, "label_table": label_table.name}
    for split in SPLITS:
        lists[split] = [item for case in ordered if splits[case.patient] == split for item in case.items()]
    write_file(folder / LISTING, json.dumps(lists) + "\n")
    text = io.StringIO()
    columns = ["case", "patient", "split", "axis", "slice_idx", "slice", "sdf"]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns + [f"pixels {name}" for name in label_table.names])
    for split in SPLITS:
        for item in lists[split]:
            row = {**item, "split": split}
            writer.writerow([row[column] for column in columns] + item["pixels"])
    write_file(folder / TABLE, text.getvalue())


def read_listing(folder: str | Path) -> tuple[StructureTable, dict[str, list[dict[str, Any]]]]:
    """The table of a cache and the items of each split, paths absolute.

    Raises:
        InputError: no list there, one that is none, or one where a patient is in two splits.
    """
    path = Path(folder) / LISTING
    if not path.is_file():
        raise InputError(path, "no such file", _WANTED, _REMEDY)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise InputError(path, f"format {content['format']}", f"format {FORMAT}", "Make the slices again.")
        place = path.parent.absolute()
        lists = {
            split: [{**item, **{key: str(place / item[key]) for key in ("slice", "sdf")}} for item in content[split]]
            for split in SPLITS
        }
        patients = {split: {item["patient"] for item in items} for split, items in lists.items()}
        labels_of = table(content["label_table"])
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise InputError(path, f"something else ({error!r})", _WANTED, _REMEDY) from error
    _refuse_shared_patients(path, patients)
    return labels_of, lists


def _refuse_shared_patients(path: Path, patients: Mapping[str, set[str]]) -> None:
    for first, second in (SPLITS[:2], SPLITS[1:], SPLITS[::2]):
        both = sorted(patients[first] & patients[second])
        if both:
            found = f"the patient {both[0]!r} in {first} and in {second}"
            raise InputError(path, found, "each patient in one split", "Make the lists again with `corfield slices`.")


def find_slices(
    folder: str | Path,
    split: str = "training",
    structure: str | int | None = None,
    axes: Sequence[int] = AXES,
    least_pixels: int = 1,
) -> list[dict[str, Any]]:
    """The slices of one split, for a MONAI data set.

    Args:
        folder: of the cache.
        split: training, validation or test.
        structure: only slices with ``least_pixels`` pixels of it; the item then names it under ``structure``.
        axes: only slices across these.
        least_pixels: of the structure, or of any if none is chosen.

    Returns:
        Items with ``slice`` and ``sdf`` (absolute paths), ``case``, ``patient``, ``axis``, ``slice_idx``, ``pixels``.

    Raises:
        InputError: as :func:`read_listing`; an unknown split or structure; nothing left.
    """
    labels_of, lists = read_listing(folder)
    items = [item for item in _of_split(lists, split) if item["axis"] in tuple(axes)]
    if structure is None:
        items = [item for item in items if max(item["pixels"]) >= least_pixels]
    else:
        wanted = labels_of[structure]
        channel = labels_of.indices.index(wanted.index)
        items = [{**item, "structure": wanted.name} for item in items if item["pixels"][channel] >= least_pixels]
    if not items:
        of = f" of {labels_of[structure].name}" if structure is not None else ""
        found = f"no slice for {split} across {list(axes)} with {least_pixels} pixels{of}"
        raise InputError(Path(folder) / LISTING, found, "at least one", "Raise its share, or ask for less.")
    return items


def find_volumes(folder: str | Path, split: str = "training") -> list[dict[str, Any]]:
    """The cases of one split: items with ``sdf`` (absolute path), ``case`` and ``patient``, an item a case.

    Raises:
        InputError: as :func:`find_slices`.
    """
    _, lists = read_listing(folder)
    cases = {item["case"]: {key: item[key] for key in ("sdf", "case", "patient")} for item in _of_split(lists, split)}
    if not cases:
        raise InputError(Path(folder) / LISTING, f"no case for {split}", "at least one", "Raise its share.")
    return list(cases.values())


def _of_split(lists: Mapping[str, list[dict[str, Any]]], split: str) -> list[dict[str, Any]]:
    if split not in SPLITS:
        raise InputError("split", repr(split), f"one of {', '.join(SPLITS)}", "Choose one of them.")
    return lists[split]
