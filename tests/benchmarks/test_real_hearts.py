"""What the benchmark of real hearts damages, keeps and counts as harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import real_hearts
from benchmarks.real_hearts import (
    INPUT,
    OURS,
    Condition,
    Heart,
    best_peers,
    conditions_of,
    find_hearts,
    read_rows,
    report,
    score_peers,
    worst_table,
)
from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.label_maps import write_label_map


def heart() -> np.ndarray:
    labels = np.zeros((23, 17, 19), dtype=np.uint8)
    labels[2:12, 3:14, 3:16] = PUBLIC_CARDIAC_CT["LA"].index
    labels[12:18, 5:10, 6:12] = PUBLIC_CARDIAC_CT["LAA"].index
    return labels


def row(method: str, dice: float, structure: str = "LA", kind: str = "holes", severity: float = 1.0) -> dict[str, Any]:
    where = {"case": "a", "group": "unseen", "kind": kind, "severity": severity, "unit": "voxel"}
    return {**where, "method": method, "structure": structure, "dice": dice}


def test_undamaged_label_maps_are_one_condition() -> None:
    found = conditions_of(["none", "holes"], [0.0, 0.5, 1.0], ["voxel", "mm"])
    assert [one.name for one in found] == [
        "none-0-voxel",
        "holes-0.5-voxel",
        "holes-0.5-mm",
        "holes-1-voxel",
        "holes-1-mm",
    ]


def test_every_heart_is_damaged_by_a_seed_of_its_own_and_the_same_again() -> None:
    condition, labels = Condition("noise_white", 1.0, "voxel"), heart()
    one, same, other = (condition.damaged(labels, (1.0, 1.0, 1.0), name) for name in ("a", "a", "b"))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_hearts_that_weights_may_know_are_a_group_of_their_own(tmp_path: Path) -> None:
    for name in ("heart_vhm_hra", "heart_taro"):
        write_label_map(tmp_path / f"{name}.nii.gz", heart(), np.eye(4))
    groups = {one.name: one.group for one in find_hearts(tmp_path)}
    assert (groups["heart_vhm_hra"], groups["heart_taro"]) == ("may be learned", "unseen")
    assert list(groups.values()).count("phantoms") == 3


def test_scores_are_kept_and_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_hearts, "PEERS", {"the same": lambda labels, spacing_mm, table: labels})
    write_label_map(tmp_path / "a.nii.gz", heart(), np.eye(4))
    one, conditions = Heart("a", "unseen", tmp_path / "a.nii.gz"), conditions_of(["none", "grown"], [1.0], ["voxel"])
    score_peers(one, conditions, tmp_path / "scores")
    rows = read_rows(tmp_path / "scores")
    undamaged = [each for each in rows if each["kind"] == "none"]
    assert {each["method"] for each in rows} == {INPUT, "the same"}
    assert {each["structure"] for each in rows} == {"LA", "LAA"}
    assert all(each["dice"] == 1.0 and each["hd95_mm"] == 0.0 for each in undamaged)
    assert all(each["dice"] < 1.0 for each in rows if each["kind"] == "grown" and each["structure"] == "LA")
    monkeypatch.setattr(real_hearts, "PEERS", {})
    score_peers(one, conditions, tmp_path / "scores")
    assert read_rows(tmp_path / "scores") == rows


def test_the_best_peer_is_chosen_for_each_structure_and_is_never_the_input_or_ours() -> None:
    rows = [row(INPUT, 0.99), row(OURS, 0.98), row("gaussian 1", 0.9), row("median", 0.8)]
    rows += [row(INPUT, 0.99, "LV"), row("gaussian 1", 0.7, "LV"), row("median", 0.75, "LV")]
    assert best_peers(rows) == {"LA": "gaussian 1", "LV": "median"}


def test_the_worst_difference_is_named_with_its_place() -> None:
    rows = [row(INPUT, 0.9), row(OURS, 0.95), row(INPUT, 0.9, kind="cuts"), row(OURS, 0.8, kind="cuts")]
    table = worst_table(rows, "structure", OURS)
    assert "-0.100" in table and "cuts 1.0 voxel LA" in table and "+0.050" not in table
    by_kind = worst_table(rows, "kind", OURS)
    assert "+0.050" in by_kind and "-0.100" in by_kind


def test_held_out_kinds_and_undamaged_hearts_stand_apart() -> None:
    rows = [row(method, 0.9, kind=kind) for method in (INPUT, "gaussian 1") for kind in ("none", "holes", "rotated")]
    text = report(rows)
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## unseen: undamaged",
        "## unseen: kinds to choose on",
        "## unseen: kinds held out",
    ]
