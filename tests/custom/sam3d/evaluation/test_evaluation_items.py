"""Which slices a network is asked about."""

from __future__ import annotations

from pathlib import Path

import pytest

from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.errors import InputError
from custom.sam3d.evaluation.evaluation_items import find_evaluation_items
from custom.slices.slice_datalist import CachedCase, write_listing

LA, LV = TOTALSEGMENTATOR_HEART.names[:2]


def row(case: str, axis: int, index: int, *pixels: int) -> tuple[str, int, int, tuple[int, ...]]:
    return f"{case}/{case}-ax{axis}-{index:03d}.npz", axis, index, (*pixels, 0, 0, 0)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    seen = (row("s1", 0, 3, 9, 0), row("s1", 0, 4, 11, 5), row("s1", 0, 5, 11, 6), row("s1", 2, 7, 4, 20))
    cases = [
        CachedCase("s1", "p1", "s1/s1-sdf.npz", seen),
        CachedCase("s2", "p2", "s2/s2-sdf.npz", (row("s2", 0, 1, 50, 50),)),
        CachedCase("s3", "p3", "s3/s3-sdf.npz", (row("s3", 0, 1, 0, 50),)),
    ]
    write_listing(tmp_path, cases, {"p1": "test", "p2": "training", "p3": "test"}, TOTALSEGMENTATOR_HEART)
    return tmp_path


def test_the_slice_with_the_most_pixels_is_asked_about_the_first_of_equals(cache: Path) -> None:
    found = find_evaluation_items(cache, structures=[LA, 2], axes=[0, 2], only_cases=["s1"])
    asked = [(item["case"], item["structure"], item["axis"], item["slice_idx"]) for item in found.items]
    assert asked == [("s1", LA, 0, 4), ("s1", LA, 2, 7), ("s1", LV, 0, 5), ("s1", LV, 2, 7)]
    assert found.items[0]["slice"] == str(cache / "s1/s1-ax0-004.npz")
    assert found.items[0]["sdf"] == str(cache / "s1/s1-sdf.npz")
    assert found.items[0]["patient"] == "p1"


def test_what_cannot_be_asked_is_told(cache: Path) -> None:
    found = find_evaluation_items(cache, structures=[LA], axes=[0, 2], least_pixels=5)
    assert [(item["case"], item["axis"]) for item in found.items] == [("s1", 0)]
    assert found.unasked == (("s1", LA, 2), ("s3", LA, 0), ("s3", LA, 2))


def test_patients_of_another_split_are_not_asked_about(cache: Path) -> None:
    assert {item["case"] for item in find_evaluation_items(cache).items} == {"s1", "s3"}
    assert {item["case"] for item in find_evaluation_items(cache, "training").items} == {"s2"}
    with pytest.raises(InputError, match="nothing to ask about"):
        find_evaluation_items(cache, "validation")


@pytest.mark.parametrize("wrong", [{"split": "tests"}, {"axes": [3]}, {"axes": []}, {"structures": ["aorta"]}])
def test_a_question_that_cannot_be_is_refused(cache: Path, wrong: dict) -> None:
    with pytest.raises(InputError):
        find_evaluation_items(cache, **wrong)
