"""A tiny cohort, and settings of stage 1 that learn something of it within a second or two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from custom.cohort.make import make_cohort
from custom.pipeline.request import Request

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


def asked(labels: Path, output: Path, **fields: Any) -> Request:
    """A repair of two structures by one process, tiny."""
    given: dict[str, Any] = {"workers": 1, "device": "cpu", "overrides": TINY, "structures": ("LA", "Coronary")}
    return Request(labels=labels, output=output, **(given | fields))


@pytest.fixture
def tiny() -> dict[str, Any]:
    return dict(TINY)


@pytest.fixture(scope="session")
def hearts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phantoms of 32 voxels a side, ``labels`` and ``truth``; not to be written to."""
    folder = tmp_path_factory.mktemp("hearts")
    make_cohort(folder, cases=2, size=32)
    return folder
