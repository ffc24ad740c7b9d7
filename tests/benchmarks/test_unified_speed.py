"""What the whole-heart speed benchmark compares, and how it counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import unified_evaluation_variants, unified_speed
from benchmarks.unified_runs import plain_settings
from custom.models.near.evaluate_grid import unit_axes
from custom.models.near.near_field import NearField
from custom.rules.priority_decision import PriorityDecision


def small_field() -> NearField:
    torch.manual_seed(1)
    field = NearField(1, (8, 4), 4, code_side=5, widths=(16, 16, 16, 8), prior=0.5, outputs=10).eval()
    torch.nn.init.normal_(field.codes.table.weight)
    for layer in field.head.children():
        torch.nn.init.normal_(layer.weight, std=0.5)
    with torch.no_grad():
        field.head.output.bias -= field.asked_all(0)(torch.rand(2000, 3) * 2 - 1).quantile(0.9, dim=0)
    return field


def test_all_ways_label_the_same_heart() -> None:
    field, decide, axes = small_field(), PriorityDecision(), unit_axes((29, 31, 37))
    labels = {name: way(field, decide, axes) for name, way in unified_evaluation_variants.WAYS.items()}
    assert len(labels["plain"].unique()) > 2
    for name in ("heart", "logits", "separate"):
        assert (labels[name] == labels["plain"]).double().mean() > 0.998, name


def test_agreement_counts_every_voxel_and_what_each_structure_loses() -> None:
    plain = np.zeros((2, 3, 5), np.uint8)
    plain[0, 0] = 9
    ours = plain.copy()
    ours[0, 0, 0], ours[1, 2, 4] = 0, 2
    found = unified_speed.agreement(plain, ours)
    assert found["different_voxels"] == 2
    assert found["agreement"] == pytest.approx(28 / 30)
    assert found["lost_share"]["Coronary"] == pytest.approx(1 / 5)
    assert found["lost_share"]["LA"] == 0


def test_a_piece_is_missed_if_none_of_its_voxels_is_found() -> None:
    plain = np.zeros((5, 7, 11), np.uint8)
    plain[1, 1:4, 2] = 9
    plain[2, 4, 3] = 9  # touches the first by a corner
    plain[3, 5, 8:10] = 9
    ours = plain.copy()
    ours[1, 1:4, 2] = 0
    assert unified_speed.agreement(plain, ours)["missed_pieces"]["Coronary"] == 0
    ours[3, 5, 8:10] = 2
    found = unified_speed.agreement(plain, ours)["missed_pieces"]
    assert found["Coronary"] == 1
    assert found["LA"] == 0


def test_the_first_network_is_the_one_configured() -> None:
    options, own = unified_evaluation_variants.NETWORKS["bundle"], plain_settings()
    field = NearField(2, outputs=10, **options)
    assert options["trunk_channels"] == own["trunk_channels"]
    assert options["widths"] == own["mlp_widths"]
    assert field.in_channels >= 3 + sum(own["trunk_channels"])


def test_a_part_that_is_done_is_read(tmp_path: Path) -> None:
    (tmp_path / "heart.json").write_text('{"cpu_seconds": 3.0}')
    assert unified_speed.apart(tmp_path, "heart", network="bundle") == {"cpu_seconds": 3.0}


def test_the_table_has_a_line_per_network_and_way() -> None:
    plain = {"cpu_seconds": 30.0, "peak_mb": 512.0}
    ours = plain | {"cpu_seconds": 2.0, "plain_over_this": 15.0, "agreement": 0.99995}
    ours |= {"lost_share": {"Coronary": 0.0}, "missed_pieces": {"Coronary": 0, "LA": 0}}
    own = {"own": {"cpu_seconds": 4.0, "peak_mb": 1024.0}}
    text = unified_speed.table_of(
        {"bundle": {"plain": plain, "heart": ours, "logits": ours, "separate": ours}, "s": own}
    )
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]
    assert lines[1] == ["bundle", "heart", "2.0", "0.50", "15.0", "0.999950", "0.00000", "0"]
    assert lines[4] == ["s", "own", "4.0", "1.00", "", "", "", ""]


def test_a_part_keeps_its_labels_and_the_floor_counts_the_points_asked(tmp_path: Path, monkeypatch) -> None:
    options = {"trunk_channels": (8, 4), "latent_size": 4, "code_side": 5, "widths": (16, 16, 16, 8)}
    monkeypatch.setitem(unified_evaluation_variants.NETWORKS, "tiny", options)
    torch.save(small_field().state_dict(), tmp_path / "tiny.pt")
    found = unified_speed.measured(tmp_path, "tiny", "heart", side=21)
    assert found["cpu_seconds"] > 0
    assert np.load(tmp_path / "tiny_heart.npy").shape == (21, 21, 21)
    floor = unified_speed.floor(tmp_path, "tiny", side=21)
    # 15 features: 15 x 16 + 16 x 16 + 31 x 16 + 16 x 8 + 8 x 10 products
    assert floor["flop_a_point"] == 2 * 1200
    assert floor["asked_share"] >= 7**3 / 21**3
    assert floor["heart_floor_cpu_seconds"] == pytest.approx(
        floor["asked_share"] * floor["plain_floor_cpu_seconds"], rel=1e-6
    )
