"""The lists of a folder of clouds: which case is for training, for validation and for the test (requirement B1)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import write_file
from .quality_gate import require_passed

LISTING, TABLE = "datalist.json", "datalist.csv"
SPLITS = ("training", "validation", "test")


def write_listing(
    folder: Path, labels: Mapping[str, str | Path], splits: Mapping[str, str], scale_mm: float | None = None
) -> None:
    """Write ``datalist.json``, a MONAI data list, and ``datalist.csv``, each whole or not at all.

    An item has ``cloud``, the file's name in this folder; ``label``, the label map's absolute path; and ``case``.

    Args:
        folder: of the clouds.
        labels: the label map of each case.
        splits: where each case belongs.
        scale_mm: of the frame that all clouds share, noted in the list.

    Raises:
        InputError: the place cannot be written.
    """
    rows = [
        {"case": case, "split": splits[case], "cloud": f"{case}.npz", "label": str(labels[case])} for case in labels
    ]
    rows.sort(key=lambda row: (SPLITS.index(row["split"]), row["case"]))
    lists: dict[str, Any] = {} if scale_mm is None else {"scale_mm": float(scale_mm)}
    lists |= {
        split: [{key: row[key] for key in ("cloud", "label", "case")} for row in rows if row["split"] == split]
        for split in SPLITS
    }
    write_file(folder / LISTING, json.dumps(lists, indent=1) + "\n")
    text = io.StringIO()
    writer = csv.DictWriter(text, ["case", "split", "cloud", "label"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_file(folder / TABLE, text.getvalue())


def read_listing(folder: str | Path) -> dict[str, list[dict[str, Any]]]:
    """The items of each split of a folder of clouds; paths absolute.

    Raises:
        InputError: no list there, or one that is none.
    """
    path = Path(folder) / LISTING
    wanted, remedy = "the list that `corfield clouds` writes", "Make the clouds, or give their folder."
    if not path.is_file():
        raise InputError(path, "no such file", wanted, remedy)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            split: [
                {"cloud": str(path.parent.absolute() / item["cloud"]), "label": item["label"], "case": item["case"]}
                for item in content.get(split, [])
            ]
            for split in SPLITS
        }
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise InputError(path, f"something else ({error})", wanted, remedy) from error


def find_clouds(folder: str | Path, split: str = "training") -> list[dict[str, Any]]:
    """The items of one split, for a MONAI data set: ``cloud``, ``label``, ``case``; all of them passed the gate.

    Raises:
        InputError: an unknown split, an empty one, or clouds that did not pass or changed since.
    """
    if split not in SPLITS:
        raise InputError("split", repr(split), f"one of {', '.join(SPLITS)}", "Choose one of them.")
    items = read_listing(folder)[split]
    if not items:
        raise InputError(Path(folder) / LISTING, f"no case for {split}", "at least one", "Raise its share.")
    require_passed([item["cloud"] for item in items])
    return items
