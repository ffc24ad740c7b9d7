"""Whose a case is: what a split must not divide."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError

_WANTED = "a table (.csv) with the columns case and patient"


def patients_of(cases: Sequence[str], path: Path | None) -> dict[str, str]:
    """The patient of each case: from a table, or the case itself without one. The table may name other cases too.

    Raises:
        InputError: no such table, one without its columns, a case without a patient, or with two.
    """
    if path is None:
        return {case: case for case in cases}
    if not path.is_file():
        raise InputError(path, "no such file", _WANTED, "Check --patients.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(path, f"a file that cannot be read ({error})", _WANTED, "Correct the file.") from error
    known: dict[str, str] = {}
    for line, row in enumerate(rows, start=2):
        case, patient = ((row.get(column) or "").strip() for column in ("case", "patient"))
        if not case or not patient:
            raise InputError(path, f"no case or no patient in line {line}", _WANTED, "Correct the file.")
        if known.setdefault(case, patient) != patient:
            found = f"the patients {known[case]!r} and {patient!r} for the case {case!r}"
            raise InputError(path, found, "one patient a case", "Correct the file.")
    missing = [case for case in cases if case not in known]
    if missing:
        found = f"no patient for {len(missing)} of {len(cases)} cases, such as {missing[0]!r}"
        raise InputError(path, found, "a line for each case", "Add them.")
    return {case: known[case] for case in cases}
