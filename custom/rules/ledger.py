"""The ledger: what a repair took away and what it added, where and why, in mm3."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files import write_file

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

_REMEDY = "Write it again with `corfield repair`."

_TOO_MUCH = "beyond the last column"


def write_ledger(path: Path, changes: Mapping[str, Sequence[Change]]) -> None:
    """Write the changes of some cases as CSV, whole or not at all; a case without changes has no line.

    Volumes are written to a thousandth of a mm3, lengths and places to a hundredth of a mm. Missing folders are made.

    Raises:
        InputError: the place cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_line(case, change) for case, own in changes.items() for change in own)
    write_file(path, text.getvalue())


def read_ledger(path: Path) -> dict[str, list[Change]]:
    """What :func:`write_ledger` wrote, by case, in its order.

    Raises:
        InputError: no such file, no permission to read it, or not a ledger.
    """
    if not path.is_file():
        raise InputError(path, "no such file", "a ledger", _REMEDY)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"a file that cannot be read ({error})", "a ledger", _REMEDY) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey=_TOO_MUCH, strict=True)
    changes: dict[str, list[Change]] = {}
    try:
        if tuple(reader.fieldnames or ()) != COLUMNS:
            found = f"the columns {', '.join(reader.fieldnames or ('none',))}"
            raise InputError(path, found, f"the columns {', '.join(COLUMNS)}", _REMEDY)
        for line in reader:
            changes.setdefault(line["case"], []).append(_change(line))
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            path, f"line {reader.reader.line_num}, which is no change ({error})", "a ledger", _REMEDY
        ) from error
    return changes


def merge_ledgers(folder: Path, path: Path, cases: Sequence[str]) -> dict[str, list[Change]]:
    """Gather ``FOLDER/CASE.csv`` of these cases, in their order, into one file; all their changes, case by case.

    Raises:
        InputError: a case has no ledger, or one that speaks of another case.
    """
    merged = {}
    for case in cases:
        own = folder / f"{case}.csv"
        changes = read_ledger(own)
        if others := sorted(set(changes) - {case}):
            raise InputError(own, f"changes of {', '.join(others)}", f"those of {case} alone", _REMEDY)
        merged[case] = changes.get(case, [])
    write_ledger(path, merged)
    return merged


def _line(case: str, change: Change) -> dict[str, str]:
    kind = {kind: name for name, kind in KINDS.items()}[type(change)]
    x, y, z = (_number(value, 2) for value in change.place_mm)
    distance = "" if math.isnan(change.distance_mm) else _number(change.distance_mm, 2)
    return {
        "case": case, "kind": kind, "rule": change.rule, "structure": change.structure,
        "component": str(change.component), "before_mm3": _number(change.before_mm3, 3),
        "after_mm3": _number(change.after_mm3, 3), "distance_mm": distance, "x_mm": x, "y_mm": y, "z_mm": z,
        "why": " ".join(change.why.split()),
    }  # fmt: skip


def _number(value: float, digits: int) -> str:
    """Fixed digits; what rounds to nought has no sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def _change(line: Mapping[str, str]) -> Change:
    if _TOO_MUCH in line:
        raise ValueError("more values than columns")
    return KINDS[line["kind"]](
        rule=line["rule"],
        structure=line["structure"],
        component=int(line["component"]),
        before_mm3=float(line["before_mm3"]),
        after_mm3=float(line["after_mm3"]),
        distance_mm=float(line["distance_mm"] or "nan"),
        why=_text(line["why"]),
        place_mm=(float(line["x_mm"]), float(line["y_mm"]), float(line["z_mm"])),
    )


def _text(value: str | None) -> str:
    if value is None:
        raise ValueError("fewer values than columns")
    return value
