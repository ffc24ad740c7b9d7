"""What a network that completes hearts has to beat without learning: mean shapes, the nearest heart, a constant.

Every baseline is a :data:`Prefer`: what is given, on a canvas, in; how much each voxel is background (0) or each of the
structures (1, 2, ...) out. The greatest wins, see :class:`Drawn`. No baseline registers anything: as for the network,
all hearts lie in one frame, round the middle of their grids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from scipy import ndimage
from torch import Tensor, nn

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.completion.complete_case import Completer, complete_case, merged
from custom.models.vecset.set_network import SetNetwork

from .partial_hearts import INDICES, Canvas

Labels = UInt8[np.ndarray, "i j k"]
Shown = Bool[np.ndarray, " c"]
Prefer = Callable[[Labels, Shown], Float32[np.ndarray, "1+c s s s"]]

REACH_MM = 15.0
"""Distances are cut off here before they are averaged: one far heart shall not outweigh the others."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Completes hearts by a preference for each structure at each voxel: what is missing, in what is left empty.

    Attributes:
        prefer: on the canvas.
        canvas: where.
    """

    prefer: Prefer
    canvas: Canvas

    def __call__(self, given: Labels, affine: Float[np.ndarray, "4 4"], shown: Shown, anew: bool) -> Labels:
        """The whole heart on the grid of ``given``; with ``anew`` what is given is drawn too, and not kept."""
        liked = self.prefer(self.canvas.take(given, affine), shown)
        best, found = self.canvas.give(liked[0], affine, given.shape).copy(), np.zeros_like(given)
        for channel in np.flatnonzero(~shown | anew):
            own = self.canvas.give(liked[channel + 1], affine, given.shape)
            found[own > best] = INDICES[channel]
            np.maximum(best, own, out=best)
        labels, _ = merged(None if anew else given, found, shown, PUBLIC_CARDIAC_CT)
        return labels


@dataclass(frozen=True, eq=False)
class Asked:
    """Completes hearts by a network, by the very function that ``corfield complete`` uses."""

    completer: Completer

    def __call__(self, given: Labels, affine: Float[np.ndarray, "4 4"], shown: Shown, anew: bool) -> Labels:
        return complete_case(given, affine, self.completer, keep_given=not anew).labels


def indifferent(given: Labels, shown: Shown) -> Float32[np.ndarray, "1+c s s s"]:
    """The same everywhere, of everything: what :func:`constant` answers, without asking it voxel by voxel."""
    return np.zeros((1 + len(INDICES), *given.shape), np.float32)


class ConstantField(SetNetwork):
    """A network that has learned nothing: the same distance everywhere, of everything.

    Args:
        distance: in units of the frame.
    """

    def __init__(self, distance: float = 0.0) -> None:
        super().__init__(len(INDICES), width=16, heads=2, depth=1, octaves=1)
        self.distance = nn.Parameter(torch.tensor(distance))

    def encode(self, image: Tensor, present: Tensor) -> Tensor:
        return present

    def think(self, codes: Tensor, present: Tensor) -> Tensor:
        return codes

    def answer(self, tokens: Tensor, points: Tensor) -> Tensor:
        return self.distance.expand(len(points), tokens.shape[1], points.shape[2])


def constant(distance: float = 0.0) -> Asked:
    """The constant field, asked as any network is."""
    return Asked(Completer(ConstantField(distance), PUBLIC_CARDIAC_CT, scale_mm=100.0, surface_points=16))


def signed_distance(mask: Bool[np.ndarray, "i j k"], step_mm: float, reach_mm: float) -> Float32[np.ndarray, "i j k"]:
    """In mm, negative inside, half a voxel from the next centre on the other side; cut off at ``reach_mm``.

    Of an empty mask ``reach_mm`` everywhere, of a full one its negative.
    """
    whole = np.full(mask.shape, reach_mm, np.float32)
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if not boxes:
        return whole
    margin = int(np.ceil(reach_mm / step_mm)) + 1
    box = tuple(slice(max(one.start - margin, 0), one.stop + margin) for one in boxes[0])
    part = mask[box]
    out = ndimage.distance_transform_edt(~part, step_mm) - step_mm / 2
    # Beyond the volume nothing is known: a full box has no other side, and its inside is as deep as can be.
    inside = ndimage.distance_transform_edt(part, step_mm) if not part.all() else np.full(part.shape, np.inf)
    whole[box] = np.where(part, step_mm / 2 - inside, out).clip(-reach_mm, reach_mm)
    return whole


@dataclass(frozen=True, eq=False)
class MeanShapes:
    """What the training hearts have in common, voxel by voxel.

    Attributes:
        distance_mm: mean signed distance to each structure, each cut off at :data:`REACH_MM`.
        share: of the hearts that hold the structure there.
        voxels: mean size of each structure.
    """

    distance_mm: Float32[np.ndarray, "c s s s"]
    share: Float32[np.ndarray, "c s s s"]
    voxels: Float32[np.ndarray, " c"]

    @classmethod
    def of(cls, hearts: Sequence[Labels], step_mm: float) -> MeanShapes:
        """The mean of label maps on one canvas."""
        zeros = np.zeros((len(INDICES), *hearts[0].shape), np.float32)
        distance, share = zeros.copy(), zeros.copy()
        for labels in hearts:
            for channel, index in enumerate(INDICES):
                mask = labels == index
                distance[channel] += signed_distance(mask, step_mm, REACH_MM)
                share[channel] += mask
        distance, share = distance / len(hearts), share / len(hearts)
        return cls(distance, share, share.sum(axis=(1, 2, 3)))

    def save(self, path: Path) -> None:
        part = path.with_name(f".{path.name}.part.npz")
        np.savez_compressed(part, distance_mm=self.distance_mm, share=self.share, voxels=self.voxels)
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> MeanShapes:
        with np.load(path) as kept:
            return cls(**{name: kept[name] for name in ("distance_mm", "share", "voxels")})

    def preferences(self) -> dict[str, Prefer]:
        """The forms: by mean distance or by vote, as they are or so far out that each has its mean size."""
        none = np.zeros_like(self.share[:1])
        sized = _threshold(-self.distance_mm, self.voxels)
        shares = _threshold(self.share, self.voxels)
        background = 1 - self.share.sum(axis=0, keepdims=True)
        forms = {
            "mean distance": np.concatenate([none, -self.distance_mm]),
            "mean distance, mean size": np.concatenate([none, -self.distance_mm - sized]),
            "votes": np.concatenate([background, self.share]),
            "votes, mean size": np.concatenate([none, self.share - shares]),
        }
        return {name: lambda given, shown, liked=liked: liked for name, liked in forms.items()}


def _threshold(
    values: Float32[np.ndarray, "c s s s"], voxels: Float32[np.ndarray, " c"]
) -> Float32[np.ndarray, "c 1 1 1"]:
    """Of each channel the value that as many voxels exceed as asked for; equal ones all do. Infinity for none."""
    found = []
    for own, count in zip(values, voxels, strict=True):
        place = own.size - min(round(float(count)), own.size)
        least = np.partition(own, place, axis=None)[place] if place < own.size else np.float32(np.inf)
        found.append(np.nextafter(least, np.float32(-np.inf)) if np.isfinite(least) else least)
    return np.asarray(found, np.float32).reshape(-1, 1, 1, 1)


class NearestHeart:
    """The training heart whose Dice with the given structures is highest in the mean, as it lies.

    Args:
        hearts: label maps on one canvas.
    """

    def __init__(self, hearts: Sequence[Labels]) -> None:
        self.hearts = np.stack([labels.ravel() for labels in hearts])
        self.shape = hearts[0].shape
        self.sizes = np.stack([np.bincount(labels, minlength=256)[list(INDICES)] for labels in self.hearts])

    def agreement(self, given: Labels, shown: Shown) -> Float[np.ndarray, " n"]:
        """Mean Dice of each heart over the structures that are shown; 0 if none is."""
        scores = np.zeros(len(self.hearts))
        for channel in np.flatnonzero(shown):
            where = np.flatnonzero(given.ravel() == INDICES[channel])
            both = (self.hearts[:, where] == INDICES[channel]).sum(axis=1)
            scores += 2 * both / np.maximum(self.sizes[:, channel] + len(where), 1)
        return np.asarray(scores / max(int(shown.sum()), 1))

    def __call__(self, given: Labels, shown: Shown) -> Float32[np.ndarray, "1+c s s s"]:
        labels = self.hearts[int(self.agreement(given, shown).argmax())].reshape(self.shape)
        return np.stack([labels == index for index in (0, *INDICES)]).astype(np.float32)
