"""The demonstration repairs what it damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from custom.pipeline.demo import run_demo

from .conftest import TINY


@pytest.mark.slow
def test_the_demonstration_leaves_a_cohort_its_repair_and_a_report(tmp_path: Path) -> None:
    said: list[str] = []
    settings = TINY | {"max_epochs": 120, "val_interval": 60}
    outcome = run_demo(tmp_path, 3, 48, 0, 1, said.append, structures=("LA",), overrides=settings)
    assert "preset      quick" in said[0]
    assert [row.case for row in outcome.rows[::10]] == ["phantom_000", "phantom_001", "phantom_002"]
    la = [row for row in outcome.rows if row.structure == "LA"]
    assert all(row.components_after == 1 for row in la)
    assert sum((row.dice_after or 0) - (row.dice_before or 0) for row in la) > -0.1
    for path in ("phantoms/truth", "repaired", "report/index.html", "metrics.csv"):
        assert (tmp_path / path).exists()
    assert outcome.faults == ()
