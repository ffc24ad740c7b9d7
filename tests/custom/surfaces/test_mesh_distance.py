"""Signed distances: the sign is the label's, the magnitude exact, the slope 1."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.errors import InputError
from custom.surfaces.mesh_distance import half_diagonal_mm, labels_at, signed_distances_mm
from custom.surfaces.structure_surface import surfaces_of

from .conftest import ball

RADIUS_MM, SPACING_MM = 17.0, (0.7, 1.3, 1.1)


def distances(points_mm: np.ndarray, labels: np.ndarray, affine: np.ndarray, **settings: Any) -> np.ndarray:
    surfaces = surfaces_of(labels, affine, PUBLIC_CARDIAC_CT)
    return signed_distances_mm(points_mm, labels, affine, surfaces, PUBLIC_CARDIAC_CT, 346.0, **settings)


@pytest.fixture(scope="module")
def sphere() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A ball of LV, radius 17 mm, in a turned, mirrored grid of lopsided voxels; and its middle in world mm."""
    labels = 3 * ball((61, 37, 43), SPACING_MM, RADIUS_MM).astype(np.uint8)
    turn = np.asarray([[0.0, -1.0, 0.0], [0.8, 0.0, 0.6], [0.6, 0.0, -0.8]])
    assert np.linalg.det(turn) == pytest.approx(-1)
    affine = np.eye(4)
    affine[:3, :3] = turn * SPACING_MM
    affine[:3, 3] = (101, -53, 29)
    return labels, affine, affine[:3, :3] @ (30, 18, 21) + affine[:3, 3]


