"""Surfaces in world mm that run where the decision does, closed and facing outwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.errors import InputError
from custom.near.heart_meshes import margins, mesh_of, write_mesh
from custom.rules.priority_decision import PriorityDecision
from custom.space import Frame

SHAPE = (19, 23, 29)
LV, LA = (PUBLIC_CARDIAC_CT[name].index for name in ("LV", "LA"))
GRID = np.array([[2.0, 0, 0, -11.0], [0, 1.5, 0, 7.0], [0, 0, 1.0, 40.0], [0, 0, 0, 1.0]])
MIRRORED = GRID @ np.diag([-1.0, 1, 1, 1])


def ball(centre: tuple[int, int, int], radius_mm: float) -> np.ndarray:
    """Probability that falls linearly over 8 mm through one half at the radius."""
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    distance_mm = np.linalg.norm((grid - centre) * [2.0, 1.5, 1.0], axis=-1)
    return np.clip(0.5 - (distance_mm - radius_mm) / 8, 0, 1).astype(np.float32)


def decided(**balls: np.ndarray) -> tuple[np.ndarray, np.ndarray, PriorityDecision]:
    probability = np.zeros((10, *SHAPE), np.float32)
    for name, one in balls.items():
        probability[PUBLIC_CARDIAC_CT.names.index(name)] = one
    decision = PriorityDecision()
    return decision(torch.from_numpy(probability)[None])[0, 0].numpy(), probability, decision


def volume_mm3(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Signed: positive if the faces look outwards (the divergence theorem)."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def edges_seen_once(faces: np.ndarray) -> int:
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return int((np.unique(edges, axis=0, return_counts=True)[1] != 2).sum())


@pytest.mark.parametrize("affine", [GRID, MIRRORED], ids=["right-handed", "left-handed"])
def test_a_balls_surface_lies_at_its_radius_in_the_world_and_faces_outwards(affine: np.ndarray) -> None:
    labels, probability, decision = decided(LV=ball((9, 11, 14), 10.0))
    canvas = Frame(affine, (40, 41, 43), (3, 5, 7), (21, 27, 35))
    vertices, faces = mesh_of(margins(labels, probability, decision, LV), canvas)
    centre = affine[:3, :3] @ [12, 16, 21] + affine[:3, 3]
    np.testing.assert_allclose(np.linalg.norm(vertices - centre, axis=1), 10.0, atol=0.15)
    assert volume_mm3(vertices, faces) == pytest.approx(4 / 3 * np.pi * 1000, rel=0.03)
    assert edges_seen_once(faces) == 0


def test_where_two_structures_meet_the_one_of_lower_priority_ends() -> None:
    """LA comes before LV: LV's surface bounds what is left of it, and the labels' volume agrees."""
    labels, probability, decision = decided(LV=ball((9, 11, 14), 10.0), LA=ball((9, 11, 22), 7.0))
    canvas = Frame(GRID, SHAPE, (0, 0, 0), tuple(size - 1 for size in SHAPE))  # type: ignore[arg-type]
    for index in (LV, LA):
        margin = margins(labels, probability, decision, index)
        assert ((margin > 0) == (labels == index)).all()
        vertices, faces = mesh_of(margin, canvas)
        assert volume_mm3(vertices, faces) == pytest.approx(3.0 * (labels == index).sum(), rel=0.08)
        assert edges_seen_once(faces) == 0


def test_a_structure_cut_by_the_box_is_closed_at_its_edge() -> None:
    labels, probability, decision = decided(LV=ball((0, 0, 0), 9.0))
    canvas = Frame(GRID, SHAPE, (0, 0, 0), tuple(size - 1 for size in SHAPE))  # type: ignore[arg-type]
    _, faces = mesh_of(margins(labels, probability, decision, LV), canvas)
    assert edges_seen_once(faces) == 0


def test_one_voxel_is_a_closed_surface_around_it() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[3, 4, 5] = LV
    margin = margins(labels, np.zeros((10, *SHAPE), np.float32), PriorityDecision(), LV)
    canvas = Frame(np.eye(4), SHAPE, (0, 0, 0), tuple(size - 1 for size in SHAPE))  # type: ignore[arg-type]
    vertices, faces = mesh_of(margin, canvas)
    assert np.abs(vertices - [3, 4, 5]).max() < 1
    assert edges_seen_once(faces) == 0 and volume_mm3(vertices, faces) > 0


TETRAHEDRON = (
    np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]]),
    np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32),
)


def test_a_ply_file_holds_the_vertices_the_colour_and_the_faces(tmp_path: Path) -> None:
    vertices, faces = TETRAHEDRON
    write_mesh(tmp_path / "a" / "LV.ply", vertices, faces, (10, 20, 30))
    content = (tmp_path / "a" / "LV.ply").read_bytes()
    header, body = content.split(b"end_header\n")
    assert header.startswith(b"ply\nformat binary_little_endian 1.0\n")
    assert b"element vertex 4\n" in header and b"element face 4\n" in header
    points = np.frombuffer(body[: 4 * 15], np.dtype([("at", "<f4", 3), ("color", "u1", 3)]))
    np.testing.assert_array_equal(points["at"], vertices)
    assert (points["color"] == [10, 20, 30]).all()
    found = np.frombuffer(body[4 * 15 :], np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    assert (found["count"] == 3).all() and np.array_equal(found["corners"], faces)


def test_an_stl_file_holds_facets_and_their_outward_normals(tmp_path: Path) -> None:
    vertices, faces = TETRAHEDRON
    write_mesh(tmp_path / "LV.stl", vertices, faces, (10, 20, 30))
    content = (tmp_path / "LV.stl").read_bytes()
    assert len(content) == 84 + 4 * 50 and np.frombuffer(content[80:84], "<u4")[0] == 4
    facets = np.frombuffer(content[84:], np.dtype([("normal", "<f4", 3), ("at", "<f4", (3, 3)), ("nothing", "<u2")]))
    np.testing.assert_array_equal(facets["at"], vertices[faces])
    np.testing.assert_allclose(facets["normal"][0], [0, 0, -1], atol=1e-6)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="a place that cannot be written"):
        write_mesh(tmp_path / "taken" / "LV.ply", *TETRAHEDRON, (0, 0, 0))
