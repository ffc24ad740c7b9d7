"""How the accuracy benchmark of clouds measures, by hand and on its smallest case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import clouds_accuracy
from custom.surfaces.structure_surface import Surface


def tetrahedron() -> Surface:
    vertices_mm = np.asarray([[0, 0, 0], [6, 0, 0], [0, 6, 0], [0, 0, 6]], np.float64)
    faces = np.asarray([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    return Surface(vertices_mm, faces)


def test_triangles_are_turned_outwards_and_the_distance_is_negative_inside() -> None:
    solid = tetrahedron()
    assert solid.volume_mm3 == pytest.approx(36)
    turned = clouds_accuracy.outwards(solid.vertices_mm, solid.faces[:, ::-1])
    assert Surface(solid.vertices_mm, turned).volume_mm3 == pytest.approx(36)
    points_mm = np.asarray([[1.0, 1.5, 2.0], [-2.0, 1.0, 1.0]])
    assert clouds_accuracy.exact(solid)(points_mm) == pytest.approx([-1 / np.sqrt(3) * 1.5, 2.0], abs=1e-3)


def test_the_distance_transform_is_half_a_voxel_off_the_last_voxel() -> None:
    mask = np.zeros((11, 5, 7), bool)
    mask[:4] = True
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    points_mm = np.asarray([[6.0, 4, 6], [7.0, 4, 6], [8.0, 4, 6], [12.0, 4, 6]])  # voxels 3, 3.5, 4 and 6
    assert clouds_accuracy.transform(mask, affine)(points_mm) == pytest.approx([-1.0, 0.0, 1.0, 5.0])


@pytest.mark.slow
def test_the_smallest_form_ends_with_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clouds_accuracy, "FINE", 72)
    monkeypatch.setattr(clouds_accuracy, "POINTS", 100)
    clouds_accuracy.main(str(tmp_path), cases=1, size=48)
    rows = [line.split("|")[1:-1] for line in (tmp_path / "table.md").read_text().splitlines()[2:]]
    head, mean = [cell.strip() for cell in rows[0]], [cell.strip() for cell in rows[-1]]
    assert head[:3] == ["structure", "error EDT", "error staircase"] and len(rows) == 2 + 10 + 1
    assert 0 < float(mean[head.index("error ours")]) < 0.5
