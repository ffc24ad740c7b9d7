"""Means over questions, cases and structures, worked by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from custom.errors import InputError
from custom.metrics.reconstruction import ReconstructionScore
from custom.metrics.slice_evaluation import Answer, format_answers, read_answers, summarised, write_answers
from tests.folder_entries import entries

TOLERANCES_MM = (1.0, 3.0)


def answer(case: str, structure: str, axis: int, method: str, dice: float, empty: str = "") -> Answer:
    score = ReconstructionScore(
        dice=dice,
        hd95_mm=10 * (1 - dice),
        chamfer_mm=5 * (1 - dice),
        chamfer_squared_mm2=25 * (1 - dice),
        surface_dice=(dice / 2, dice),
        empty=empty,
    )
    patient = case[:2]
    return Answer(case=case, patient=patient, structure=structure, axis=axis, slice_idx=4, method=method, score=score)


ANSWERS = [
    answer("p1a", "LV", 0, "lora", 0.8),
    answer("p1a", "LV", 2, "lora", 0.4),
    answer("p2a", "LV", 0, "lora", 0.9),
    answer("p2a", "RA", 0, "lora", 0.0, "prediction"),
    answer("p1a", "LV", 0, "mean", 0.7),
    answer("p1a", "LV", 2, "mean", 0.7),
    answer("p2a", "LV", 0, "mean", 0.5),
    answer("p2a", "RA", 0, "mean", 0.3),
]


def test_a_case_counts_once_for_each_structure_however_many_slices_it_has() -> None:
    found = summarised(ANSWERS, TOLERANCES_MM)
    # p1a: (0.8 + 0.4) / 2 = 0.6; p2a: 0.9.
    assert found["structures"]["LV"]["lora"]["dice"] == pytest.approx(0.75)
    assert found["structures"]["LV"]["lora"]["asked"] == 3
    assert found["structures"]["LV"]["lora"]["surface_dice_1mm"] == pytest.approx(0.375)
    assert found["cases"]["p2a"]["lora"]["dice"] == pytest.approx((0.9 + 0.0) / 2)


def test_overall_is_the_mean_of_the_structures_and_an_empty_answer_is_in_it() -> None:
    found = summarised(ANSWERS, TOLERANCES_MM)["overall"]
    assert found["lora"]["dice"] == pytest.approx((0.75 + 0.0) / 2)
    assert found["lora"]["hd95_mm"] == pytest.approx((2.5 + 10.0) / 2)
    assert (found["lora"]["empty"], found["mean"]["empty"], found["lora"]["asked"]) == (1, 0, 4)


def test_the_first_method_is_set_against_the_others_patient_by_patient() -> None:
    # p1: (0.1 - 0.3) / 2 = -0.1; p2: (0.4 - 0.3) / 2 = 0.05.
    against = summarised(ANSWERS, TOLERANCES_MM)["against"]
    assert against == {"mean": {"dice_gain": pytest.approx(-0.025), "better_in": 1, "patients": 2}}


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    methods = {"lora": "the adapted flow", "mean": "the mean shape"}
    write_answers(
        tmp_path / "new", ANSWERS, TOLERANCES_MM, methods, {"spacing_mm": 3.0}, "UNTRAINED", [("p1a", "RA", 0)]
    )
    content = read_answers(tmp_path / "new" / "metrics.json")
    assert content["banner"] == "UNTRAINED"
    assert content["methods"] == methods
    assert content["unasked"] == [{"case": "p1a", "structure": "RA", "axis": 0}]
    assert content["overall"] == json.loads(json.dumps(summarised(ANSWERS, TOLERANCES_MM)["overall"]))
    with (tmp_path / "new" / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(content["rows"]) == 8
    assert (rows[3]["structure"], rows[3]["empty"], rows[3]["chamfer_squared_mm2"]) == ("RA", "prediction", "25.0")
    assert sorted(path.name for path in entries((tmp_path / "new").iterdir())) == ["metrics.csv", "metrics.json"]


def test_the_table_has_a_line_for_each_method() -> None:
    lines = format_answers(summarised(ANSWERS, TOLERANCES_MM)).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["method", "Dice", "HD95 mm", "Chamfer mm", "Chamfer squared mm2"] + [
        "surface dice 1 mm",
        "surface dice 3 mm",
        "Dice LV",
        "Dice RA",
    ]
    assert cells[2] == ["lora", "0.375", "6.250", "3.125", "15.6", "0.188", "0.375", "0.750", "0.000"]
    assert cells[3][0] == "mean"


def test_no_answers_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none"):
        summarised([], TOLERANCES_MM)
    (tmp_path / "metrics.json").write_text("[]")
    for path in (tmp_path / "metrics.json", tmp_path / "absent.json"):
        with pytest.raises(InputError):
            read_answers(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_answers(tmp_path / "file", ANSWERS, TOLERANCES_MM, {}, {})
