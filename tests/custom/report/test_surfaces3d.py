"""Surfaces keep place, volume and the thinnest vessel within a budget of triangles, and survive their packing."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.report.surfaces3d import MARK_TRIANGLES, TRIANGLES, Mesh, case_meshes, packed

AFFINE = np.array([[1.5, 0.0, 0.0, -20.0], [0.0, 2.0, 0.0, 30.0], [0.0, 0.0, 1.0, 5.0], [0.0, 0.0, 0.0, 1.0]])
MIRRORED = AFFINE * np.array([-1.0, 1.0, 1.0, 1.0])


def chamber() -> np.ndarray:
    labels = np.zeros((29, 31, 37), dtype=np.uint8)
    labels[4:24, 5:25, 6:31] = 3
    return labels


def volume_mm3(mesh: Mesh) -> float:
    """Positive if the triangles run counterclockwise seen from outside."""
    a, b, c = (mesh.vertices_mm[mesh.faces[:, corner]] for corner in range(3))
    return float(np.einsum("fx,fx->f", a, np.cross(b, c)).sum() / 6)


def faces_of(meshes: list[Mesh], version: str) -> int:
    return sum(len(mesh.faces) for mesh in meshes if mesh.version in (version, "both"))


@pytest.mark.parametrize("affine", [AFFINE, MIRRORED])
def test_a_surface_lies_in_the_world_and_its_outside_is_outside(affine: np.ndarray) -> None:
    (mesh,) = case_meshes(chamber(), chamber(), affine, PUBLIC_CARDIAC_CT)
    assert (mesh.name, mesh.version) == ("LV", "both")
    assert volume_mm3(mesh) == pytest.approx(20 * 20 * 25 * 3.0, rel=0.03)
    middle = affine[:3, :3] @ [13.5, 14.5, 18.0] + affine[:3, 3]
    np.testing.assert_allclose(mesh.vertices_mm.mean(axis=0), middle, atol=0.3)


def test_a_surface_at_the_grids_border_is_closed() -> None:
    labels = np.full((5, 7, 11), 2, dtype=np.uint8)
    (mesh,) = case_meshes(labels, labels, AFFINE, PUBLIC_CARDIAC_CT)
    edges = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert set(np.unique(edges, axis=0, return_counts=True)[1]) == {2}


def test_a_vessel_of_one_voxel_is_not_smoothed_away_nor_on_a_fine_grid() -> None:
    labels = np.zeros((13, 17, 61), dtype=np.uint8)
    labels[6, 8, 5:55] = 9
    for affine in (AFFINE, AFFINE @ np.diag([0.25, 0.25, 0.25, 1.0])):
        (mesh,) = case_meshes(labels, labels, affine, PUBLIC_CARDIAC_CT)
        reach_mm = np.ptp(mesh.vertices_mm, axis=0) / np.diag(affine)[:3]
        assert reach_mm[2] == pytest.approx(50, abs=1.5)
        assert reach_mm[0] > 0.3


def test_a_coarse_step_on_a_fine_grid_keeps_the_place() -> None:
    fine = chamber().repeat(3, 0).repeat(3, 1).repeat(3, 2)
    affine = AFFINE @ np.diag([1 / 6, 1 / 6, 1 / 6, 1.0])
    (mesh,) = case_meshes(fine, fine, affine, PUBLIC_CARDIAC_CT)
    middle = affine[:3, :3] @ [41.5, 44.5, 55.0] + affine[:3, 3]
    np.testing.assert_allclose(mesh.vertices_mm.mean(axis=0), middle, atol=0.3)


def test_a_single_voxel_has_a_surface_wherever_it_lies_on_a_fine_grid() -> None:
    for place in ((8, 9, 10), (9, 10, 11)):
        labels = np.zeros((17, 19, 23), dtype=np.uint8)
        labels[place] = 2
        (mesh,) = case_meshes(labels, labels, np.diag([0.3, 0.3, 0.3, 1.0]), PUBLIC_CARDIAC_CT, truth=labels)[:1]
        assert (mesh.name, len(mesh.faces) > 0) == ("LA", True)
        np.testing.assert_allclose(mesh.vertices_mm.mean(axis=0), 0.3 * np.asarray(place), atol=0.5)


def test_only_what_changed_is_there_twice_and_what_is_absent_not_at_all() -> None:
    before, after = chamber(), chamber()
    before[10, 2, 3:20] = 9
    after[8:12, 10:14, 12:16] = 2
    found = {(mesh.name, mesh.version) for mesh in case_meshes(before, after, AFFINE, PUBLIC_CARDIAC_CT) if mesh.name}
    assert found == {("LV", "before"), ("LV", "after"), ("Coronary", "before"), ("LA", "after")}
    nothing = np.zeros_like(before)
    assert case_meshes(nothing, nothing, AFFINE, PUBLIC_CARDIAC_CT) == []
    assert packed([])["parts"] == []


def test_a_floating_piece_is_marked_and_a_surface_that_shifts_by_a_voxel_is_not() -> None:
    before, after = chamber(), chamber()
    before[24, 5:25, 6:31] = 3  # a voxel more along one side
    assert [mesh.version for mesh in case_meshes(before, after, AFFINE, PUBLIC_CARDIAC_CT)] == ["before", "after"]
    before[26:29, 27:31, 2:7] = 3
    after[4:10, 26:30, 6:31] = 3
    marks = {mesh.version: mesh for mesh in case_meshes(before, after, AFFINE, PUBLIC_CARDIAC_CT) if not mesh.name}
    assert set(marks) == {"removed", "added"}
    low, high = (marks["removed"].vertices_mm - AFFINE[:3, 3]).min(axis=0), marks["removed"].vertices_mm.max(axis=0)
    assert (low / np.diag(AFFINE)[:3] >= np.array([25.2, 26.2, 1.2])).all() and high[2] < 5.0 + 7
    assert volume_mm3(marks["added"]) == pytest.approx(6 * 4 * 25 * 3.0, rel=0.2)


def test_the_budget_holds_for_noise() -> None:
    noise = np.random.default_rng(7)
    before = noise.integers(1, 11, (41, 43, 47)).astype(np.uint8)
    before[noise.random(before.shape) < 0.8] = 0
    meshes = case_meshes(before, chamber_of(before.shape), AFFINE, PUBLIC_CARDIAC_CT)
    assert faces_of(meshes, "before") <= 1.05 * TRIANGLES
    assert faces_of(meshes, "removed") <= 1.05 * MARK_TRIANGLES
    assert len(packed(meshes)["data"]) < 700_000


def chamber_of(shape: tuple[int, ...]) -> np.ndarray:
    labels = np.zeros(shape, dtype=np.uint8)
    labels[10:40, 10:40, 10:40] = 3
    return labels


def unpacked(scene: dict[str, Any]) -> list[tuple[np.ndarray, np.ndarray]]:
    """What the page does, written plainly."""
    data = np.frombuffer(gzip.decompress(base64.b64decode(scene["data"])), np.uint8)
    low, high = data.reshape(2, -1).astype(int)
    numbers = list(low + 256 * high)[::-1]
    meshes = []
    for part in scene["parts"]:
        steps = np.cumsum([numbers.pop() for _ in range(3 * part["vertices"])]) % 65536
        first, second, third = ([numbers.pop() for _ in range(part["faces"])] for _ in range(3))
        first = np.cumsum(first) % 65536
        faces = np.stack([first, (first + second) % 65536, (first + third) % 65536], axis=1)
        meshes.append((steps.reshape(3, -1).T * scene["step_mm"] + scene["low_mm"], faces))
    assert numbers == []
    return meshes


def test_packed_meshes_come_back_to_a_hundredth_of_a_millimetre() -> None:
    before, after = chamber(), chamber()
    after[8:12, 10:14, 12:16] = 2
    meshes = case_meshes(before, after, AFFINE, PUBLIC_CARDIAC_CT)
    scene = packed(meshes)
    assert json.loads(json.dumps(scene)) == scene
    back = unpacked(scene)
    assert [mesh.version for mesh in meshes] == ["after", "before", "after", "renamed"]
    assert len(back) == 4
    for mesh, (vertices_mm, faces) in zip(meshes, back, strict=True):
        np.testing.assert_allclose(vertices_mm, mesh.vertices_mm, atol=0.0051)
        turned = {tuple(np.roll(face, -face.argmin())) for face in mesh.faces}
        assert {tuple(face) for face in faces} == turned
    assert packed(case_meshes(before, after, AFFINE, PUBLIC_CARDIAC_CT)) == scene
