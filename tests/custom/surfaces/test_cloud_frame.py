"""The frame's unit follows the data: no smaller than a heart needs, one for all, and never below the default."""

from __future__ import annotations

import numpy as np
import pytest

from custom.errors import InputError
from custom.surfaces.cloud_frame import SCALE_MM, data_scale_mm, frame_in_words, holding_scale_mm, reach_mm, reaching


@pytest.mark.parametrize(
    ("reach", "scale"), [(0.0, 100.0), (57.0, 100.0), (100.0, 100.0), (100.5, 105.0), (103.1, 110.0), (128.0, 130.0)]
)
def test_what_the_default_holds_has_the_default_and_a_larger_heart_a_margin(reach: float, scale: float) -> None:
    assert holding_scale_mm(reach) == scale


def test_a_box_reaches_as_far_as_its_furthest_face() -> None:
    assert reach_mm(np.asarray([[-10.0, 3.0, 5.0], [20.0, 41.0, 7.0]]), [1.0, 2.0, 3.0]) == 39.0


def test_one_scale_holds_every_case_and_one_that_was_given_must() -> None:
    reaches = {"a": 87.0, "b": 121.0, "c": 104.0}
    assert data_scale_mm(reaches) == 125.0
    assert data_scale_mm({"a": 87.0}) == data_scale_mm({}) == SCALE_MM
    assert data_scale_mm(reaches, 121) == 121.0
    with pytest.raises(InputError) as raised:
        data_scale_mm(reaches, 90)
    said = str(raised.value)
    assert said.startswith(
        "--scale_mm: found 90, beyond which 2 of 3 cases reach: b (121 mm), c (104 mm); wanted at least"
    )
    assert "wanted at least 125. Give that or 0" in said


def test_the_furthest_case_is_named_and_many_are_cut_short() -> None:
    assert "125; b reaches the furthest, 121 mm" in frame_in_words({"a": 87.0, "b": 121.0}, 125.0)
    assert "WIDE" in frame_in_words({"a": 301.0}, 305.0) and "WIDE" not in frame_in_words({"a": 121.0}, 125.0)
    assert reaching({name: 120.0 for name in "abcdefg"}, 2) == "a (120 mm), b (120 mm) and 5 more"
