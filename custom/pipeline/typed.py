"""What was typed on a command line, as values."""

from __future__ import annotations

from typing import Any

from ..errors import InputError


def listed(names: Any) -> tuple[str, ...]:
    """``LA,LAA`` as names; a command line may give it as a tuple or a number."""
    several = names if isinstance(names, (list, tuple)) else str(names).split(",")
    return tuple(str(name).strip() for name in several if str(name).strip())


def lengths_mm(name: str, values: Any) -> tuple[float, ...]:
    """``0.5,5`` as numbers; a command line may give it as a tuple or a number.

    Raises:
        InputError: something in it is no number.
    """
    try:
        return tuple(float(value) for value in listed(values))
    except ValueError as error:
        raise InputError(name, repr(values), "numbers of mm with commas between them", "Correct it.") from error


def flag(name: str, value: Any) -> bool:
    """A flag's value.

    Raises:
        InputError: it is neither true nor false.
    """
    if not isinstance(value, bool):
        raise InputError(name, repr(value), "nothing behind it, or true or false", "Leave the value out.")
    return value


def tables(changes: Any) -> dict[str, dict[str, Any]]:
    """The changes of a table, typed as JSON.

    Raises:
        InputError: they are no fields by structure.
    """
    if changes == "":
        return {}
    if not isinstance(changes, dict) or not all(isinstance(fields, dict) for fields in changes.values()):
        wanted = 'fields by structure, such as {"PV": {"components": 4}}'
        raise InputError("--table_changes", repr(changes), wanted, "Put it in single quotes.")
    return {str(name): fields for name, fields in changes.items()}
