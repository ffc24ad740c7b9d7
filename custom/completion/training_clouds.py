"""The clouds a run trains on, made on first use; and what is seen of a heart that is to be completed (B1, B3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist
from jaxtyping import Float, UInt8
from tqdm import tqdm

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable
from ..data.label_maps import read_label_map
from ..errors import InputError
from ..fingerprints import digest_of
from ..output_record import writing_as
from ..surfaces.cloud_frame import SCALE_MM, frame_centre_mm, grid_centre_mm
from ..surfaces.cloud_quality import examine
from ..surfaces.make_cloud import case_seed, make_cloud
from ..surfaces.point_cloud import Cloud
from ..surfaces.quality_gate import CLOUDS, LABEL_DIGEST, MADE_OF, entry, read_gate, require_passed, write_gate
from ..surfaces.structure_surface import surfaces_of
from ..surfaces.surface_sampling import Counts, on_surfaces
from .data_set_frame import Extents, Scale

SUFFIX = ".npz"

FRAMES_READ = 3
"""Clouds that are read to find the frame of all; each is checked again when it is loaded."""


def with_clouds(
    items: Sequence[dict[str, Any]],
    folder: str | Path,
    label_table: str = PUBLIC_CARDIAC_CT.name,
    points: int = Counts().volume,
    seed: int = 0,
    rank: int = 0,
    scale_mm: float | int = 0,
    networks: Sequence[str | Path] = (),
) -> list[dict[str, Any]]:
    """The items with ``cloud``, the path of the cloud of each.

    An item that comes with one keeps it. For the others it is made, unless there is one of the very label map and
    settings; of several processes the first makes them, and the others wait.

    Args:
        items: with ``label``, a path, and ``case``; perhaps with ``cloud``.
        folder: of the clouds.
        label_table: of the label maps.
        points: in the volume of a cloud that is made, as many near its surfaces, and half as many on them.
        seed: of the points.
        rank: number of this process.
        scale_mm: the frame's unit; 0 for that of the networks or of the clouds that came, or else one by the data. Of
            cases that it does not hold the log says so by name, but nothing is made in a frame that was asked for and
            is too small.
        networks: checkpoints that the run goes on from or begins with: the first that is there decides on the unit.

    Raises:
        InputError: a label map that cannot be read or holds nothing, a folder that cannot be written, a cloud that
            does not pass the gate, or as :func:`custom.completion.data_set_frame.Scale.of`.
    """
    found = [{"cloud": str(Path(folder) / f"{item['case']}{SUFFIX}"), **item} for item in items]
    together = dist.is_available() and dist.is_initialized()
    if rank == 0:
        own = [item for item, given in zip(found, items, strict=True) if "cloud" not in given]
        given = [item for item in items if "cloud" in item]
        require_passed([item["cloud"] for item in given])
        reaches_mm = Extents(Path(folder), label_table).of(own)
        scale = Scale.of(scale_mm, networks, given, reaches_mm)
        settings, gate = _Settings(label_table, points, seed, scale.mm), read_gate(Path(folder))
        due = [item for item in own if not _is_there(item, settings, gate)]
        scale.check(reaches_mm, bool(due))
        with writing_as(CLOUDS):
            _make(due, Path(folder), settings)
        require_passed([item["cloud"] for item in own])
        noted = read_gate(Path(folder))
        scale.check_clouds(
            [item for item in found if item in given or MADE_OF not in noted.get(Path(item["cloud"]).name, {})]
        )
    if together:
        dist.barrier()
    require_passed([item["cloud"] for item in found])
    return found


@dataclass(frozen=True)
class _Settings:
    """What a cloud depends on beside its label map; as in :func:`with_clouds`."""

    label_table: str
    points: int
    seed: int
    scale_mm: float = SCALE_MM

    def noted(self) -> dict[str, Any]:
        """As the gate keeps them; the default scale is left out, as it was before there were others."""
        return {key: value for key, value in asdict(self).items() if (key, value) != ("scale_mm", SCALE_MM)}


def _make(items: Sequence[dict[str, Any]], folder: Path, settings: _Settings) -> None:
    """Make clouds, examine them against their label maps, and tell the gate; what is made stays if a later one fails.

    Raises:
        InputError: as :func:`with_clouds`.
    """
    gate = read_gate(folder)
    counts = Counts(surface=max(1, settings.points // 2), volume=settings.points, near=settings.points)
    table_name = settings.label_table
    try:
        for item in tqdm(items, desc="clouds", unit="case", disable=not items):
            label_digest = digest_of(item["label"])  # as the file is before its voxels are read
            given = read_label_map(item["label"], table_name)
            seed = case_seed(settings.seed, item["case"])
            cloud = make_cloud(given.labels, given.affine, table_name, counts, seed, settings.scale_mm)
            path = Path(item["cloud"])
            cloud.write(path)
            judged = entry(path, examine(cloud, given.labels, given.affine), label_digest)
            gate[path.name] = judged | {MADE_OF: _origin(label_digest, settings)}
    finally:
        if items and folder.is_dir():
            write_gate(folder, gate)


def _is_there(item: dict[str, Any], settings: _Settings, gate: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the cloud is one of this label map and these settings; of one that was made elsewhere the gate need only
    say that it was held against this label map."""
    cloud = Path(item["cloud"])
    if not cloud.is_file():
        return False
    known, label_digest = gate.get(cloud.name, {}), digest_of(item["label"])
    if MADE_OF in known:
        return bool(known[MADE_OF] == _origin(label_digest, settings))
    return bool(known.get(LABEL_DIGEST) == label_digest)


