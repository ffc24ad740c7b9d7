"""Records and tables: what is counted, what is averaged, what is on disk."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.errors import InputError
from custom.metrics.case_scores import (
    ScoreRow,
    format_comparison,
    format_table,
    score_labels,
    score_mask,
    summarise,
    write_scores,
)
from tests.folder_entries import entries

SHAPE = (5, 7, 11)
SPACING_MM = (3.0, 2.0, 1.0)
DIAGONAL_MM = math.sqrt(15**2 + 14**2 + 11**2)


def row(case: str, structure: str, dice: float, hd95_mm: float = 0.0, empty: str = "", components: int = 1) -> ScoreRow:
    return ScoreRow(
        case=case,
        structure=structure,
        dice=dice,
        hd95_mm=hd95_mm,
        assd_mm=hd95_mm / 2,
        surface_dice=dice,
        components=components,
        components_reference=1,
        volume_mm3=6.0,
        volume_reference_mm3=6.0,
        empty=empty,
    )


ROWS = [
    row("a", "LV", 1.0, 2.0),
    row("a", "LAA", 0.0, 20.0, "prediction"),
    row("b", "LV", 0.5, 4.0, components=4),
    row("b", "LAA", 1.0, 0.0, "both"),
]


def test_a_mask_is_scored_in_mm_and_in_pieces() -> None:
    prediction, reference = np.zeros((2, *SHAPE), dtype=bool)
    prediction[1, 1, 1] = prediction[1, 1, 4] = True
    reference[1, 1, 1] = True
    score = score_mask(prediction, reference, SPACING_MM)
    assert score.dice == pytest.approx(2 / 3)
    assert score.assd_mm == pytest.approx((0 + 3 + 0) / 3)
    assert (score.components, score.components_reference) == (2, 1)
    assert (score.volume_mm3, score.volume_reference_mm3) == (12.0, 6.0)
    assert score.empty == ""


def test_an_absent_structure_that_is_absent_scores_full_and_is_flagged() -> None:
    nothing = np.zeros(SHAPE, dtype=bool)
    score = score_mask(nothing, nothing, SPACING_MM)
    assert (score.dice, score.hd95_mm, score.assd_mm, score.surface_dice) == (1.0, 0.0, 0.0, 1.0)
    assert (score.components, score.volume_mm3, score.empty) == (0, 0.0, "both")


def test_one_empty_mask_costs_the_diagonal_of_the_volume_and_is_flagged_by_its_side() -> None:
    nothing, one = np.zeros((2, *SHAPE), dtype=bool)
    one[4, 6, 10] = True
    for masks, side in (((nothing, one), "prediction"), ((one, nothing), "reference")):
        score = score_mask(*masks, SPACING_MM)
        assert (score.dice, score.surface_dice, score.empty) == (0.0, 0.0, side)
        assert score.hd95_mm == score.assd_mm == pytest.approx(DIAGONAL_MM)


def test_the_volume_around_a_mask_does_not_change_its_score() -> None:
    prediction, reference = np.random.default_rng(3).random((2, *SHAPE)) > 0.6
    around = [np.pad(mask, ((2, 0), (3, 1), (0, 5))) for mask in (prediction, reference)]
    assert score_mask(*around, SPACING_MM) == score_mask(prediction, reference, SPACING_MM)


def test_masks_on_two_grids_are_refused_with_both_grids() -> None:
    with pytest.raises(InputError, match=r"\(5, 7, 11\).*\(5, 11, 7\).*Resample"):
        score_mask(np.zeros(SHAPE, dtype=bool), np.zeros((5, 11, 7), dtype=bool), SPACING_MM)


@pytest.mark.parametrize("spacing_mm", [(1.0, 0.0, 1.0), (1.0, -2.0, 1.0), (1.0, math.nan, 1.0)])
def test_a_spacing_that_is_no_length_is_refused(spacing_mm: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match="spacing_mm"):
        score_mask(np.zeros(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool), spacing_mm)


def test_every_structure_of_the_table_gets_a_row_of_its_own_label() -> None:
    prediction, reference = np.zeros((2, *SHAPE), dtype=np.uint8)
    prediction[1, 1, 1], reference[1, 1, 1] = 2, 2
    reference[3, 3, 3] = 5
    rows = score_labels("a", prediction, reference, SPACING_MM, TOTALSEGMENTATOR_HEART)
    assert [one.structure for one in rows] == list(TOTALSEGMENTATOR_HEART.names)
    assert [one.dice for one in rows] == [1.0, 1.0, 1.0, 1.0, 0.0]
    assert [one.empty for one in rows] == ["both", "", "both", "both", "prediction"]


def test_the_summary_averages_cases_then_structures_and_counts_empties() -> None:
    summary = summarise(ROWS)
    assert list(summary) == ["LV", "LAA", "mean"]
    assert (summary["LV"]["dice"], summary["LV"]["hd95_mm"], summary["LV"]["components"]) == (0.75, 3.0, 2.5)
    assert (summary["LAA"]["empty_prediction"], summary["LAA"]["empty_both"], summary["LV"]["empty_both"]) == (1, 1, 0)
    assert (summary["mean"]["dice"], summary["mean"]["hd95_mm"]) == (0.375, 11.5)
    assert (summary["mean"]["cases"], summary["mean"]["scored"], summary["mean"]["empty_prediction"]) == (2, 3, 1)


def test_what_is_absent_on_both_sides_raises_no_mean() -> None:
    # the lost appendage of case a alone; that of case b was never there
    summary = summarise(ROWS)
    assert (summary["LAA"]["dice"], summary["LAA"]["hd95_mm"]) == (0.0, 20.0)
    assert (summary["LAA"]["cases"], summary["LAA"]["scored"]) == (2, 1)


def test_a_structure_absent_everywhere_is_left_out_of_the_last_line() -> None:
    summary = summarise([row("a", "LV", 0.5), row("a", "PV", 1.0, empty="both")])
    assert summary["mean"]["dice"] == 0.5
    assert (summary["PV"]["scored"], summary["mean"]["scored"], summary["mean"]["empty_both"]) == (0, 1, 1)


def test_nothing_anywhere_agrees() -> None:
    assert summarise([row("a", "PV", 1.0, empty="both")])["mean"]["dice"] == 1.0


def test_a_structure_scored_in_fewer_cases_weighs_as_much_as_the_others() -> None:
    assert summarise(ROWS[:3])["mean"]["dice"] == pytest.approx((0.75 + 0.0) / 2)


def test_no_rows_are_refused() -> None:
    with pytest.raises(InputError, match="no rows"):
        summarise([])


def test_the_files_hold_a_line_per_row_and_the_summary(tmp_path: Path) -> None:
    csv_path, json_path = write_scores(ROWS, tmp_path / "new", stem="val")
    assert (csv_path.name, json_path.name) == ("val.csv", "val.json")
    with csv_path.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [(line["case"], line["structure"], line["empty"]) for line in lines] == [
        ("a", "LV", ""),
        ("a", "LAA", "prediction"),
        ("b", "LV", ""),
        ("b", "LAA", "both"),
    ]
    assert float(lines[2]["dice"]) == 0.5
    assert json.loads(json_path.read_text()) == summarise(ROWS)


def test_a_failed_write_leaves_the_old_files_and_nothing_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    csv_path, _ = write_scores(ROWS, tmp_path)
    old = csv_path.read_text()

    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(InputError, match="no space"):
        write_scores(ROWS[:1], tmp_path)
    assert csv_path.read_text() == old
    assert sorted(path.name for path in entries(tmp_path.iterdir())) == ["scores.csv", "scores.json"]


def test_the_table_sets_groups_side_by_side_and_counts_one_sided_empties() -> None:
    better = [row("a", "LV", 1.0), row("a", "LAA", 0.75)]
    lines = format_table({"before": ROWS, "after": better}, ("dice",)).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["structure", "Dice before", "Dice after", "one empty"]
    assert cells[2:] == [
        ["LV", "0.750", "1.000", "0 / 0"],
        ["LAA", "0.000", "0.750", "1 / 0"],
        ["mean", "0.375", "0.875", "1 / 0"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_the_table_calls_absent_what_is_nowhere() -> None:
    lines = format_table({"": [row("a", "LV", 0.5), row("a", "PV", 1.0, empty="both")]}, ("dice",)).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[2:] == [["LV", "0.500", "0"], ["PV", "absent", "0"], ["mean", "0.500", "0"]]


def test_the_comparison_has_a_line_per_group_and_a_column_per_structure() -> None:
    lines = format_comparison({"before": ROWS, "after": ROWS[:2]}, "hd95_mm").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["HD95 mm", "LV", "LAA", "mean"]
    assert cells[2:] == [["before", "3.000", "20.000", "11.500"], ["after", "2.000", "20.000", "11.000"]]
