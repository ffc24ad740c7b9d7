"""The demonstration repairs what it damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from custom.run.demo import run_demo

from .conftest import TINY, TINY_HEART


@pytest.mark.slow
def test_the_demonstration_leaves_a_cohort_its_repair_and_a_report(tmp_path: Path) -> None:
    said: list[str] = []
    settings = TINY | {"max_epochs": 120, "val_interval": 60}
    given = {"structures": ("LA",), "overrides": settings, "unified_overrides": TINY_HEART}
    outcome = run_demo(tmp_path, 3, 48, 0, 1, said.append, **given)
    assert "preset      quick" in said[0] and "stage 3     whole heart: to be trained" in said[0]
    assert "Dice damaged | Dice fused | Dice unified" in outcome.text
    assert [row.case for row in outcome.rows[::10]] == ["phantom_000", "phantom_001", "phantom_002"]
    la = [row for row in outcome.rows if row.structure == "LA"]
    assert all(row.components_after == 1 for row in la)
    assert sum((row.dice_after or 0) - (row.dice_before or 0) for row in la) > -0.1
    for path in ("phantoms/truth", "repaired", "unified", "model", "report/index.html", "metrics.csv"):
        assert (tmp_path / path).exists()
    assert outcome.faults == ()
