"""Points for a whole heart: a set number in and around every structure, part in the boundary band, part anywhere
(A3.3)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer, UInt8
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable

from ..anatomy import PUBLIC_CARDIAC_CT, table
from ..space import index_to_unit
from ..volumes.morphology import dilate, erode, foreground_box

MOST_KEPT = 400_000
"""Voxels kept of one structure, or of the band: a large heart's draw needs no more of them."""


@dataclass(frozen=True)
class HeartPoints:
    """Where a whole-heart field is asked, and what each head should answer.

    Attributes:
        points_unit: (n, 3), unit cube, (x, y, z).
        occupancy: (structures, n), 0 to 1: trilinear between voxel centres; at a centre 1 for its label, 0 for every
            other (A3.1).
    """

    points_unit: Float[np.ndarray, "n 3"]
    occupancy: Float[np.ndarray, "c n"]


def places_of(
    labels: UInt8[np.ndarray, "d h w"], indices: Sequence[int], radius: int, generator: np.random.Generator
) -> tuple[Integer[np.ndarray, " m"], Integer[np.ndarray, " starts"]]:
    """Flat positions of every structure's voxels, then of every structure's shell, and last of the boundary band of all
    structures, end to end.

    The shell is what lies around a structure, up to half a voxel further out than the band: with radius 1 the voxels
    that share a face or an edge with it.

    Returns:
        The positions, and where each group starts, with the end behind the last: group g lies in
        ``positions[starts[g] : starts[g + 1]]``; an absent structure's two are empty. Of more than ``MOST_KEPT`` as
        many are drawn.
    """
    band, around = np.zeros(labels.shape, dtype=bool), np.zeros(labels.shape, dtype=bool)
    groups, shells = [], []
    for index in indices:
        mask = labels == index
        groups.append(np.flatnonzero(mask))
        box = foreground_box(mask, margin_voxels=radius + 1)
        around[:] = False
        if box is not None:
            band[box] |= dilate(mask[box], radius) & ~erode(mask[box], radius)
            around[box] = dilate(mask[box], radius + 0.5) & ~mask[box]
        shells.append(np.flatnonzero(around))
    groups += [*shells, np.flatnonzero(band)]
    kept = [group if len(group) <= MOST_KEPT else generator.choice(group, MOST_KEPT, replace=False) for group in groups]
    starts = np.concatenate([[0], np.cumsum([len(group) for group in kept])])
    return np.concatenate(kept).astype(np.int32), starts.astype(np.int64)


def draw_heart(
    labels: UInt8[np.ndarray, "d h w"],
    places: tuple[Integer[np.ndarray, " m"], Integer[np.ndarray, " starts"]],
    indices: Sequence[int],
    per_structure: int,
    shell: int,
    band: int,
    anywhere: int,
    generator: np.random.Generator,
) -> HeartPoints:
    """``per_structure`` points in every structure, ``shell`` around every structure, ``band`` in the band of all and
    ``anywhere`` uniform in the box.

    A point of a structure, a shell or the band is a voxel's centre moved by up to half a voxel along each axis. What an
    absent structure cannot take is drawn anywhere, so that every case gives as many points.
    """
    positions, starts = places
    wanted = [per_structure] * len(indices) + [shell] * len(indices) + [band]
    chosen = [
        positions[start + generator.integers(0, stop - start, count)] if stop > start else np.empty(0, np.int32)
        for start, stop, count in zip(starts[:-1], starts[1:], wanted, strict=True)
    ]
    missing = sum(wanted) - sum(len(group) for group in chosen)
    chosen.append(generator.integers(0, labels.size, anywhere + missing).astype(np.int32))
    centres = np.stack(np.unravel_index(np.concatenate(chosen), labels.shape), axis=1)
    last = np.asarray(labels.shape) - 1
    index_dhw = np.clip(centres + generator.uniform(-0.5, 0.5, centres.shape), 0, last)
    occupancy = label_shares(labels, index_dhw, indices)
    return HeartPoints(index_to_unit(index_dhw, labels.shape).astype(np.float32), occupancy)


def label_shares(
    labels: UInt8[np.ndarray, "d h w"], index_dhw: Float[np.ndarray, "n 3"], indices: Sequence[int]
) -> Float[np.ndarray, "c n"]:
    """Trilinear share of each label among the eight voxels around fractional positions."""
    low = np.minimum(np.floor(index_dhw).astype(np.int64), np.maximum(np.asarray(labels.shape) - 2, 0))
    part = index_dhw - low
    channel = np.full(256, len(indices))
    channel[list(indices)] = np.arange(len(indices))
    shares = np.zeros((len(indices) + 1, len(index_dhw)), dtype=np.float32)
    each = np.arange(len(index_dhw))
    for corner in np.ndindex(2, 2, 2):
        at = np.minimum(low + corner, np.asarray(labels.shape) - 1)
        weight = np.where(np.asarray(corner) == 1, part, 1 - part).prod(axis=1)
        # The corners are added one by one: within one of them no point occurs twice.
        shares[channel[labels[tuple(at.T)]], each] += weight.astype(np.float32)
    return shares[:-1]


class HeartPlacesd(MapTransform):
    """Add ``<key>_places`` and ``<key>_starts``, see :func:`places_of`, of a label box [1, d, h, w]; it is cached.

    Args:
        keys: label boxes.
        radius: of the band, voxels.
        label_table: name of the table.
    """

    def __init__(self, keys: KeysCollection, radius: int = 1, label_table: str = PUBLIC_CARDIAC_CT.name) -> None:
        super().__init__(keys)
        self.radius, self.indices = radius, table(label_table).indices

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            generator = np.random.default_rng(int(item["index"]))
            positions, starts = places_of(np.asarray(item[key][0]), self.indices, self.radius, generator)
            item[f"{key}_places"], item[f"{key}_starts"] = torch.from_numpy(positions), torch.from_numpy(starts)
        return item


class RandHeartPointsd(MapTransform, Randomizable):
    """Replace a label box by points to train on: ``image`` [3, n] (unit x, y, z) and ``label`` [structures, n].

    The draw depends on the seed, the epoch and the case alone, as that of
    :class:`custom.sampling.boundary_band.RandBandPointsd`.

    Args:
        keys: the one key of the label box.
        points_per_structure, shell_points, band_points, background_points: see :func:`draw_heart`; n is ten times the
            first two and the others for ten structures.
        seed: of the run.
        label_table: name of the table.
    """

    def __init__(
        self,
        keys: KeysCollection,
        points_per_structure: int,
        shell_points: int,
        band_points: int,
        background_points: int,
        seed: int = 0,
        label_table: str = PUBLIC_CARDIAC_CT.name,
    ) -> None:
        super().__init__(keys)
        self.counts = (points_per_structure, shell_points, band_points, background_points)
        self.indices = table(label_table).indices
        self.seed, self.epoch = seed, 1

    def set_epoch(self, epoch: int) -> None:
        """Tell the 1-based epoch; to be called before each."""
        self.epoch = epoch

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        generator = np.random.default_rng((self.seed, self.epoch, int(item["index"])))
        for key in self.key_iterator(item):
            labels = np.asarray(item.pop(key))[0]
            places = np.asarray(item.pop(f"{key}_places")), np.asarray(item.pop(f"{key}_starts"))
            drawn = draw_heart(labels, places, self.indices, *self.counts, generator)
            item["image"] = torch.from_numpy(drawn.points_unit.T.copy())
            item["label"] = torch.from_numpy(drawn.occupancy)
            item.pop(f"{key}_frame", None)
        return item
