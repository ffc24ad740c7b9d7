"""The demonstration repairs what it damaged."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from custom.pipeline.demo import run_demo


@pytest.mark.slow
def test_the_demonstration_raises_dice_and_leaves_a_table_and_a_picture(tmp_path: Path) -> None:
    text = run_demo(tmp_path, cases=3, size=48, structures=("LA",))
    assert "| LA" in text
    dice = {}
    for stem in ("damaged", "repaired"):
        with open(tmp_path / f"{stem}.csv") as file:
            rows = list(csv.DictReader(file))
        assert [row["case"] for row in rows] == ["phantom_000", "phantom_001", "phantom_002"]
        dice[stem] = sum(float(row["dice"]) for row in rows) / len(rows)
    assert dice["repaired"] > dice["damaged"] + 0.005
    assert (tmp_path / "before_after.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "demo.json").read_text())["cases"] == 3
