"""Peers are scored against the truth of the same name on the same grid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import peer_scores
from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.data.label_maps import write_label_map
from custom.errors import InputError

AFFINE = np.diag([3.0, 2.0, 1.0, 1.0])


def heart() -> np.ndarray:
    labels = np.zeros((11, 13, 17), dtype=np.uint8)
    labels[2:8, 3:9, 4:12] = 2
    return labels


@pytest.fixture
def cohort(tmp_path: Path) -> tuple[Path, Path]:
    damaged = heart()
    damaged[10, 12, 16] = 2
    write_label_map(tmp_path / "labels" / "case_a.nii.gz", damaged, AFFINE)
    write_label_map(tmp_path / "truth" / "case_a.nii.gz", heart(), AFFINE)
    return tmp_path / "labels", tmp_path / "truth"


def test_means_of_damage_peer_and_truth_are_printed_and_written(
    cohort: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two = {name: peer_scores.PEERS[name] for name in ("dust + fill", "median 3")}
    monkeypatch.setattr(peer_scores, "PEERS", two)
    peer_scores.main(*map(str, cohort), str(tmp_path / "new" / "peers.json"), TOTALSEGMENTATOR_HEART.name)
    written = json.loads((tmp_path / "new" / "peers.json").read_text())
    assert written["cases"] == ["case_a"]
    assert list(written["peers"]) == ["damaged", "dust + fill", "median 3", "truth"]
    ventricle = {name: means["heart_ventricle_left"] for name, means in written["peers"].items()}
    assert ventricle["damaged"]["components"] == 2
    assert ventricle["damaged"]["dice"] == pytest.approx(2 * 288 / (2 * 288 + 1))
    assert (ventricle["dust + fill"]["dice"], ventricle["dust + fill"]["components"]) == (1.0, 1.0)
    assert ventricle["median 3"]["dice"] < 1
    assert written["peers"]["truth"]["mean"]["hd95_mm"] == 0
    printed = capsys.readouterr().out
    assert printed.count("| dust + fill ") == len(peer_scores.MEASURES)


def test_a_damaged_case_without_truth_is_refused(cohort: tuple[Path, Path]) -> None:
    write_label_map(cohort[0] / "case_b.nii.gz", heart(), AFFINE)
    with pytest.raises(InputError, match="no case_b"):
        peer_scores.read_pairs(*cohort, TOTALSEGMENTATOR_HEART)


def test_a_truth_in_another_place_is_refused(cohort: tuple[Path, Path]) -> None:
    write_label_map(cohort[1] / "case_a.nii.gz", heart(), np.diag([3.0, 2.0, 1.5, 1.0]))
    with pytest.raises(InputError, match="grid of its own"):
        peer_scores.read_pairs(*cohort, TOTALSEGMENTATOR_HEART)
