"""What a whole heart's checkpoint holds, and what is refused in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.errors import InputError
from custom.models.near.near_field import NearField
from custom.near.field_checkpoint import pack
from custom.near.heart_checkpoint import HEART, decision_of, load_heart_checkpoint
from custom.space import Frame
from custom.training.checkpoint_file import save_atomically

NETWORK: dict[str, Any] = {"trunk_channels": [4], "latent_size": 2, "code_side": 3, "widths": [8] * 4, "outputs": 10}


def saved(path: Path, structure: str = HEART, **changes: Any) -> Path:
    frame = Frame(np.eye(4), (5, 7, 11), (0, 0, 0), (4, 6, 10))
    field = NearField(1, **NETWORK)
    content = pack(field, structure, PUBLIC_CARDIAC_CT.name, ["one"], {"one": frame}, {"network": NETWORK})
    beside = {"class_weights": [1.0] * 10, "extents": {"LV": [[-1.0] * 3, [1.0] * 3]}} | changes
    save_atomically(content | {key: value for key, value in beside.items() if value is not None}, path)
    return path


def test_a_whole_hearts_checkpoint_is_read_with_what_it_holds_beside_the_field(tmp_path: Path) -> None:
    content = load_heart_checkpoint(saved(tmp_path / "best.pt"))
    assert content["class_weights"] == [1.0] * 10
    assert content["extents"] == {"LV": [[-1.0] * 3, [1.0] * 3]}


def test_the_field_of_one_structure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found a field of LA alone; wanted a field of the whole heart"):
        load_heart_checkpoint(saved(tmp_path / "best.pt", "LA"))


def test_a_checkpoint_that_lacks_the_usual_places_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no extents in it"):
        load_heart_checkpoint(saved(tmp_path / "best.pt", extents=None))


def test_another_table_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Give --label_table public_cardiac_ct"):
        load_heart_checkpoint(saved(tmp_path / "best.pt"), "totalsegmentator_heart")


def test_thresholds_are_one_half_until_calibrated_and_can_be_given_by_name(tmp_path: Path) -> None:
    channel = {name: place for place, name in enumerate(PUBLIC_CARDIAC_CT.names)}
    plain = load_heart_checkpoint(saved(tmp_path / "plain.pt"))
    assert set(decision_of(plain).thresholds) == {0.5}
    calibrated = load_heart_checkpoint(saved(tmp_path / "best.pt", thresholds={"PV": 0.3, "LA": 0.6}))
    thresholds = decision_of(calibrated, {"pv": 0.35}).thresholds
    assert (thresholds[channel["PV"]], thresholds[channel["LA"]], thresholds[channel["LV"]]) == (0.35, 0.6, 0.5)


def test_the_fallback_is_handed_on(tmp_path: Path) -> None:
    assert decision_of(load_heart_checkpoint(saved(tmp_path / "best.pt")), fallback="best").fallback == "best"
