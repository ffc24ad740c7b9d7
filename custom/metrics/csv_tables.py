"""Tables of records: as markdown for people, as CSV for machines; every file whole or as it was before."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from ..errors import InputError
from ..files import write_file

Row = TypeVar("Row")


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A markdown table whose columns line up in a terminal too: the first to the left, the others to the right."""
    widths = [max(len(line[column]) for line in (header, *lines)) for column in range(len(header))]
    text = ""
    for first, *others in (header, ["-" * width for width in widths], *lines):
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        text += f"| {' | '.join(cells)} |\n"
    return text


def write_rows(path: Path, kind: type[Row], rows: Sequence[Row]) -> None:
    """Write dataclass records as CSV, a column per field; ``None`` is an empty cell. Missing folders are made.

    Raises:
        InputError: the place cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = _columns(kind)
    writer.writerow(names)
    for row in rows:
        values = [getattr(row, name) for name in names]
        writer.writerow([str(value).lower() if isinstance(value, bool) else value for value in values])
    write_file(path, text.getvalue())


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """The records that :func:`write_rows` wrote, every number bit for bit.

    Args:
        path: of the table.
        kind: a dataclass whose fields are text, whole numbers, numbers or truth values, or one of these or ``None``.

    Raises:
        InputError: no such file, or one of another make.
    """
    wanted, remedy = "a table this program wrote", "Write it again."
    try:
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"no file that can be read ({error})", wanted, remedy) from error
    columns = _columns(kind)
    if not lines or tuple(lines[0]) != tuple(columns):
        found = f"the columns {', '.join(lines[0] if lines else ['none'])}"
        raise InputError(path, found, f"the columns {', '.join(columns)}", remedy)
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            cells = zip(columns.items(), line, strict=True)
            rows.append(kind(**{name: _parsed(annotation, cell) for (name, annotation), cell in cells}))
        except ValueError as error:
            raise InputError(path, f"line {number}, which is no row ({error})", wanted, remedy) from error
    return rows


def _columns(kind: type[Any]) -> dict[str, str]:
    """The fields of a dataclass, by name: their annotations."""
    return {field.name: str(field.type) for field in fields(kind)}


def _parsed(annotation: str, cell: str) -> Any:
    name, _, optional = annotation.partition(" | ")
    if optional and not cell:
        return None
    if name == "bool":
        if cell not in ("true", "false"):
            raise ValueError(f"{cell!r} is neither true nor false")
        return cell == "true"
    return {"str": str, "int": int, "float": float}[name](cell)
