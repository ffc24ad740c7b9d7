"""The error a user can mend."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from custom.errors import InputError


def test_the_message_says_where_found_wanted_and_what_to_do():
    error = InputError(Path("maps") / "a.nii", "2 axes", "3 axes", "Save one volume per file.")
    assert str(error) == f"{Path('maps/a.nii')}: found 2 axes; wanted 3 axes. Save one volume per file."


def test_it_is_caught_as_a_value_error():
    with pytest.raises(ValueError, match="dataset_dir: found nothing"):
        raise InputError("dataset_dir", "nothing", "cases", "Give some.")


def test_an_error_crosses_from_one_process_to_another() -> None:
    error = InputError(Path("case.nii.gz"), "4 axes", "3 axes", "Save one volume per file.")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
