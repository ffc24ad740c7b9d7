"""What was typed on a command line, as values."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from ..errors import InputError

WHOLE, NUMBER = re.compile(r"[+-]?[0-9]+"), re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
LONGEST = 30
"""Characters of a number; Python itself refuses thousands."""


def whole_number(where: str, text: str) -> int:
    """A whole number in decimal digits. Raises ``InputError``: the text is none."""
    if not WHOLE.fullmatch(text) or len(text) > LONGEST:
        raise InputError(where, repr(text), "a whole number", "Correct it.")
    return int(text)


def number(where: str, text: str, wanted: str = "a number") -> float:
    """A finite decimal number. Raises ``InputError``: the text is none."""
    if not NUMBER.fullmatch(text) or len(text) > LONGEST or not math.isfinite(float(text)):
        raise InputError(where, repr(text), wanted, "Correct it.")
    return float(text)


def listed(names: Any, where: str = "--structures") -> tuple[str, ...]:
    """``LA,LAA`` as names; settings of a workflow may give it as a list or a number.

    Raises:
        InputError: a text of nothing but commas and spaces, which names none.
    """
    several = names if isinstance(names, (list, tuple)) else str(names).split(",")
    found = tuple(str(name).strip() for name in several if str(name).strip())
    if names and not found:
        raise InputError(where, repr(names), "names with commas between them", "Give some, or leave it out.")
    return found


def numbers(where: str, text: str, unit: str) -> tuple[float, ...]:
    """``0.5,5`` as numbers, in a unit; an empty text as none.

    Raises:
        InputError: something in it is no number.
    """
    wanted = f"numbers of {unit} with commas between them"
    try:
        return tuple(number(where, one.strip()) for one in text.split(",")) if text else ()
    except InputError as error:
        raise InputError(where, repr(text), wanted, "Correct it.") from error


def flag(name: str, value: Any) -> bool:
    """A flag's value, true or false in any case where it arrives as text.

    Raises:
        InputError: it is neither true nor false.
    """
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    if not isinstance(value, bool):
        raise InputError(name, repr(value), "nothing behind it, or true or false", "Leave the value out.")
    return value


def tables(changes: Any) -> dict[str, dict[str, Any]]:
    """The changes of a table, JSON or what has been read from it; an empty text as none.

    Raises:
        InputError: they are no fields by structure.
    """
    if changes == "":
        return {}
    try:
        read = json.loads(changes) if isinstance(changes, str) else changes
    except ValueError:
        read = None
    if not isinstance(read, dict) or not all(isinstance(fields, dict) for fields in read.values()):
        wanted = 'fields by structure as JSON, such as {"PV": {"components": 4}}'
        raise InputError("--table_changes", repr(changes), wanted, "Put it in single quotes.")
    return {str(name): fields for name, fields in read.items()}
