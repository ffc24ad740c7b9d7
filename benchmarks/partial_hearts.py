"""Hearts with parts taken away, the same for all who are to complete them; and a grid on which all hearts lie alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Shaped, UInt8
from scipy import ndimage

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.completion.hide_structures import SCHEMES, StructureHider, channels_of
from custom.data.case_list import label_maps
from custom.data.label_maps import read_label_map
from custom.errors import InputError
from custom.surfaces.cloud_frame import grid_centre_mm

NAMES, INDICES = PUBLIC_CARDIAC_CT.names, PUBLIC_CARDIAC_CT.indices
WHOLE = "nothing missing"
COUNTS = (1, 2, 3, 4, 5)
REDRAWN = "3 missing, all drawn anew"


@dataclass(frozen=True, eq=False)
class Heart:
    """A true heart.

    Attributes:
        name: of the case.
        labels: all that is known of it.
        affine: voxel ijk to world mm.
        spacing_mm: of its voxels.
    """

    name: str
    labels: UInt8[np.ndarray, "i j k"]
    affine: Float64[np.ndarray, "4 4"]
    spacing_mm: tuple[float, float, float]

    @cached_property
    def present(self) -> Bool[np.ndarray, " c"]:
        """Which structures it holds."""
        return np.isin(INDICES, np.unique(self.labels))

    def only(self, shown: Bool[np.ndarray, " c"]) -> UInt8[np.ndarray, "i j k"]:
        """The labels of some structures, background elsewhere."""
        kept = np.zeros(256, np.uint8)
        kept[np.asarray(INDICES)[shown]] = np.asarray(INDICES)[shown]
        return np.asarray(kept[self.labels])


@dataclass(frozen=True, eq=False)
class Part:
    """What is left of a heart.

    Attributes:
        name: of the way in which it is reduced.
        shown: the structures that are left.
        anew: whether they are to be drawn too, or kept as they are.
    """

    name: str
    shown: Bool[np.ndarray, " c"]
    anew: bool = False


def hearts_in(folder: Path) -> list[Heart]:
    """All label maps of a folder."""
    read = {case: read_label_map(path) for case, path in label_maps(folder).items()}
    return [Heart(case, one.labels, one.affine, one.spacing_mm) for case, one in read.items()]


def counts_names(counts: Sequence[int] = COUNTS) -> list[str]:
    """Names of the parts with so many structures missing."""
    return [f"{count} missing" for count in counts]


def parts_of(heart: Heart, index: int, seed: int = 0, counts: Sequence[int] = COUNTS) -> list[Part]:
    """The whole heart, it with one to five structures missing by chance, and by every scheme.

    A draw depends on the seed, the count and the index of the case. A scheme that would take nothing, or all, is left
    out.
    """
    parts = [Part(WHOLE, heart.present, anew=True)]
    for count, name in zip(counts, counts_names(counts), strict=True):
        shown = StructureHider((count, count)).draw(np.random.default_rng((seed, count, index)), heart.present)
        parts.append(Part(name, shown))
        if count == 3:
            parts.append(Part(REDRAWN, shown, anew=True))
    for scheme in SCHEMES:
        shown = heart.present.copy()
        shown[channels_of(scheme, PUBLIC_CARDIAC_CT, "hide")] = False
        parts.append(Part(scheme, shown))
    return [part for part in parts if part.anew or _is_part(part.shown, heart.present)]


def parts_but_one(heart: Heart, index: int = 0) -> list[Part]:
    """The whole heart, and it with each of its structures missing in turn; of a single structure the whole alone."""
    parts = [Part(WHOLE, heart.present, anew=True)]
    for channel in np.flatnonzero(heart.present):
        shown = heart.present.copy()
        shown[channel] = False
        parts.append(Part(f"without {NAMES[channel]}", shown))
    return [part for part in parts if part.anew or _is_part(part.shown, heart.present)]


def _is_part(shown: Bool[np.ndarray, " c"], present: Bool[np.ndarray, " c"]) -> bool:
    return bool(shown.any()) and not np.array_equal(shown, present)


@dataclass(frozen=True)
class Canvas:
    """A cube of voxels round the middle of a case's own grid, along the axes of the world: where the baselines work.

    Attributes:
        side: voxels along each axis.
        step_mm: of its voxels.
    """

    side: int
    step_mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.side, self.side, self.side

    def to_case(self, affine: Float[np.ndarray, "4 4"], shape: Sequence[int]) -> Float64[np.ndarray, "4 4"]:
        """From voxels of the canvas to those of a case."""
        own = np.diag([self.step_mm] * 3 + [1.0])
        own[:3, 3] = grid_centre_mm(shape, affine) - self.step_mm * (self.side - 1) / 2
        return np.asarray(np.linalg.inv(affine) @ own)

    def take(self, labels: UInt8[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"]) -> UInt8[np.ndarray, "s s s"]:
        """Labels of a case on the canvas, nearest neighbour; 0 beyond its grid."""
        return _sampled(labels, self.to_case(affine, labels.shape), self.shape, order=0)

    def give(
        self, values: Float[np.ndarray, "s s s"], affine: Float[np.ndarray, "4 4"], shape: Sequence[int]
    ) -> Float[np.ndarray, "i j k"]:
        """Values on the grid of a case, linearly between voxels; beyond the canvas those of its border."""
        return _sampled(values, np.linalg.inv(self.to_case(affine, shape)), shape, order=1)


def _sampled(
    volume: Shaped[np.ndarray, "a b c"], matrix: Float[np.ndarray, "4 4"], shape: Sequence[int], order: int
) -> Shaped[np.ndarray, "i j k"]:
    """A volume at the voxels of a grid, ``matrix`` leading from there to it; itself if they are the same."""
    if volume.shape == tuple(shape) and np.allclose(matrix, np.eye(4), atol=1e-6):
        return volume
    beyond: Mapping[str, Any] = {"mode": "nearest"} if order else {"mode": "constant", "cval": 0}
    return np.asarray(
        ndimage.affine_transform(volume, matrix[:3, :3], matrix[:3, 3], tuple(shape), order=order, **beyond)
    )


def canvas_of(hearts: Sequence[Heart]) -> Canvas:
    """The canvas that is the grid of all of some hearts.

    Raises:
        InputError: their grids are not one and the same cube of cubes along the axes of the world.
    """
    first = hearts[0]
    canvas = Canvas(first.labels.shape[0], first.spacing_mm[0])
    for heart in hearts:
        same = heart.labels.shape == canvas.shape
        if not (same and np.allclose(canvas.to_case(heart.affine, canvas.shape), np.eye(4), atol=1e-4)):
            raise InputError(heart.name, f"a grid of {heart.labels.shape}", f"{canvas.shape}", "Train on phantoms.")
    return canvas