def test_of_a_sphere_the_distance_is_the_way_to_its_shell_in_mm(
    sphere: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    labels, affine, middle_mm = sphere
    rng = np.random.default_rng(1)
    ways = rng.normal(size=(4001, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    true_mm = rng.uniform(-16, 40, (4001, 1))
    found = distances(middle_mm + ways * (RADIUS_MM + true_mm), labels, affine)[:, 2]
    error = found - true_mm[:, 0]
    assert abs(error.mean()) < 0.03 and np.abs(error).max() < 0.5
    assert (np.sign(found) == np.sign(true_mm[:, 0]))[np.abs(true_mm[:, 0]) > 0.5].all()
    slope = np.polyfit(true_mm[:, 0], found, 1)
    assert slope == pytest.approx([1, 0], abs=0.05)


def test_the_slope_across_the_surface_is_1_without_a_jump(sphere: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    labels, affine, middle_mm = sphere
    ways = np.random.default_rng(2).normal(size=(503, 1, 3))
    ways /= np.linalg.norm(ways, axis=-1, keepdims=True)
    along_mm = np.linspace(-3, 3, 61)
    found = distances((middle_mm + ways * (RADIUS_MM + along_mm[:, None])).reshape(-1, 3), labels, affine)[:, 2]
    steps = np.diff(found.reshape(503, 61), axis=1) / 0.1
    assert steps.max() < 1.001
    assert steps.mean() == pytest.approx(1, abs=0.02)
    assert np.median(steps) == pytest.approx(1, abs=0.02)


def test_at_every_voxel_centre_the_sign_is_the_label_of_every_structure(heart: tuple[np.ndarray, np.ndarray]) -> None:
    labels, affine = heart
    near = np.argwhere(labels > 0)[::7]
    near = np.concatenate([near, np.random.default_rng(3).integers(0, labels.shape, (4001, 3))])
    found = distances(near @ affine[:3, :3].T + affine[:3, 3], labels, affine)
    own = labels[tuple(near.T)][:, None] == np.asarray(PUBLIC_CARDIAC_CT.indices)
    assert own.any(axis=0).all()
    assert ((found < 0) == own).all()


def test_a_thread_one_voxel_wide_in_noise_has_the_signs_of_its_voxels() -> None:
    rng = np.random.default_rng(4)
    labels = (9 * (rng.random((13, 17, 19)) < 0.2)).astype(np.uint8)
    labels[6, 8, 2:17] = 9
    places = np.argwhere(np.ones(labels.shape, dtype=bool))
    assert ((distances(places.astype(float), labels, np.eye(4))[:, 8] < 0) == (labels.ravel() == 9)).all()


def test_the_magnitude_is_that_of_a_slow_search_through_many_points(heart: tuple[np.ndarray, np.ndarray]) -> None:
    labels, affine = heart
    surface = surfaces_of(labels, affine, PUBLIC_CARDIAC_CT)[8]
    corners = surface.vertices_mm[surface.faces]
    weights = np.asarray([(a, b, 24 - a - b) for a in range(25) for b in range(25 - a)]) / 24
    dense_mm = np.einsum("wk,mkx->mwx", weights, corners).reshape(-1, 3)
    points_mm = corners.mean(axis=(0, 1)) + np.random.default_rng(5).normal(size=(211, 3)) * 20
    slow = cKDTree(dense_mm).query(points_mm)[0]
    found = np.abs(distances(points_mm, labels, affine)[:, 7])
    assert (found <= slow + 1e-4).all() and (slow - found).max() < 0.05


def test_an_absent_structure_is_as_far_as_told_and_a_border_is_an_end() -> None:
    labels = np.full((17, 19, 23), 6, np.uint8)
    found = distances(np.asarray([(8.0, 9, 11), (-1.5, 9, 11), (-9.5, 9, 11)]), labels, np.eye(4))
    assert (np.delete(found, 5, axis=1) == 346.0).all()
    assert found[:, 5] == pytest.approx([-8.5, 1, 9], abs=0.15)


def test_the_order_of_points_and_the_number_of_threads_change_nothing(heart: tuple[np.ndarray, np.ndarray]) -> None:
    labels, affine = heart
    points_mm = np.random.default_rng(6).uniform(-72, 72, (997, 3))
    found = distances(points_mm, labels, affine)
    assert np.array_equal(distances(points_mm[::-1], labels, affine, threads=3), found[::-1])
    assert distances(points_mm[:0], labels, affine).shape == (0, 10)


FIRST_IN_TWO_THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
import numpy as np
from custom.surfaces.mesh_query import MeshQuery
sys.setswitchinterval(1e-6)
both = Barrier(2)
def ask(number):
    both.wait()
    query = MeshQuery(np.eye(3), np.array([[0, 1, 2]], np.int32), "cpu")
    both.wait()
    return query.ask(np.zeros((1, 3)))[0][0]
with ThreadPoolExecutor(2) as pool:
    print(list(map(float, pool.map(ask, range(2)))))
"""


def test_threads_may_be_the_first_to_ask() -> None:
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", FIRST_IN_TWO_THREADS], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        assert json.loads(done.stdout) == pytest.approx([3**-0.5] * 2)


def test_a_point_has_the_label_of_the_voxel_it_lies_in_and_0_outside() -> None:
    labels = np.arange(1, 106, dtype=np.uint8).reshape(3, 5, 7)
    affine = np.diag([-2.0, 1.0, 1.0, 1.0])
    points = np.asarray([(0.0, 0, 0), (-3.9, 4.4, 6.4), (1.1, 0, 0), (-4.0, 4.6, 6.0)])
    assert labels_at(points, labels, affine).tolist() == [1, 105, 0, 0]


def test_half_a_diagonal_is_the_longest_way_to_a_corner() -> None:
    assert half_diagonal_mm(np.diag([2.0, 4.0, 4.0, 1.0])) == pytest.approx(3.0)


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "warp":
            raise ModuleNotFoundError("No module named 'warp'", name="warp")
        return real(name, *rest, **named)

    monkeypatch.delitem(sys.modules, "custom.surfaces.mesh_query", raising=False)
    monkeypatch.delattr("custom.surfaces.mesh_query", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'corfield\[completion\]'"):
        distances(np.zeros((1, 3)), np.full((3, 5, 7), 6, np.uint8), np.eye(4))


def test_an_unknown_device_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(InputError, match="'tpu'; wanted one of cpu"):
        distances(np.zeros((1, 3)), np.full((3, 5, 7), 6, np.uint8), np.eye(4), device="tpu")


@pytest.mark.gpu
def test_a_gpu_finds_the_same_distances(heart: tuple[np.ndarray, np.ndarray]) -> None:
    labels, affine = heart
    points_mm = np.random.default_rng(7).uniform(-72, 72, (997, 3))
    on_cpu, on_gpu = (distances(points_mm, labels, affine, device=device) for device in ("cpu", "cuda"))
    assert np.allclose(on_cpu, on_gpu, atol=1e-3) and (np.sign(on_cpu) == np.sign(on_gpu)).all()
