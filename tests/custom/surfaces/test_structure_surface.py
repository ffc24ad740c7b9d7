"""The surface: half-way between voxels, smooth, every voxel on its side, nothing thin lost."""

from __future__ import annotations

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.surfaces.structure_surface import STAIRCASE, Surface, surface_of, surfaces_of
from custom.surfaces.surface_smoothing import SAFE_VOXELS, keeping_sides, passband_coefficients, windings, windowed_sinc

from .conftest import ball


def sides(surface: Surface, shape: tuple[int, ...]) -> np.ndarray:
    """How often a surface in voxels winds round each voxel centre, one voxel of border included."""
    wider = tuple(size + 2 for size in shape)
    return windings(surface.vertices_mm + 1, surface.faces, wider)[1:-1, 1:-1, 1:-1]


def test_one_voxel_is_an_octahedron_that_keeps_its_volume_within_its_voxel() -> None:
    mask = np.zeros((5, 7, 11), dtype=bool)
    mask[2, 3, 4] = True
    plain = surface_of(mask, np.eye(4), STAIRCASE)
    assert len(plain.vertices_mm) == 6 and len(plain.faces) == 8
    assert plain.volume_mm3 == pytest.approx(1 / 6)
    assert sorted(map(tuple, plain.vertices_mm - (2, 3, 4))) == sorted(
        tuple(sign * step) for step in np.eye(3) / 2 for sign in (-1, 1)
    )
    assert (sides(surface_of(mask, np.eye(4)), mask.shape) == mask).all()


def test_a_slab_has_its_faces_half_a_voxel_outside_of_its_voxels() -> None:
    mask = np.zeros((11, 61, 67), dtype=bool)
    mask[2:9] = True
    surface = surface_of(mask, np.diag([2.0, 1.0, 1.0, 1.0]))
    middle = (np.abs(surface.vertices_mm[:, 1] - 30) < 5) & (np.abs(surface.vertices_mm[:, 2] - 33) < 5)
    found_mm = surface.vertices_mm[middle, 0]
    assert middle.sum() > 100 and abs(found_mm.mean() - 10) < 0.01
    assert np.abs(np.abs(found_mm - 10) - 7).max() < 0.05


def test_at_the_border_of_the_grid_the_surface_is_closed_half_a_voxel_beyond() -> None:
    surface = surface_of(np.ones((3, 5, 7), dtype=bool), np.eye(4), STAIRCASE)
    assert surface.vertices_mm.min(axis=0).tolist() == [-0.5, -0.5, -0.5]
    assert surface.vertices_mm.max(axis=0).tolist() == [2.5, 4.5, 6.5]
    assert surface.volume_mm3 > 0.9 * 3 * 5 * 7


def test_an_empty_mask_has_no_surface() -> None:
    with pytest.raises(ValueError, match="empty"):
        surface_of(np.zeros((3, 5, 7), dtype=bool), np.eye(4))


def test_every_voxel_centre_stays_on_its_side_even_in_noise() -> None:
    rng = np.random.default_rng(5)
    for share in (0.05, 0.3, 0.7):
        mask = rng.random((11, 13, 17)) < share
        assert (sides(surface_of(mask, np.eye(4)), mask.shape) == mask).all()


def test_smoothing_alone_would_lose_voxels_and_is_held_back_only_there() -> None:
    mask = np.zeros((9, 11, 31), dtype=bool)
    mask[4, 5, 3:28] = True  # a thread one voxel wide
    mask[2:7, 3:8, 10:15] = True
    plain = surface_of(np.pad(mask, 1), np.eye(4), STAIRCASE)
    moved = windowed_sinc(plain.vertices_mm, plain.faces, 0.01)
    assert (windings(moved, plain.faces, (11, 13, 33)) != np.pad(mask, 1)).any()
    kept = keeping_sides(plain.vertices_mm, moved, plain.faces, np.pad(mask, 1))
    assert (windings(kept, plain.faces, (11, 13, 33)) == np.pad(mask, 1)).all()
    far = np.linalg.norm(kept - plain.vertices_mm, axis=1)
    assert far.max() > SAFE_VOXELS + 0.01


def test_the_surface_is_closed_and_looks_outwards_in_a_mirrored_frame_too() -> None:
    mask = ball((23, 29, 31), (1, 1, 1), 9.0)
    for mirror in (1.0, -1.0):
        affine = np.diag([mirror * 0.5, 2.0, 1.0, 1.0])
        affine[:3, 3] = (5, -7, 11)
        surface = surface_of(mask, affine)
        assert surface.volume_mm3 == pytest.approx(mask.sum(), rel=0.01)
        middle = affine[:3, :3] @ (np.asarray(mask.shape) - 1) / 2 + affine[:3, 3]
        outwards = ((surface.vertices_mm[surface.faces].mean(axis=1) - middle) * surface.normals).sum(axis=1)
        assert (outwards > 0).all()
        edges = np.concatenate([surface.faces[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
        assert set(map(tuple, edges)) == set(map(tuple, edges[:, ::-1]))


def test_a_smoothed_ball_is_rounder_than_its_staircase_and_as_large() -> None:
    mask = ball((29, 31, 37), (1, 1, 1), 11.0)
    middle = (np.asarray(mask.shape) - 1) / 2

    def off(passband: float) -> float:
        vertices = surface_of(mask, np.eye(4), passband).vertices_mm
        return float(np.abs(np.linalg.norm(vertices - middle, axis=1) - 11.0).mean())

    assert off(10**-1.6) < 0.6 * off(STAIRCASE)
    assert surface_of(mask, np.eye(4)).volume_mm3 == pytest.approx(mask.sum(), rel=0.005)


def test_no_structure_of_a_heart_loses_volume_not_even_the_coronaries(heart: tuple[np.ndarray, np.ndarray]) -> None:
    labels, affine = heart
    surfaces = surfaces_of(labels, affine, PUBLIC_CARDIAC_CT)
    voxel_mm3 = abs(np.linalg.det(affine[:3, :3]))
    assert len(surfaces) == 10
    for index, surface in surfaces.items():
        share = surface.volume_mm3 / ((labels == index).sum() * voxel_mm3)
        assert 0.97 < share < 1.03, (PUBLIC_CARDIAC_CT[index].name, share)


def test_the_filter_passes_what_is_wide_and_stops_what_is_a_step() -> None:
    coefficients = passband_coefficients(10**-1.6, 20)

    def gain(frequency: float) -> float:
        return float(coefficients @ np.cos(np.arange(len(coefficients)) * np.arccos(1 - frequency / 2)))

    assert gain(0.0) == pytest.approx(1, abs=1e-12)
    assert gain(10**-1.6) == pytest.approx(1, abs=2e-3)
    assert max(abs(gain(frequency)) for frequency in np.linspace(0.6, 2, 29)) < 0.01


def test_smoothing_is_the_same_in_every_affine_frame() -> None:
    surface = surface_of(ball((13, 17, 19), (1, 1, 1), 5.0), np.eye(4), STAIRCASE)
    turn = np.asarray([[0.0, -2.0, 0.3], [1.0, 0.0, 0.0], [0.0, 0.5, 3.0]])
    one = windowed_sinc(surface.vertices_mm, surface.faces, 0.05) @ turn.T + 7
    other = windowed_sinc(surface.vertices_mm @ turn.T + 7, surface.faces, 0.05)
    assert np.allclose(one, other)
