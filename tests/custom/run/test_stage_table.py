"""Damaged, fused and unified side by side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from custom.anatomy import Structure, StructureTable
from custom.metrics.repair_rows import RepairRow, repair_rows
from custom.run.stage_table import format_stages

TABLE = StructureTable("two", (Structure(1, "LA", rank=0, components=1), Structure(2, "PV", rank=1, components=1)))


def row(structure: str, **values: float | None) -> RepairRow:
    labels = np.zeros((3, 5, 7), np.uint8)
    labels[1, 1:3, 2] = 1, 2
    given = {one.structure: one for one in repair_rows("a", labels, labels, (1.0, 1.0, 1.0), TABLE, labels)}
    return replace(given[structure], **values)


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("| \n").split("|")] for line in text.splitlines()]


def test_a_line_for_each_structure_and_for_their_mean() -> None:
    rows = [
        row("LA", dice_before=0.5, dice_fused=0.8, dice_unified=0.9, hd95_fused_mm=2.0, hd95_unified_mm=1.5),
        row("PV", dice_before=0.7, dice_fused=0.6, dice_unified=0.4, hd95_fused_mm=1.0, hd95_unified_mm=3.0),
    ]
    header, _, *lines = cells(format_stages(rows))
    assert header == ["structure", "Dice damaged", "Dice fused", "Dice unified"] + [
        f"HD95 mm {side}" for side in ("damaged", "fused", "unified")
    ]
    assert lines == [
        ["LA", "0.500", "0.800", "0.900", "0.00", "2.00", "1.50"],
        ["PV", "0.700", "0.600", "0.400", "0.00", "1.00", "3.00"],
        ["mean", "0.600", "0.700", "0.650", "0.00", "1.50", "2.25"],
    ]


def test_a_case_without_all_three_does_not_count() -> None:
    both = row("LA", dice_before=0.5, dice_fused=0.8, dice_unified=0.9, hd95_fused_mm=2.0, hd95_unified_mm=1.5)
    alone = replace(both, case="b", dice_before=0.1, dice_fused=0.1, dice_unified=None)
    assert cells(format_stages([both, alone]))[2][1:4] == ["0.500", "0.800", "0.900"]


def test_without_a_reference_or_stage_3_there_is_no_table() -> None:
    assert format_stages([row("LA")]) == ""
    assert format_stages([]) == ""
