"""What was typed, as values."""

from __future__ import annotations

from typing import Any

import pytest

from custom.errors import InputError
from custom.run.cli_values import flag, listed, numbers, tables


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
    assert tables('{"PV": {"ok": true}}') == {"PV": {"ok": True}}
    for value in ("PV", '{"PV": 4}', {"PV": 4}, [1]):
        with pytest.raises(InputError, match="--table_changes: found .* Put it in single quotes"):
            tables(value)


def test_a_list_that_names_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="--structures: found ','; wanted names"):
        listed(",")


@pytest.mark.parametrize(("text", "values"), [("", ()), ("0.5,5", (0.5, 5.0)), ("-200, 5e2", (-200.0, 500.0))])
def test_numbers_stand_between_commas(text: str, values: tuple[float, ...]) -> None:
    assert numbers("--a", text, "mm") == values


@pytest.mark.parametrize("text", ["1,,2", "1,x", "nan", "1_0", "inf", "1;2", "9" * 40])
def test_what_is_no_list_of_numbers_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--a: found .* wanted numbers of mm"):
        numbers("--a", text, "mm")
