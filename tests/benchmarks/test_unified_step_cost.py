"""The cost of a training step, taken from the bundle's own parts."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.unified_step_cost import Training, table_of
from custom.phantoms.write_cohort import make_cohort

SMALL = {
    "points_per_structure": 5,
    "band_points": 7,
    "background_points": 11,
    "trunk_channels": [8],
    "latent_size": 2,
    "code_side": 5,
    "fine_code_side": 0,
    "mlp_widths": [8, 8, 8, 8],
    "batch_size": 3,
}


def test_a_step_moves_the_rows_asked_and_tells_its_parts(tmp_path: Path) -> None:
    make_cohort(tmp_path / "cohort", cases=2, size=32)
    training = Training(tmp_path / "cohort" / "truth", tmp_path, 13, SMALL)
    table = training.network.codes.table.weight
    before = table.detach().clone()
    spent = training.step(1)
    assert table.shape == (13, 250)
    moved = (table.detach() != before).any(dim=1)
    assert int(moved.sum()) == 3
    assert set(spent) == {"drawing", "passes", "optimizer"}
    assert all(seconds >= 0 for seconds in spent.values())
    assert torch.isfinite(table).all()


def test_a_line_says_codes_seconds_and_memory() -> None:
    one = {"codes": 10, "step": 1.234, "drawing": 0.1, "passes": 1.1, "optimizer": 0.034, "peak_mb": 789.6}
    (line,) = table_of([one]).splitlines()[2:]
    assert [cell.strip() for cell in line.strip("|").split("|")] == ["10", "1.23", "0.10", "1.10", "0.03", "790"]
