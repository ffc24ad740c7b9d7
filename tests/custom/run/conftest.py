"""A tiny cohort, and settings of stage 1 that learn something of it within a second or two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from custom.phantoms.write_cohort import make_cohort
from custom.run.repair_request import RepairRequest

TINY: dict[str, Any] = {
    "max_epochs": 30,
    "val_interval": 15,
    "resolution": 24,
    "code_side": 8,
    "latent_size": 4,
    "trunk_channels": [8],
    "mlp_widths": [16, 16, 16, 16],
    "learning_rate": 0.02,
    "code_learning_rate": 0.05,
    "loss": "bce_dice",
    "points_per_case": 512,
    "val_points": 256,
}

TINY_HEART: dict[str, Any] = {
    "max_epochs": 2,
    "val_interval": 2,
    "picture_interval": 9,
    "code_side": 4,
    "fine_code_side": 6,
    "fine_trunk_channels": [4],
    "latent_size": 4,
    "trunk_channels": [8],
    "mlp_widths": [16, 16, 16, 16],
    "points_per_structure": 32,
    "band_points": 64,
    "background_points": 64,
    "val_points": 64,
    "teacher_points": 32,
    "teacher_pool": 256,
}
"""And of stage 3: whatever it learns, it is drawn within a second."""


def asked(labels: Path, output: Path, **fields: Any) -> RepairRequest:
    """A repair of two structures by one process, tiny, without stage 3 unless it is asked for."""
    given: dict[str, Any] = {"workers": 1, "device": "cpu", "overrides": TINY, "structures": ("LA", "Coronary")}
    given |= {"unified_overrides": TINY_HEART, "skip_unified": True, "allow_lost": True}
    return RepairRequest(labels=labels, output=output, **(given | fields))


@pytest.fixture
def tiny() -> dict[str, Any]:
    return dict(TINY)


@pytest.fixture(scope="session")
def hearts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phantoms of 32 voxels a side, ``labels`` and ``truth``; not to be written to."""
    folder = tmp_path_factory.mktemp("hearts")
    make_cohort(folder, cases=2, size=32)
    return folder
