"""What the speed benchmark of clouds compares, on its smallest case: signs are right, and guessed ones are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import clouds_speed
from custom.phantoms.write_cohort import make_cohort


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, 1, 32)
    return folder / "truth" / "phantom_000.nii.gz"


def test_our_signs_are_the_labels_and_those_of_the_heuristic_are_not(case: Path, tmp_path: Path) -> None:
    ours = clouds_speed.ours(case, tmp_path, 1, points=500)
    assert (ours["right"], ours["inside_right"]) == (1, 1) and ours["off_mm"] < 1e-4
    guessed = clouds_speed.peer(clouds_speed.centroid, case, tmp_path)
    assert guessed["right"] < 0.9 and guessed["inside_right"] < 1
    assert min(ours["wall_s"], guessed["wall_s"], ours["peak_gib"], guessed["peak_gib"]) > 0


def test_trimesh_is_asked_for_a_sample_and_its_time_is_extrapolated(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trimesh")
    pytest.importorskip("rtree")
    monkeypatch.setattr(clouds_speed, "SAMPLE", 4)
    clouds_speed.ours(case, tmp_path, 1, points=100)
    found = clouds_speed.peer(clouds_speed.trimesh, case, tmp_path)
    assert found["off_mm"] < 0.02  # the same surfaces, the same points
    assert found["right"] > 0.9 and found["wall_s"] > 0


def test_the_heuristic_calls_inside_what_is_near_the_middle_or_far_away() -> None:
    surfaces = {3: clouds_speed.Surface(np.eye(3) * 2 - 1, np.asarray([[0, 1, 2]], np.int32))}
    middle = surfaces[3].vertices_mm.mean(axis=0)
    points_mm = np.stack([middle, middle + [0, 0, 1e3], surfaces[3].vertices_mm[0]])
    _, signed_mm = clouds_speed.centroid(points_mm, surfaces, {})[3]
    assert (signed_mm < 0).tolist() == [True, True, False]


@pytest.mark.slow
def test_the_table_has_a_line_for_every_way(tmp_path: Path) -> None:
    clouds_speed.main(str(tmp_path), size=32, threads=1, points=300)
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines[4:]] == ["ours", "open3d", "trimesh", "centroid"]
    assert "100.0000%" in lines[4]