def _origin(label_digest: str, settings: _Settings) -> dict[str, Any]:
    return {"label_digest": label_digest, **settings.noted()}


def frame_of(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The frame of the items' clouds: ``scale_mm``, what is 1 in it, and ``centre_mm``, three numbers if it is one
    place for all cases, and none if it is the middle of each grid.

    Raises:
        InputError: a cloud cannot be read, or two of the first ones have frames of another kind.
    """
    frames = [_frame(Cloud.read(item["cloud"])) for item in items[:FRAMES_READ]]
    for item, frame in zip(items, frames, strict=False):
        if frame != frames[0]:
            found, wanted = f"a frame of {frame}", f"{frames[0]} as of {items[0]['cloud']}"
            raise InputError(item["cloud"], found, wanted, "Make all clouds with the same settings.")
    return frames[0]


def _frame(cloud: Cloud) -> dict[str, Any]:
    in_middle = np.allclose(cloud.centre_mm, grid_centre_mm(cloud.shape, cloud.affine), atol=1e-3)
    return {"scale_mm": cloud.scale_mm, "centre_mm": [] if in_middle else [float(x) for x in cloud.centre_mm]}


def seen_of(
    labels: UInt8[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    label_table: StructureTable,
    scale_mm: float,
    centre_mm: Sequence[float] = (),
    points: int = Counts().surface,
    seed: int = 0,
) -> Cloud:
    """The surfaces of a label map as a cloud without any distances: all that an encoder sees. It may be empty.

    Args:
        labels: the label map.
        affine: its voxel ijk to world mm.
        label_table: of its labels.
        scale_mm: the frame's unit.
        centre_mm: its centre; the middle of the grid if empty.
        points: on all surfaces together.
        seed: of the points.
    """
    surfaces = surfaces_of(labels, affine, label_table)
    none = np.zeros((0, 3), np.float32)
    where, normals, index = none, none, np.zeros(0, np.uint8)
    if surfaces:
        where, normals, index = on_surfaces(surfaces, points, Counts().quota_share, np.random.default_rng(seed))
    no_distances = np.zeros((0, len(label_table)), np.float32)
    i, j, k = labels.shape
    return Cloud(
        surface_points_mm=where.astype(np.float32),
        surface_normals=normals.astype(np.float32),
        surface_class=index,
        volume_points_mm=none,
        volume_sdf_mm=no_distances,
        near_points_mm=none,
        near_sdf_mm=no_distances,
        present=np.asarray([structure.index in surfaces for structure in label_table]),
        centre_mm=frame_centre_mm(labels.shape, affine, centre_mm),
        scale_mm=scale_mm,
        affine=np.asarray(affine, np.float64),
        shape=(i, j, k),
        label_table=label_table.name,
    )
