"""The ledger: what a repair took away and what it added, where and why, in mm3."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

COLUMNS = (
    "case", "kind", "rule", "structure", "component", "before_mm3", "after_mm3", "distance_mm", "x_mm", "y_mm", "z_mm",
    "why",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing done to one component; :class:`Removal` or :class:`Addition`.

    Attributes:
        rule: which rule did it.
        structure: name.
        component: its number within the structure, the largest being 1; 0 where it has none.
        before_mm3, after_mm3: its volume before and after; 0 for what was not there or is no more.
        distance_mm: how far it lay from what it belongs to, or how long the gap was; NaN where that means nothing.
        why: one clause.
        place_mm: its middle, world millimetres (RAS+).
    """

    rule: str
    structure: str
    component: int
    before_mm3: float
    after_mm3: float
    distance_mm: float
    why: str
    place_mm: tuple[float, float, float]

    @property
    def volume_mm3(self) -> float:
        """What changed hands, at least 0."""
        return abs(self.after_mm3 - self.before_mm3)


@dataclass(frozen=True, kw_only=True)
class Removal(Change):
    """Voxels taken from a structure."""


@dataclass(frozen=True, kw_only=True)
class Addition(Change):
    """Voxels given to a structure."""


KINDS: dict[str, type[Change]] = {"removal": Removal, "addition": Addition}


def write_ledger(path: Path, changes: Mapping[str, Sequence[Change]]) -> None:
    """Write the changes of some cases as CSV, whole or not at all; a case without changes has no line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(line for case, own in changes.items() for line in _lines(case, own))
    _replace(path, text.getvalue())


def read_ledger(path: Path) -> dict[str, list[Change]]:
    """What :func:`write_ledger` wrote, by case.

    Raises:
        InputError: no such file, or not a ledger.
    """
    remedy = "Write it again with `corfield repair`."
    if not path.is_file():
        raise InputError(path, "no such file", "a ledger", remedy)
    changes: dict[str, list[Change]] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            found = f"the columns {', '.join(reader.fieldnames or ())}"
            raise InputError(path, found, f"the columns {', '.join(COLUMNS)}", remedy)
        for number, line in enumerate(reader, start=2):
            try:
                changes.setdefault(line["case"], []).append(_change(line))
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(path, f"line {number}, which is no change ({error})", "a ledger", remedy) from error
    return changes


def merge_ledgers(folder: Path, path: Path, cases: Sequence[str]) -> dict[str, list[Change]]:
    """Gather ``FOLDER/CASE.csv`` of these cases, in their order, into one file; all their changes.

    Raises:
        InputError: a case has no ledger.
    """
    merged = {case: read_ledger(folder / f"{case}.csv").get(case, []) for case in cases}
    write_ledger(path, merged)
    return merged


def _lines(case: str, changes: Sequence[Change]) -> Iterator[dict[str, str]]:
    for change in changes:
        kind = next(name for name, kind in KINDS.items() if type(change) is kind)
        x, y, z = (f"{value:.1f}" for value in change.place_mm)
        distance = "" if math.isnan(change.distance_mm) else f"{change.distance_mm:.2f}"
        yield {
            "case": case, "kind": kind, "rule": change.rule, "structure": change.structure,
            "component": str(change.component), "before_mm3": f"{change.before_mm3:.1f}",
            "after_mm3": f"{change.after_mm3:.1f}", "distance_mm": distance, "x_mm": x, "y_mm": y, "z_mm": z,
            "why": change.why,
        }  # fmt: skip


def _change(line: Mapping[str, str]) -> Change:
    return KINDS[line["kind"]](
        rule=line["rule"],
        structure=line["structure"],
        component=int(line["component"]),
        before_mm3=float(line["before_mm3"]),
        after_mm3=float(line["after_mm3"]),
        distance_mm=float(line["distance_mm"] or "nan"),
        why=line["why"],
        place_mm=(float(line["x_mm"]), float(line["y_mm"]), float(line["z_mm"])),
    )


def _replace(path: Path, text: str) -> None:
    """Write beside the place, then move there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        found = f"a place that cannot be written ({error.strerror or error})"
        raise InputError(path, found, "a writable file", "Choose another output folder or free some space.") from error
    finally:
        beside.unlink(missing_ok=True)
