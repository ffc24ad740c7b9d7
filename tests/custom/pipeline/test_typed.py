"""What was typed, as values."""

from __future__ import annotations

from typing import Any

import pytest

from custom.errors import InputError
from custom.pipeline.typed import flag, listed, tables


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("", ()),
        ("LA", ("LA",)),
        ("LA, LAA,", ("LA", "LAA")),
        (("LA", "LAA"), ("LA", "LAA")),
        ([2, 8], ("2", "8")),
        (9, ("9",)),
    ],
)
def test_names_are_listed_however_the_command_line_took_them(typed: Any, names: tuple[str, ...]) -> None:
    assert listed(typed) == names


def test_a_flag_is_true_or_false() -> None:
    assert (flag("--a", True), flag("--a", False)) == (True, False)
    for value in (1, "yes", None):
        with pytest.raises(InputError, match="--a: found"):
            flag("--a", value)


def test_changes_of_a_table_are_fields_by_structure() -> None:
    assert tables("") == {}
    assert tables({"PV": {"components": 4}, 8: {}}) == {"PV": {"components": 4}, "8": {}}
    for value in ("PV", {"PV": 4}, [1]):
        with pytest.raises(InputError, match="--table_changes: found .* Put it in single quotes"):
            tables(value)
