"""What the benchmark of the whole repair counts as won, as right and as hands off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.peer_smoothers import PEERS
from benchmarks.repair_quality import DAMAGED, OURS, against_peers, anatomy, hands_off
from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.metrics.case_scores import ScoreRow, score_labels
from custom.metrics.repair_rows import RepairRow, repair_rows
from custom.rules.ledger import Addition, Removal, write_ledger

LA, LAA = PUBLIC_CARDIAC_CT["LA"].index, PUBLIC_CARDIAC_CT["LAA"].index
SPACING_MM = (1.0, 1.0, 1.0)


def heart() -> np.ndarray:
    labels = np.zeros((23, 17, 19), dtype=np.uint8)
    labels[2:12, 3:14, 3:16] = LA
    labels[12:18, 5:10, 6:12] = LAA
    return labels


def scores(labels: np.ndarray, truth: np.ndarray) -> list[ScoreRow]:
    rows = score_labels("one", labels, truth, SPACING_MM, PUBLIC_CARDIAC_CT)
    return [row for row in rows if row.structure in ("LA", "LAA")]


def test_won_is_above_the_best_peer_and_better_is_better_in_all_three_measures() -> None:
    truth, damaged = heart(), heart()
    damaged[2:4] = 0
    damaged[16:18] = 0
    rows = {DAMAGED: scores(damaged, truth), OURS: scores(truth, truth)} | {
        name: scores(damaged, truth) for name in PEERS
    }
    text = against_peers(rows)
    assert "Above the best peer's Dice: 2 of 2." in text
    assert "Better than the damaged label in Dice, HD95 and ASSD: 2 of 2." in text
    level = against_peers(rows | {OURS: scores(damaged, truth)})
    assert "Above the best peer's Dice: 0 of 2 (not LA, LAA)." in level
    assert "HD95 and ASSD: 0 of 2 (not LA, LAA)." in level


def rows_of(before: np.ndarray, after: np.ndarray) -> list[RepairRow]:
    return repair_rows("one", before, after, SPACING_MM, PUBLIC_CARDIAC_CT, reference=heart())


def test_pieces_contacts_and_volumes_are_counted_against_the_truth() -> None:
    torn = heart()
    torn[12:14] = 0  # the appendage off the atrium
    torn[20, 15, 17] = LA  # a crumb
    text = anatomy(rows_of(torn, heart()))
    assert "Components as in the truth before: 1 of 2; LAA in contact with LA: 0 of 1; PV" in text
    assert "Components as in the truth after: 2 of 2; LAA in contact with LA: 1 of 1; PV" in text
    assert "Least volume after, of the true volume: 1.000" in text
    assert "the repair lost: 0.000" in text


def test_what_the_repair_loses_is_named() -> None:
    emptied = heart()
    emptied[emptied == LAA] = 0
    text = anatomy(rows_of(heart(), emptied))
    assert "Least volume after, of the true volume: 0.000 (LAA of one)." in text
    assert "the repair lost: 1.000 (LAA, one)." in text


def test_large_entries_of_the_ledger_are_listed(tmp_path: Path) -> None:
    small = Removal(
        rule="drop_crumbs",
        structure="LA",
        component=2,
        before_mm3=12.0,
        after_mm3=0.0,
        distance_mm=3.0,
        why="below 20 mm3",
        place_mm=(0.0, 0.0, 0.0),
    )
    large = Addition(
        rule="fill_holes",
        structure="LV",
        component=0,
        before_mm3=0.0,
        after_mm3=60.0,
        distance_mm=float("nan"),
        why="a hole it encloses",
        place_mm=(0.0, 0.0, 0.0),
    )
    write_ledger(tmp_path / "ledger.csv", {"one": [small, large, replace(small, after_mm3=12.0)]})
    text = hands_off(scores(heart(), heart()), tmp_path / "ledger.csv")
    assert "Dice kept: LA 1.000, LAA 1.000, mean 1.000." in text
    assert "Ledger entries over 50 mm3: 1 of 3." in text
    assert "- one: fill_holes, LV, 60 mm3, a hole it encloses" in text
