"""Label maps that are worked by hand, and one small whole heart."""

from __future__ import annotations

import numpy as np
import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.phantoms.phantom_heart import make_heart
from custom.surfaces.make_cloud import make_cloud
from custom.surfaces.point_cloud import Cloud
from custom.surfaces.surface_sampling import Counts

FEW = Counts(surface=4000, volume=3000, near=5000)


def ball(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    """The voxels whose centres lie in a ball round the middle of the grid."""
    places = np.stack(np.indices(shape), axis=-1) - (np.asarray(shape) - 1) / 2
    return np.linalg.norm(places * spacing_mm, axis=-1) < radius_mm


@pytest.fixture(scope="session")
def heart() -> tuple[np.ndarray, np.ndarray]:
    return make_heart(7, 64)


@pytest.fixture(scope="session")
def heart_cloud(heart: tuple[np.ndarray, np.ndarray]) -> Cloud:
    labels, affine = heart
    assert set(np.unique(labels)) == {0, *PUBLIC_CARDIAC_CT.indices}
    return make_cloud(labels, affine, counts=FEW, seed=3)
