"""Sample a case for a training step: surface points as input, points with true distances as targets (B2-B5)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from monai.transforms import Randomizable, Transform
from scipy.spatial.transform import Rotation

from .hide_structures import StructureHider


def choose(generator: np.random.Generator, candidates: Int64[np.ndarray, " m"], count: int) -> Int64[np.ndarray, " n"]:
    """``count`` of some positions, none twice unless there are fewer; none of none."""
    if not len(candidates):
        return candidates[:0]
    return np.asarray(generator.choice(candidates, count, replace=len(candidates) < count))


class RandRigidMotion:
    """A small rotation, scaling and shift of the frame; never a reflection, because a heart has a left and a right.

    Args:
        rotation_deg: greatest angle, about any axis through the frame's centre.
        scale: greatest change of size, as a share.
        shift: greatest shift along each axis, in units of the frame.
    """

    def __init__(self, rotation_deg: float | int = 0.0, scale: float | int = 0.0, shift: float | int = 0.0) -> None:
        self.rotation_deg, self.scale, self.shift = float(rotation_deg), float(scale), float(shift)

    def draw(
        self, generator: np.random.Generator
    ) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "3"], float]:
        """A matrix, a shift, and by how much distances grow."""
        axis = generator.normal(size=3)
        angle = np.deg2rad(generator.uniform(-1, 1) * self.rotation_deg)
        size = 1 + float(generator.uniform(-1, 1)) * self.scale
        turned = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
        return size * turned, generator.uniform(-1, 1, 3) * self.shift, size


class RandCompletiond(Randomizable, Transform):
    """Draw the encoder's surface points and the query points of the loss.

    Two masks are kept apart: ``input_present``, the given structures, and ``label_valid``, those in the loss. Points
    for the loss come from all that is labelled, given or not. A draw depends on the seed, the epoch and the case alone.

    Leaves ``image`` [3 + structures, n] (with normals 3 more channels), the points ``volume_points``, ``near_points``
    and ``surface_points`` [3, n], their truths ``volume`` and ``near`` [structures, n] and ``surface_class`` [n],
    ``channels`` [k], both masks [structures], and what else the item holds but the cloud.

    Args:
        hiding: draws the structures that are not given.
        surface_points: for the encoder.
        volume_points, near_points, surface_queries: for the loss.
        eikonal_share: of the volume points, those with an eikonal term: of each labelled structure in turn.
        motion: of the frame; none if left out.
        seed: of the run.
        fixed: the same draw in every epoch, for validation.
        inside_share: of the volume points, drawn from those within labelled structures, as many of each. Most of a
            frame is outside: without them a large chamber could be hollow.
        normals: show the encoder the normals of surface points too.
    """

    def __init__(
        self,
        hiding: StructureHider,
        surface_points: int,
        volume_points: int = 0,
        near_points: int = 0,
        surface_queries: int = 0,
        eikonal_share: float | int = 0.0,
        motion: RandRigidMotion | None = None,
        seed: int = 0,
        fixed: bool = False,
        inside_share: float | int = 0.0,
        normals: bool = False,
    ) -> None:
        self.inside, self.normals = round(float(inside_share) * volume_points), normals
        self.hiding, self.surface_points = hiding, surface_points
        self.volume_points, self.near_points, self.surface_queries = volume_points, near_points, surface_queries
        self.slopes = round(float(eikonal_share) * volume_points)
        self.motion, self.seed, self.fixed, self.epoch = motion or RandRigidMotion(), seed, fixed, 1

    def set_epoch(self, epoch: int) -> None:
        """Tell the 1-based epoch; to be called before each."""
        self.epoch = epoch

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        cloud, valid = item.pop("cloud"), np.asarray(item["label_valid"])
        generator = np.random.default_rng((self.seed, 0 if self.fixed else self.epoch, int(item["index"])))
        shown = self.hiding.draw(generator, valid)
        matrix, shift, size = self.motion.draw(generator)
        own = cloud["surface"][:, 3:].argmax(axis=1)
        rows = choose(generator, np.flatnonzero(shown[own]), self.surface_points)
        item["image"] = torch.from_numpy(image_at(cloud, rows, self.normals, matrix, shift))
        for name, count in (("volume", self.volume_points), ("near", self.near_points)):
            rows = self._inside(generator, cloud["volume_sdf"], valid) if name == "volume" else np.zeros(0, np.int64)
            every = np.arange(len(cloud[f"{name}_points"]))
            rows = generator.permutation(np.concatenate([rows, choose(generator, every, count - len(rows))]))
            item[f"{name}_points"] = torch.from_numpy(_moved(cloud[f"{name}_points"][rows], matrix, shift))
            item[name] = torch.from_numpy((size * cloud[f"{name}_sdf"][rows].T).astype(np.float32))
        rows = self._on_surfaces(generator, own, valid)
        item["surface_points"] = torch.from_numpy(_moved(cloud["surface"][rows, :3], matrix, shift))
        item["surface_class"] = torch.from_numpy(own[rows])
        labelled = np.flatnonzero(valid)
        item["channels"] = torch.from_numpy(labelled[np.arange(self.slopes) % len(labelled)])
        item["label_valid"], item["input_present"] = torch.from_numpy(valid), torch.from_numpy(shown)
        return item

    def _inside(
        self, generator: np.random.Generator, sdf: Float32[np.ndarray, "m c"], valid: np.ndarray
    ) -> Int64[np.ndarray, " q"]:
        """Rows of volume points within labelled structures, as many of each that has any."""
        if not self.inside:
            return np.zeros(0, np.int64)
        deepest = np.where(sdf.min(axis=1) < 0, sdf.argmin(axis=1), -1)
        labelled = np.flatnonzero(valid)
        each = self.inside // len(labelled)
        return np.concatenate([choose(generator, np.flatnonzero(deepest == one), each) for one in labelled])

    def _on_surfaces(
        self, generator: np.random.Generator, own: Int64[np.ndarray, " n"], valid: np.ndarray
    ) -> Int64[np.ndarray, " q"]:
        """Rows of surface points, as many of each labelled structure, the last ones filled up from all of them."""
        labelled = [np.flatnonzero(own == channel) for channel in np.flatnonzero(valid)]
        each = self.surface_queries // len(labelled)
        rows = [choose(generator, candidates, each) for candidates in labelled]
        rest = self.surface_queries - sum(map(len, rows))
        return np.concatenate([*rows, choose(generator, np.flatnonzero(valid[own]), rest)])


def image_at(
    cloud: Mapping[str, Any],
    rows: Int64[np.ndarray, " n"],
    normals: bool,
    matrix: np.ndarray | None = None,
    shift: np.ndarray | None = None,
) -> Float32[np.ndarray, "channels n"]:
    """Some surface points as the network takes them: x, y, z, one-hot structure, and the normals if requested.

    Args:
        cloud: arrays of :meth:`custom.surfaces.point_cloud.Cloud.in_frame`.
        rows: of the surface points.
        normals: whether to add their unit normals.
        matrix: a rotation and scaling [3, 3] to move them by; not moved if left out.
        shift: [3], likewise.
    """
    matrix, shift = np.eye(3) if matrix is None else matrix, np.zeros(3) if shift is None else shift
    seen = cloud["surface"][rows]
    parts = [_moved(seen[:, :3], matrix, shift), seen[:, 3:].T]
    if normals:
        parts.append(_moved(cloud["normals"][rows], matrix / np.cbrt(np.linalg.det(matrix)), np.zeros(3)))
    return np.ascontiguousarray(np.concatenate(parts))


def _moved(points: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Points [n, 3] as [3, n], moved."""
    return np.ascontiguousarray((points @ matrix.T + shift).T.astype(np.float32))
