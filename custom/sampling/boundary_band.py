"""Points for one structure: part boundary band, part uniform (requirement A1.4)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer, Shaped
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable
from scipy.ndimage import map_coordinates

from ..space import index_to_unit, unit_to_index
from ..volumes.morphology import boundary_band


@dataclass(frozen=True)
class QueryPoints:
    """Where a field is asked, and what it should answer.

    Attributes:
        points_unit: (n, 3), unit cube, (x, y, z).
        occupancy: (n,), 0 outside to 1 inside; between the voxel centres the trilinear value.
    """

    points_unit: Float[np.ndarray, "n 3"]
    occupancy: Float[np.ndarray, "n"]


def bias_ratio(epoch: int, ratios: Sequence[float], milestones: Sequence[int]) -> float:
    """The share of band points in a 1-based ``epoch``: ``ratios[k]`` after ``milestones[k - 1]`` (A1.4's curriculum).

    With ratios (0.5, 0.3, 0.1) and milestones (100, 200): 0.5 up to epoch 100, 0.3 up to 200, then 0.1.
    """
    return float(ratios[sum(epoch > milestone for milestone in milestones)])


def band_index(occupancy: Shaped[np.ndarray, "d h w"], radius: int = 2) -> Integer[np.ndarray, "b"]:
    """Flat positions of the boundary band, dilate minus erode, of the voxels at least half inside; may be empty."""
    inside = occupancy >= (128 if occupancy.dtype == np.uint8 else 0.5)
    return np.flatnonzero(boundary_band(inside, radius)).astype(np.int32)


def sample_points(
    occupancy: Shaped[np.ndarray, "d h w"],
    band: Integer[np.ndarray, "b"],
    count: int,
    ratio: float,
    generator: np.random.Generator,
) -> QueryPoints:
    """``count`` points, a share ``ratio`` of them in the band, the rest uniform in the cube.

    A band point is a band voxel's centre moved by up to half a voxel along each axis, so that the field is asked
    between the centres too. Without a band (an empty structure) all points are uniform.

    Args:
        occupancy: the cube; uint8 counts 255 as 1.
        band: from :func:`band_index`.
        count: number of points.
        ratio: 0 to 1.
        generator: source of randomness.
    """
    shape = occupancy.shape
    in_band = round(count * ratio) if band.size else 0
    centres = np.stack(np.unravel_index(generator.choice(band, in_band), shape), 1) if in_band else np.empty((0, 3))
    near = index_to_unit(centres + generator.uniform(-0.5, 0.5, centres.shape), shape)
    anywhere = generator.uniform(-1, 1, (count - in_band, 3))
    points = np.clip(np.concatenate([near, anywhere]), -1, 1)
    value = map_coordinates(occupancy, unit_to_index(points, shape).T, np.float32, order=1, mode="nearest")
    if occupancy.dtype == np.uint8:
        value = value / 255
    return QueryPoints(points.astype(np.float32), np.asarray(value, np.float32))


class BoundaryBandd(MapTransform):
    """Add ``<key>_band``, the flat positions of the boundary band of an occupancy cube; deterministic, so it is cached.

    Args:
        keys: occupancy cubes [1, d, h, w].
        radius: voxels (A1.4: 2).
    """

    def __init__(self, keys: KeysCollection, radius: int = 2) -> None:
        super().__init__(keys)
        self.radius = radius

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            item[f"{key}_band"] = torch.from_numpy(band_index(np.asarray(item[key][0]), self.radius))
        return item


class RandBandPointsd(MapTransform, Randomizable):
    """Replace an occupancy cube by points to train on: ``image`` [3, n] (unit x, y, z) and ``label`` [1, n] (0 to 1).

    The draw depends on the seed, the epoch and the case alone, never on what was drawn before: a resumed run, another
    number of workers or another number of processes sees the same points.

    Args:
        keys: the one key of the occupancy cube; its band stands in ``<key>_band``.
        points: points per case.
        ratios: shares of band points, one per phase of the curriculum.
        milestones: last epoch of each phase but the last.
        seed: of the run.
    """

    def __init__(
        self,
        keys: KeysCollection,
        points: int,
        ratios: Sequence[float] = (0.5, 0.3, 0.1),
        milestones: Sequence[int] = (100, 200),
        seed: int = 0,
    ) -> None:
        super().__init__(keys)
        self.points = points
        self.ratios, self.milestones = tuple(ratios), tuple(milestones)
        self.seed, self.epoch = seed, 1

    @property
    def ratio(self) -> float:
        """The share of band points in the present epoch."""
        return bias_ratio(self.epoch, self.ratios, self.milestones)

    def set_epoch(self, epoch: int) -> None:
        """Tell the 1-based epoch; to be called before each."""
        self.epoch = epoch

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        generator = np.random.default_rng((self.seed, self.epoch, int(item["index"])))
        for key in self.key_iterator(item):
            cube, band = np.asarray(item.pop(key))[0], np.asarray(item.pop(f"{key}_band"))
            drawn = sample_points(cube, band, self.points, self.ratio, generator)
            item["image"] = torch.from_numpy(drawn.points_unit.T.copy())
            item["label"] = torch.from_numpy(drawn.occupancy)[None]
            item.pop(f"{key}_frame", None)
        return item
