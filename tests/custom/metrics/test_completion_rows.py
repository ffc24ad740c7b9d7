"""Rows of completed hearts: given and completed apart, by hand on small maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.metrics.completion_rows import CompletionRow, completion_rows, format_completions, write_completions
from custom.metrics.csv_tables import read_rows

SOURCES = {"LA": "given", "LV": "completed", "PV": "completed"}
EDGES_MM = (1.0, 2.0, 1.0)


def maps() -> tuple[np.ndarray, np.ndarray]:
    """LA as it is, LV by half too large, PV not drawn; the truth lacks PV."""
    truth = np.zeros((5, 7, 11), np.uint8)
    truth[1, 1, 1:5], truth[3, 3, 1:3] = 2, 3
    found = truth.copy()
    found[3, 3, 1:5] = 3
    return found, truth


def test_given_and_completed_structures_are_scored_apart_and_what_the_truth_lacks_is_not_judged() -> None:
    found, truth = maps()
    rows = {row.structure: row for row in completion_rows("a", found, SOURCES, EDGES_MM, PUBLIC_CARDIAC_CT, truth)}
    assert list(rows) == ["LA", "LV", "PV"]
    assert (rows["LA"].source, rows["LA"].dice, rows["LA"].hd95_mm) == ("given", 1.0, 0.0)
    lv = rows["LV"]
    assert (lv.source, lv.volume_mm3, lv.volume_reference_mm3) == ("completed", 8.0, 4.0)
    assert (lv.dice, lv.iou) == (pytest.approx(2 / 3), pytest.approx(1 / 2))
    assert (rows["PV"].volume_mm3, rows["PV"].components, rows["PV"].dice) == (0.0, 0, None)


def test_without_a_truth_there_are_volume_and_pieces_alone() -> None:
    found, _ = maps()
    found[3, 3, 3] = 0
    lv = completion_rows("a", found, SOURCES, EDGES_MM, PUBLIC_CARDIAC_CT)[1]
    assert (lv.volume_mm3, lv.components, lv.dice, lv.components_reference) == (6.0, 2, None, None)


def test_confidence_is_of_completed_structures_and_is_checked_against_the_truth() -> None:
    found, truth = maps()
    sure = np.zeros(found.shape, np.float32)
    sure[3, 3, 1:5] = 0.9, 0.4, 0.5, 0.2  # right, right, wrong, wrong
    parts = (PUBLIC_CARDIAC_CT, truth, 1.0, sure)
    la, lv, pv = completion_rows("a", found, SOURCES, EDGES_MM, *parts)
    assert (la.confidence, pv.confidence, pv.right_if_sure) == (None, None, None)
    assert lv.confidence == pytest.approx(0.5)
    assert (lv.right_if_sure, lv.right_if_unsure) == (0.5, 0.5)
    sure[3, 3, 1:5] = 0.9, 0.6, 0.1, 0.1
    assert completion_rows("a", found, SOURCES, EDGES_MM, *parts)[1].right_if_sure == 1
    sure[:] = 0.3
    lv = completion_rows("a", found, SOURCES, EDGES_MM, *parts)[1]
    assert (lv.right_if_sure, lv.right_if_unsure) == (None, 0.5)
    lv = completion_rows("a", found, SOURCES, EDGES_MM, PUBLIC_CARDIAC_CT, None, 1.0, sure)[1]
    assert lv.confidence == pytest.approx(0.3) and lv.right_if_unsure is None


def test_a_table_keeps_its_numbers_and_the_text_has_means_of_both_groups(tmp_path: Path) -> None:
    found, truth = maps()
    rows = completion_rows("a", found, SOURCES, EDGES_MM, PUBLIC_CARDIAC_CT, truth)
    write_completions(tmp_path / "metrics.csv", rows)
    assert read_rows(tmp_path / "metrics.csv", CompletionRow) == rows
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in format_completions(rows, PUBLIC_CARDIAC_CT).splitlines()
    ]
    by_name = {line[0]: line[1:] for line in lines}
    assert by_name["LV"][:4] == ["0", "1", "1", "0.667"] and by_name["LV"][6] == "-"
    assert by_name["PV"] == ["0", "1", "0", *["-"] * 9]
    assert by_name["LA"][3:7] == ["-", "-", "-", "1.000"]
    assert (by_name["mean"][3], by_name["mean"][6]) == ("0.667", "1.000")
    assert "Dice" not in format_completions([rows[2]], PUBLIC_CARDIAC_CT)
