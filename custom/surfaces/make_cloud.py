"""From a label map to its cloud (requirement B1)."""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..errors import InputError
from ..headers import loaded_affine_mm
from .cloud_frame import SCALE_MM, frame_box_mm, frame_centre_mm
from .mesh_distance import signed_distances_mm
from .point_cloud import Cloud, absent_mm
from .structure_surface import surfaces_of
from .surface_sampling import Counts, in_volume, near_surfaces, on_surfaces


def make_cloud(
    labels: UInt8[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name,
    counts: Counts | None = None,
    seed: int | Sequence[int] = 0,
    scale_mm: float = SCALE_MM,
    centre: Sequence[float] = (),
    device: str = "",
    threads: int = 1,
) -> Cloud:
    """The cloud of a label map; any part of a heart will do, one structure at least.

    The same arguments give the same cloud. Points on a structure's surface depend on which others are there, but the
    frame does not.

    Args:
        labels: the label map.
        affine: its voxel ijk to world mm (RAS).
        label_table: the table its labels follow.
        counts: how many points; the default of :class:`~custom.surfaces.surface_sampling.Counts` if left out.
        seed: of the points; :func:`case_seed` gives each case its own.
        scale_mm: the frame's unit.
        centre: the frame's centre, world mm; that of the grid if left out.
        device: where distances are computed: ``cpu``, ``cuda``; empty for a GPU if there is one.
        threads: structures at once, on the CPU.

    Raises:
        InputError: no structure of the table in it; a centre outside of it; warp-lang is not installed; the device is
            not there.
    """
    labels_of, wanted = table(label_table), counts or Counts()
    affine = np.asarray(affine, np.float64)
    surfaces = surfaces_of(labels, affine, labels_of, threads)
    if not surfaces:
        raise InputError("labels", f"no structure of table {labels_of.name!r}", "at least one", "Leave the case out.")
    i, j, k = labels.shape
    centre_mm = frame_centre_mm(labels.shape, affine, centre)
    box_mm = frame_box_mm(labels.shape, affine, centre_mm, scale_mm)
    # One stream each: the number of one kind does not change where the others lie.
    streams = [np.random.default_rng(one) for one in np.random.SeedSequence(seed).spawn(3)]
    surface_mm, normals, index = on_surfaces(surfaces, wanted.surface, wanted.quota_share, streams[0])
    volume_mm = in_volume(box_mm, wanted.volume, labels.shape, affine, streams[1]).astype(np.float32)
    near_mm = near_surfaces(surfaces, wanted, labels.shape, affine, streams[2]).astype(np.float32)
    points_mm = np.concatenate([volume_mm, near_mm])
    sdf_mm = signed_distances_mm(points_mm, labels, affine, surfaces, labels_of, absent_mm(scale_mm), device, threads)
    return Cloud(
        surface_points_mm=surface_mm.astype(np.float32),
        surface_normals=normals.astype(np.float32),
        surface_class=index,
        volume_points_mm=volume_mm,
        volume_sdf_mm=sdf_mm[: len(volume_mm)],
        near_points_mm=near_mm,
        near_sdf_mm=sdf_mm[len(volume_mm) :],
        present=np.asarray([structure.index in surfaces for structure in labels_of]),
        centre_mm=centre_mm,
        scale_mm=float(scale_mm),
        affine=affine,
        shape=(i, j, k),
        label_table=labels_of.name,
    )


def case_seed(seed: int, case: str) -> tuple[int, int]:
    """A seed for one case: other cases, and how many there are, do not change it."""
    return seed, zlib.crc32(case.encode())


class MakeCloudd(MapTransform):
    """:func:`make_cloud` of the label map at each key, replaced by the cloud in its frame (:meth:`Cloud.in_frame`).

    Args:
        keys: label maps as MONAI loads them: [i, j, k] or [1, i, j, k] with the affine in their meta data.
        label_table, counts, seed, scale_mm, centre, device: of :func:`make_cloud`; ``counts`` as a dictionary.
        case_key: where the case's name is, for its seed; a dictionary without it takes the seed alone.

    Raises:
        InputError: as :func:`make_cloud`; a label map of another shape.
    """

    def __init__(
        self,
        keys: KeysCollection,
        label_table: str = PUBLIC_CARDIAC_CT.name,
        counts: Mapping[str, Any] | None = None,
        seed: int = 0,
        scale_mm: float = SCALE_MM,
        centre: Sequence[float] = (),
        device: str = "",
        case_key: str = "case",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.seed, self.case_key = seed, case_key
        self.settings: dict[str, Any] = {"label_table": label_table, "counts": Counts(**(counts or {}))}
        self.settings |= {"scale_mm": scale_mm, "centre": tuple(centre), "device": device}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        made = dict(data)
        seed = case_seed(self.seed, str(made[self.case_key])) if self.case_key in made else (self.seed,)
        for key in self.key_iterator(made):
            volume = np.asarray(made[key])
            labels = volume[0] if volume.ndim == 4 and len(volume) == 1 else volume
            if labels.ndim != 3:
                raise InputError(str(key), f"a shape of {volume.shape}", "[i, j, k] or [1, i, j, k]", "Load one map.")
            cloud = make_cloud(labels.astype(np.uint8), loaded_affine_mm(made[key]), seed=seed, **self.settings)
            made[key] = cloud.in_frame()
        return made
