"""What the stages of heart_sam3d_lora are for: adapters fit a base without directions to hearts as they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.bundles.sam3d_helpers import make_cache, train

SIZE: dict[str, Any] = {"width": 32, "depth": 2, "batch_size": 8, "val_draws": 8, "lora_rank": 4}


def scalars(output_dir: Path, stage: str, name: str) -> list[float]:
    found = EventAccumulator(str(output_dir / stage / "tensorboard"))
    found.Reload()
    return [event.value for event in found.Scalars(name)]


@pytest.mark.slow
def test_adapters_fit_patients_never_seen_better_than_the_base_they_were_put_in(tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "cache", cases=24, held_out=4, open_below=True)
    train(cache, tmp_path, "vae", **SIZE, max_epochs=60, val_interval=20, learning_rate=0.004)
    assert scalars(tmp_path, "vae", "val_dice")[-1] > 0.8
    train(cache, tmp_path, "base", **SIZE, max_epochs=60, val_interval=20, learning_rate=0.002)
    untuned = {"stage": "lora", "output_dir": tmp_path / "untuned", "learning_rate": 1e-12, "max_epochs": 1}
    stages = {"codec_from": tmp_path / "vae" / "best.pt", "base_from": tmp_path / "base" / "best.pt"}
    train(cache, **(SIZE | untuned | stages), val_interval=1)
    train(cache, tmp_path, **SIZE, max_epochs=60, val_interval=10, learning_rate=0.002)
    before, after = (scalars(folder, "lora", "val_loss") for folder in (tmp_path / "untuned", tmp_path))
    assert min(after) < 0.95 * before[0]
