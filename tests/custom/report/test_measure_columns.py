"""A measure is written for reading, and better is said only where it can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.report.measure_columns import (
    KNOWN,
    Column,
    all_pieces_right,
    columns_of,
    pieces_right,
    verdict,
    wanted_pieces,
    written,
)
from custom.report.report_case import Difference, ReportCase, worst_first


def case(name: str, **measures: dict[str, float | int | None]) -> ReportCase:
    return ReportCase(name, Path("before.nii.gz"), Path("after.nii.gz"), (), measures)


@pytest.mark.parametrize(
    ("value", "digits", "factor", "expected"),
    [
        (None, 2, 1.0, "–"),
        (float("nan"), 2, 1.0, "–"),
        (float("inf"), 2, 1.0, "∞"),
        (0.12345, 3, 1.0, "0.123"),
        (0.5, 0, 100.0, "50"),
        (1234567.8, 0, 1.0, "1\u202f234\u202f568"),
        (-0.001, 2, 1.0, "0.00"),
        (-1.5, 1, 1.0, "-1.5"),
    ],
)
def test_a_number_is_written(value: float | None, digits: int, factor: float, expected: str) -> None:
    assert written(value, digits, factor) == expected


def test_better_is_more_dice_and_less_distance_and_nothing_where_both_read_the_same() -> None:
    assert verdict(KNOWN["dice"], 0.8, 0.9) == "better"
    assert verdict(KNOWN["dice"], 0.9, 0.8) == "worse"
    assert verdict(KNOWN["dice"], 0.8001, 0.8002) == ""
    assert verdict(KNOWN["hd95_mm"], 3.0, 1.5) == "better"
    assert verdict(KNOWN["hd95_mm"], 3.0, None) == ""
    assert verdict(KNOWN["isoperimetric"], 0.1, 0.9) == ""  # smoother may be worse


def test_a_column_without_a_value_anywhere_is_left_out_and_an_unknown_one_follows() -> None:
    values: dict[str, float | int | None] = {
        "wonder": 3.0, "kept_share": 0.9, "dice_after": None, "hd95_mm_after": 1.0, "hd95_mm_before": 2.0,
        "assd_mm_before": float("nan"),
    }  # fmt: skip
    found = columns_of([case("a", LA={}), case("b", LV=values)])
    assert found == [Column("hd95_mm", ("before", "after")), Column("kept_share", ("",)), Column("wonder", ("",))]
    assert found[2].measure.title == "wonder"
    assert columns_of([case("a")]) == []


def test_pieces_are_right_in_the_cases_that_have_the_structure() -> None:
    cases = [
        case("a", Coronary={"components_before": 5, "components_after": 2}),
        case("b", Coronary={"components_before": 2, "components_after": 0}),
        case("without", Coronary={"components_before": 0, "components_after": 0}),
        case("untold"),
    ]
    coronary = PUBLIC_CARDIAC_CT["Coronary"]
    assert pieces_right(cases, coronary, "before") == (1, 2)
    assert pieces_right(cases, coronary, "after") == (1, 2)
    assert all_pieces_right([cases[0]], PUBLIC_CARDIAC_CT, "after") == (1, 1)


def test_the_worst_case_has_the_lowest_dice_of_a_structure_and_without_a_reference_the_greatest_change() -> None:
    good = case("good", LA={"dice_after": 0.95}, LV={"dice_after": 0.9})
    bad = case("bad", LA={"dice_after": 0.99}, LV={"dice_after": 0.6})
    untold, moved, still = case("untold"), case("moved"), case("still")
    changed = {"good": 9.0, "bad": 1.0, "untold": 3.0, "moved": 7.0, "still": 0.0}
    cases = [still, untold, good, moved, bad]
    ordered, found = worst_first(cases, [Difference(changed[one.name], 0.0, 0.0, 100.0) for one in cases])
    assert [one.name for one in ordered] == ["bad", "good", "moved", "untold", "still"]
    assert [one.removed_mm3 for one in found] == [1.0, 9.0, 7.0, 3.0, 0.0]
    assert bad.lowest_dice == (0.6, "LV")


def test_the_truth_says_how_many_pieces_are_right_where_it_is_known() -> None:
    one = case("a", Aorta={"components_before": 3, "components_after": 1, "components_wanted": 1})
    assert pieces_right([one], PUBLIC_CARDIAC_CT["Aorta"], "after") == (1, 1)
    assert wanted_pieces(one, PUBLIC_CARDIAC_CT["Aorta"]) == 1
    assert wanted_pieces(case("b"), PUBLIC_CARDIAC_CT["Aorta"]) == 2
    assert [column.stem for column in columns_of([one])] == ["components"]
