"""What was lost in a repair shows, however smooth the rest has become."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from custom.anatomy import Structure, StructureTable
from custom.errors import InputError
from custom.metrics.case_scores import score_mask
from custom.metrics.repair_rows import (
    COLUMNS,
    RepairRow,
    format_repairs,
    read_metrics,
    repair_rows,
    summarise_repairs,
    write_metrics,
)

SHAPE = (23, 29, 31)
SPACING_MM = (3.0, 2.0, 1.0)
VOXEL_MM3 = 6.0
DIAGONAL_MM = math.sqrt((23 * 3) ** 2 + (29 * 2) ** 2 + 31**2)
TABLE = StructureTable(
    "toy",
    (
        Structure(1, "Chamber", rank=1, components=1),
        Structure(2, "Ear", rank=0, components=2, touches=("Chamber",)),
    ),
)
CHAMBER = (slice(3, 15), slice(3, 15), slice(3, 15))
EAR = (slice(15, 17), slice(5, 9), slice(5, 9))  # 32 voxels, on the chamber
ISLAND = (slice(20, 21), slice(20, 28), slice(20, 21))  # 8 voxels, far off


def heart(*parts: tuple[tuple[slice, slice, slice], int]) -> np.ndarray:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for place, index in parts:
        labels[place] = index
    return labels


WHOLE = heart((CHAMBER, 1), (EAR, 2), (ISLAND, 2))
WITHOUT_ISLAND = heart((CHAMBER, 1), (EAR, 2))
WITHOUT_EAR = heart((CHAMBER, 1))
NOTHING = heart()


def rows_of(before: np.ndarray, after: np.ndarray, reference: np.ndarray | None = None) -> dict[str, RepairRow]:
    return {row.structure: row for row in repair_rows("a", before, after, SPACING_MM, TABLE, reference)}


def cells(table: str) -> list[list[str]]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [lines[0], *lines[2:]]


def test_deleting_a_component_is_smoother_and_shows_in_what_was_kept() -> None:
    row = rows_of(WHOLE, WITHOUT_ISLAND)["Ear"]
    assert row.isoperimetric_after < row.isoperimetric_before
    assert row.kept_share == row.volume_change == 32 / 40
    assert (row.removed_mm3, row.added_mm3) == (8 * VOXEL_MM3, 0.0)
    assert row.dice_to_input == pytest.approx(2 * 32 / (40 + 32))
    assert row.hd95_to_input_mm > 10
    assert (row.components_before, row.components_after) == (2, 1)


def test_moving_a_structure_keeps_its_volume_and_loses_its_place() -> None:
    row = rows_of(heart((ISLAND, 2)), heart(((slice(1, 2), slice(20, 28), slice(20, 21)), 2)))["Ear"]
    assert (row.volume_change, row.kept_share, row.dice_to_input) == (1.0, 0.0, 0.0)
    assert row.added_mm3 == row.removed_mm3 == 8 * VOXEL_MM3
    assert row.hd95_to_input_mm == 19 * 3.0


def test_adding_keeps_all_of_the_input() -> None:
    row = rows_of(WITHOUT_ISLAND, WHOLE)["Ear"]
    assert (row.kept_share, row.volume_change, row.added_mm3) == (1.0, 40 / 32, 8 * VOXEL_MM3)


def test_nothing_changed_is_said_so() -> None:
    for name, row in rows_of(WHOLE, WHOLE).items():
        assert (row.kept_share, row.volume_change, row.dice_to_input, row.hd95_to_input_mm) == (1.0, 1.0, 1.0, 0.0), (
            name
        )
        assert (row.added_mm3, row.removed_mm3) == (0.0, 0.0)


def test_both_sides_are_asked_the_same_of_contact() -> None:
    row = rows_of(WHOLE, WITHOUT_ISLAND)["Ear"]
    assert (row.contact_before, row.contact_after) == (False, True)
    assert (row.contact_share_before, row.contact_share_after) == (0.8, 1.0)
    swapped = rows_of(WITHOUT_ISLAND, WHOLE)["Ear"]
    assert (swapped.contact_before, swapped.contact_after) == (True, False)
    assert rows_of(WHOLE, WHOLE)["Chamber"].contact_before is None


def test_a_lost_structure_costs_all_and_has_no_shape() -> None:
    row = rows_of(WHOLE, WITHOUT_EAR)["Ear"]
    assert row.lost and not row.absent
    assert (row.kept_share, row.volume_change, row.dice_to_input) == (0.0, 0.0, 0.0)
    assert row.hd95_to_input_mm == pytest.approx(DIAGONAL_MM)
    assert (row.isoperimetric_after, row.contact_after, row.contact_share_after) == (None, None, None)
    assert row.isoperimetric_before is not None


def test_a_structure_out_of_nowhere_keeps_nothing_because_there_was_nothing() -> None:
    row = rows_of(WITHOUT_EAR, WHOLE)["Ear"]
    assert (row.kept_share, row.volume_change, row.dice_to_input) == (None, None, 0.0)
    assert row.added_mm3 == 40 * VOXEL_MM3
    assert row.hd95_to_input_mm == pytest.approx(DIAGONAL_MM)
    assert not row.lost and not row.absent


def test_what_is_absent_on_both_sides_is_absent_unless_the_reference_has_it() -> None:
    assert rows_of(WITHOUT_EAR, WITHOUT_EAR)["Ear"].absent
    assert rows_of(WITHOUT_EAR, WITHOUT_EAR, WITHOUT_EAR)["Ear"].absent
    missed = rows_of(WITHOUT_EAR, WITHOUT_EAR, WHOLE)["Ear"]
    assert not missed.absent
    assert (missed.dice_after, missed.reference_share_after, missed.right_count(0)) == (0.0, 0.0, False)
    assert missed.hd95_after_mm == missed.assd_after_mm == pytest.approx(DIAGONAL_MM)


def test_empty_and_full_maps_are_rows_too() -> None:
    full = np.ones(SHAPE, dtype=np.uint8)
    row = rows_of(full, full)["Chamber"]
    assert (row.kept_share, row.holes_after, row.euler_after, row.components_after) == (1.0, 0, 1, 1)
    assert all(row.absent for row in rows_of(NOTHING, NOTHING).values())
    assert rows_of(full, NOTHING)["Chamber"].lost


def test_without_a_reference_nothing_is_said_of_it() -> None:
    row = rows_of(WHOLE, WITHOUT_ISLAND)["Ear"]
    assert {getattr(row, name) for name in COLUMNS[COLUMNS.index("volume_reference_mm3") :]} == {None}


def test_with_a_reference_both_sides_get_the_scores_of_score_mask_on_the_whole_volume() -> None:
    row = rows_of(WHOLE, WITHOUT_EAR, WITHOUT_ISLAND)["Ear"]
    for labels, side in ((WHOLE, "before"), (WITHOUT_EAR, "after")):
        wanted = score_mask(labels == 2, WITHOUT_ISLAND == 2, SPACING_MM, 1.0)
        names = (f"dice_{side}", f"hd95_{side}_mm", f"assd_{side}_mm", f"surface_dice_{side}")
        found = [getattr(row, name) for name in names]
        assert found == [wanted.dice, wanted.hd95_mm, wanted.assd_mm, wanted.surface_dice]
    assert (row.volume_reference_mm3, row.components_reference) == (32 * VOXEL_MM3, 1)
    assert (row.reference_share_before, row.reference_share_after) == (1.0, 0.0)


def test_the_tolerance_is_that_of_the_surface_dice() -> None:
    moved = heart(((slice(5, 17), slice(3, 15), slice(3, 15)), 1))
    tight, loose = (
        repair_rows("a", moved, moved, SPACING_MM, TABLE, WITHOUT_EAR, tolerance_mm=tolerance)[0].surface_dice_after
        for tolerance in (1.0, 6.0)
    )
    assert tight < loose == 1.0


def test_labels_on_two_grids_are_refused() -> None:
    other = np.zeros((23, 31, 29), dtype=np.uint8)
    for maps in ((WHOLE, other), (WHOLE, WHOLE, other)):
        with pytest.raises(InputError, match=r"\(23, 31, 29\).*\(23, 29, 31\)"):
            rows_of(*maps)


def test_the_right_count_is_the_references_or_up_to_the_tables() -> None:
    row = rows_of(WHOLE, WITHOUT_ISLAND)["Ear"]
    assert [row.right_count(components) for components in (0, 1, 2, 3)] == [False, True, True, False]
    row = rows_of(WHOLE, WITHOUT_ISLAND, WITHOUT_ISLAND)["Ear"]
    assert [row.right_count(components) for components in (0, 1, 2, 3)] == [False, True, False, False]


def test_metrics_come_back_bit_for_bit(tmp_path: Path) -> None:
    rows = repair_rows("a", WHOLE, WITHOUT_ISLAND, SPACING_MM, TABLE)
    rows += repair_rows("007", WHOLE, WITHOUT_EAR, (0.3, 0.7, 1 / 3), TABLE, WITHOUT_ISLAND)
    rows += repair_rows("c", WITHOUT_EAR, WITHOUT_EAR, SPACING_MM, TABLE, NOTHING)
    write_metrics(tmp_path / "out" / "metrics.csv", rows)
    assert read_metrics(tmp_path / "out" / "metrics.csv") == rows
    header, first = (tmp_path / "out" / "metrics.csv").read_text().splitlines()[:2]
    assert header.startswith("case,structure,components_expected,volume_before_mm3,volume_after_mm3")
    assert first.startswith("a,Chamber,1,10368.0,10368.0,1,1,")


def test_another_table_is_no_metrics(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("case,structure,dice\na,LA,1.0\n")
    with pytest.raises(InputError, match=r"metrics\.csv: found the columns case, structure, dice"):
        read_metrics(tmp_path / "metrics.csv")


def test_means_leave_out_what_is_absent_and_count_it() -> None:
    rows = repair_rows("a", WHOLE, WITHOUT_ISLAND, SPACING_MM, TABLE)
    rows += repair_rows("b", WITHOUT_EAR, WITHOUT_EAR, SPACING_MM, TABLE)
    ear = summarise_repairs(rows)["Ear"]
    assert (ear["cases"], ear["scored"], ear["absent"], ear["lost"]) == (2, 1, 1, 0)
    assert (ear["kept_share"], ear["dice_to_input"]) == (0.8, pytest.approx(64 / 72))
    assert (ear["contact_cases"], ear["contact_percent_before"], ear["contact_percent_after"]) == (1, 0.0, 100.0)
    assert summarise_repairs(rows)["mean"]["cases"] == 2


def test_a_lost_structure_drags_the_means_down_and_loses_its_contact() -> None:
    rows = repair_rows("a", WHOLE, WITHOUT_ISLAND, SPACING_MM, TABLE)
    rows += repair_rows("b", WITHOUT_ISLAND, WITHOUT_EAR, SPACING_MM, TABLE)
    ear = summarise_repairs(rows)["Ear"]
    assert (ear["scored"], ear["lost"], ear["kept_share"], ear["volume_change"]) == (2, 1, 0.4, 0.4)
    assert (ear["contact_cases"], ear["contact_percent_before"], ear["contact_percent_after"]) == (2, 50.0, 50.0)
    assert (ear["right_components_before"], ear["right_components_after"]) == (2, 1)


def test_roughness_is_averaged_over_the_cases_that_have_one_on_both_sides() -> None:
    rows = repair_rows("a", WHOLE, WHOLE, SPACING_MM, TABLE)
    rows += repair_rows("b", WITHOUT_ISLAND, WITHOUT_EAR, SPACING_MM, TABLE)
    ear = summarise_repairs(rows)["Ear"]
    assert ear["isoperimetric_before"] == ear["isoperimetric_after"] == rows[1].isoperimetric_before


def test_contact_is_lost_with_what_should_be_touched() -> None:
    ear = summarise_repairs(repair_rows("a", WITHOUT_ISLAND, heart((EAR, 2)), SPACING_MM, TABLE))["Ear"]
    assert (ear["contact_percent_before"], ear["contact_percent_after"]) == (100.0, 0.0)
    never = summarise_repairs(repair_rows("a", heart((EAR, 2)), heart((EAR, 2)), SPACING_MM, TABLE))["Ear"]
    assert (never["contact_cases"], never["contact_percent_before"], never["contact_percent_after"]) == (0, None, None)


def test_empties_against_the_reference_are_counted_by_side() -> None:
    rows = repair_rows("a", WITHOUT_EAR, WHOLE, SPACING_MM, TABLE, WHOLE)
    rows += repair_rows("b", WHOLE, WHOLE, SPACING_MM, TABLE, WITHOUT_EAR)
    rows += repair_rows("c", WITHOUT_EAR, WITHOUT_EAR, SPACING_MM, TABLE)  # no reference, nothing to count
    ear = summarise_repairs(rows)["Ear"]
    assert (ear["one_empty_before"], ear["one_empty_after"]) == (2, 1)
    assert ear["dice_after"] == pytest.approx((1.0 + 0.0) / 2)


def test_the_last_mean_is_that_of_the_structures_there_are() -> None:
    rows = repair_rows("a", heart((ISLAND, 1)), heart((ISLAND, 1)), SPACING_MM, TABLE)
    summary = summarise_repairs(rows)
    assert list(summary) == ["Chamber", "Ear", "mean"]
    assert summary["mean"]["kept_share"] == summary["mean"]["components_after"] == 1.0
    assert summary["Ear"]["kept_share"] is None
    assert (summary["mean"]["scored"], summary["mean"]["absent"]) == (1, 1)


def test_no_rows_are_refused() -> None:
    with pytest.raises(InputError, match="no rows"):
        summarise_repairs([])


def test_the_table_without_a_reference_speaks_of_the_input() -> None:
    rows = repair_rows("a", WHOLE, WITHOUT_ISLAND, SPACING_MM, TABLE)
    header, chamber, ear, _ = cells(format_repairs(rows))
    assert header[:3] == ["structure", "Dice to input", "HD95 to input mm"]
    shown = dict(zip(header, ear, strict=True))
    assert (shown["Dice to input"], shown["components"], shown["count right"]) == ("0.889", "2.0 -> 1.0", "1 -> 1 of 1")
    assert (shown["contact %"], shown["kept %"], shown["volume x"]) == ("0 -> 100", "80.0", "0.800")
    before, after = (f"{value:.2f}" for value in (rows[1].isoperimetric_before, rows[1].isoperimetric_after))
    assert shown["roughness"] == f"{before} -> {after}"
    assert dict(zip(header, chamber, strict=True))["contact %"] == "-"


def test_the_table_with_a_reference_sets_both_sides_against_it() -> None:
    rows = repair_rows("a", WHOLE, WITHOUT_ISLAND, SPACING_MM, TABLE, WITHOUT_ISLAND)
    header, _, ear, mean = cells(format_repairs(rows))
    shown = dict(zip(header, ear, strict=True))
    assert shown["Dice"] == "0.889 -> 1.000"
    assert shown["HD95 mm"].endswith(" -> 0.00") and shown["one empty"] == "0 -> 0"
    assert mean[0] == "mean" and mean[1] == "0.944 -> 1.000"


def test_the_table_calls_absent_what_is_nowhere_and_counts_what_was_lost() -> None:
    header, _, ear, _ = cells(format_repairs(repair_rows("a", WITHOUT_EAR, WITHOUT_EAR, SPACING_MM, TABLE)))
    assert set(ear[1:-2]) == {"absent"} and ear[-2:] == ["0", "1"]
    header, _, ear, mean = cells(format_repairs(repair_rows("a", WHOLE, WITHOUT_EAR, SPACING_MM, TABLE)))
    assert header[-2:] == ["lost", "absent"]
    assert ear[-2:] == mean[-2:] == ["1", "0"]
    assert dict(zip(header, ear, strict=True))["roughness"] == "-"


def test_a_row_is_a_record_of_plain_values() -> None:
    row = rows_of(WHOLE, WITHOUT_ISLAND, WHOLE)["Ear"]
    later = {name for name in COLUMNS if {"fused", "unified"} & set(name.split("_"))}
    assert {type(getattr(row, name)) for name in set(COLUMNS) - later} <= {str, int, float, bool}
    assert {getattr(row, name) for name in later} == {None}
    assert replace(row, case="b") != row
