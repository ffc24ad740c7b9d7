"""The shipped settings of the structures, each kind of them, run as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from custom.metrics.case_scores import ScoreRow
from custom.near.field_checkpoint import field_of, frames_of, load_checkpoint
from custom.near.inferers import DenseInferer
from custom.phantoms.write_cohort import make_cohort
from custom.run.repair_one_structure import repair_structure, score_structure


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, cases=2, size=96)
    return folder


def mean(rows: list[ScoreRow], measure: str) -> float:
    return float(np.mean([getattr(row, measure) for row in rows]))


@pytest.mark.slow
@pytest.mark.parametrize(("structure", "gain"), [("Aorta", 0.01), ("LAA", -0.01), ("Coronary", -0.01)])
def test_a_structures_own_settings_repair_it(structure: str, gain: float, cohort: Path, tmp_path: Path) -> None:
    masks = repair_structure(cohort / "labels", tmp_path, structure, device="cpu")
    before, _ = score_structure(cohort / "labels", cohort / "truth", structure, masks_by_index=True)
    after, _ = score_structure(masks, cohort / "truth", structure, masks_by_index=False)
    assert mean(after, "dice") > mean(before, "dice") + gain
    assert mean(after, "components") <= mean(before, "components")
    content = load_checkpoint(tmp_path / structure / "best.pt")
    field, frames = field_of(content), frames_of(content)
    stride = 2 if structure in ("LAA", "Coronary") else 4
    for row in range(2):
        inputs = torch.tensor([row])
        fast, plain = (DenseInferer(frames, stride=step)(inputs, field) > 0 for step in (stride, 1))
        assert (fast == plain).float().mean() > 0.9999
        assert int(plain.sum()) > 50
