"""The condition of the flow, made of a slice, and the choice of the slice of a shape (C1-C3).

The object's frame is its case's cube: -1 to 1 from face to face along the cube's axes i, j, k. There is no pose to
find; a pointmap holds where in this frame each pixel of the structure lies, so that it also says which plane is seen.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cache, lru_cache
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Shaped
from monai.transforms import Randomizable, Transform

from ..errors import InputError
from ..slices.case_volume import CaseVolume
from ..slices.slice_file import Slice

CONDITIONS = ("image", "mask", "pointmap")
WINDOW = 1.2
"""Edge of the cropped view, in edges of the box round the mask."""


def conditions_of(one: Slice, structure: str | int, crop: bool = False) -> dict[str, Float32[torch.Tensor, "c h w"]]:
    """The condition that a slice gives for one structure.

    Returns:
        ``image`` [1, h, w] in [0, 1], ``mask`` [1, h, w] of 0 and 1, ``pointmap`` [3, h, w] in the cube's frame, NaN
        off the mask. With ``crop`` these three are of the square window round the mask, on as many pixels, and
        ``full_image``, ``full_mask`` and ``full_pointmap`` are of the whole slice.

    Raises:
        InputError: a structure the table lacks, or one that is not in the slice.
    """
    mask, place_mm = one.of_structure(structure)
    if not mask.any():
        wanted = f"a slice that shows {structure}"
        raise InputError(
            f"{one.case}, axis {one.axis}, slice {one.slice_idx}", "no pixel of it", wanted, "Take another."
        )
    place = in_cube_frame(place_mm, one.affine, one.shape)
    whole = {
        "image": torch.from_numpy(one.image[None].copy()),
        "mask": torch.from_numpy(mask[None].astype(np.float32)),
        "pointmap": torch.from_numpy(np.moveaxis(place, -1, 0).copy()),
    }
    if not crop:
        return whole
    cropped = {name: _window(values, mask, name) for name, values in whole.items()}
    return cropped | {f"full_{name}": values for name, values in whole.items()}


def in_cube_frame(
    place_mm: Float[np.ndarray, "*any 3"], affine: Float[np.ndarray, "4 4"], shape: tuple[int, int, int]
) -> Float32[np.ndarray, "*any 3"]:
    """World mm as places of the cube's frame; NaN stays NaN."""
    inverse, edge = np.linalg.inv(np.asarray(affine, np.float64)), np.asarray(shape, np.float64)
    ijk = np.asarray(place_mm, np.float64) @ inverse[:3, :3].T + inverse[:3, 3]
    return np.asarray((ijk - (edge - 1) / 2) / (edge / 2), np.float32)


def _window(values: torch.Tensor, mask: np.ndarray, name: str) -> torch.Tensor:
    """The square window round a mask, on the slice's own number of pixels; beyond the slice is nothing."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    half = WINDOW * max(int(np.ptp(rows)), int(np.ptp(columns)), 1) / 2 + 0.5
    sizes, middles = mask.shape, ((rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2)
    lines = [
        (torch.arange(size) + 0.5) * (2 * half / size) + middle + 0.5 - half
        for size, middle in zip(sizes, middles, strict=True)
    ]
    y, x = (2 * line / size - 1 for line, size in zip(lines, sizes, strict=True))
    where = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)[None].float()
    mode = "bilinear" if name == "image" else "nearest"
    # Nearest pixels are picked, not multiplied: NaN stays where it is.
    seen = F.grid_sample(values[None], where, mode=mode, padding_mode="zeros", align_corners=False)[0]
    if name == "pointmap":
        inside = (where.abs() <= 1).all(dim=-1)
        seen = torch.where(inside, seen, torch.full_like(seen, torch.nan))
    return seen


@cache
def axis_orientations() -> tuple[tuple[tuple[int, int, int], tuple[bool, bool, bool]], ...]:
    """The 24 rotations of a cube onto itself, none mirrored: which axis comes where, and which then run backwards.

    The first is no rotation.
    """
    found = []
    for order, back in product(permutations(range(3)), product((False, True), repeat=3)):
        matrix = np.eye(3)[list(order)] * np.where(back, -1, 1)[:, None]
        if np.linalg.det(matrix) > 0:
            found.append((order, back))
    return tuple(found)  # type: ignore[arg-type]


def reoriented_volume(volume: Shaped[np.ndarray, "c s s s"], turn: int) -> Shaped[np.ndarray, "c s s s"]:
    """A cube's volume after a rotation of :func:`axis_orientations`."""
    order, back = axis_orientations()[turn]
    out = np.transpose(volume, (0, *(1 + axis for axis in order)))
    return np.ascontiguousarray(np.flip(out, tuple(1 + axis for axis in range(3) if back[axis])))


def reoriented_positions(places: torch.Tensor, turn: int) -> torch.Tensor:
    """Places [3, ...] of the cube's frame after the same rotation."""
    order, back = axis_orientations()[turn]
    signs = torch.tensor([-1.0 if one else 1.0 for one in back]).view(3, *[1] * (places.ndim - 1))
    return places[list(order)] * signs


class LoadShaped(Transform):
    """Read the truth of an item: ``occupancy`` [1, s, s, s], uint8, and ``sdf_mm`` [1, s, s, s] of its structure.

    Args:
        voxels: that the cube must have along each axis.
        with_distances: whether to keep ``sdf_mm``.

    Raises:
        InputError: as :meth:`custom.slices.case_volume.CaseVolume.read`; a cube of another size; a structure that the
            volume lacks though a slice shows it.
    """

    def __init__(self, voxels: int, with_distances: bool = False) -> None:
        self.voxels, self.with_distances = voxels, with_distances

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        volume = CaseVolume.read(item["sdf"])
        if volume.labels.shape[0] != self.voxels:
            found, wanted = f"a cube of {volume.labels.shape[0]} voxels a side", f"{self.voxels}, as the network takes"
            remedy = f"Give --voxels {volume.labels.shape[0]}, or make the slices with --size {self.voxels}."
            raise InputError(item["sdf"], found, wanted, remedy)
        inside = volume.labels == volume.table[item["structure"]].index
        if not inside.any():
            found, wanted = f"no voxel of {item['structure']}", "the structure its slices show"
            raise InputError(item["sdf"], found, wanted, "Make the slices again with `corfield slices`.")
        item["occupancy"] = inside[None].astype(np.uint8)
        if self.with_distances:
            item["sdf_mm"] = volume.sdf_mm[item["channel"]][None]
        return item


class RandSliced(Randomizable, Transform):
    """Choose one slice of an item's structure, and perhaps a rotation of the cube; one draw a case and epoch.

    Adds :func:`conditions_of`, ``axis`` and ``slice_idx`` of the slice in the cube as it is then, ``turn``, and
    ``chance``, the seed of all else that is random of the item in the epoch, such as its noise; leaves
    ``occupancy`` and ``sdf_mm`` turned, and takes ``slices`` away. A draw depends on the seed, the epoch and the item
    alone.

    Args:
        random_rotation: whether the cube is turned: the network then learns shapes in any of 24 directions.
        crop: see :func:`conditions_of`.
        seed: of the run.
        fixed: the same draw in every epoch, for validation.
        kept: slices that stay in memory, the latest ones: to read one takes longer than a step of a small network.

    Raises:
        InputError: as :meth:`custom.slices.slice_file.Slice.read` and :func:`conditions_of`.
    """

    def __init__(
        self, random_rotation: bool = False, crop: bool = False, seed: int = 0, fixed: bool = False, kept: int = 0
    ) -> None:
        self.random_rotation, self.crop, self.seed, self.fixed, self.epoch = random_rotation, crop, seed, fixed, 1
        self.read = lru_cache(maxsize=kept)(Slice.read)

    def set_epoch(self, epoch: int) -> None:
        """Tell the 1-based epoch; to be called before each."""
        self.epoch = epoch

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        slices = item.pop("slices")
        generator = np.random.default_rng((self.seed, 0 if self.fixed else self.epoch, int(item["index"])))
        chosen = slices[int(generator.integers(len(slices)))]
        turn = int(generator.integers(len(axis_orientations()))) if self.random_rotation else 0
        item.update(conditions_of(self.read(Path(chosen["slice"])), item["structure"], self.crop))
        for name in ("pointmap", "full_pointmap"):
            if name in item:
                item[name] = reoriented_positions(item[name], turn)
        for name in ("occupancy", "sdf_mm"):
            if name in item:
                item[name] = torch.from_numpy(reoriented_volume(np.asarray(item[name]), turn))
        order, back = axis_orientations()[turn]
        axis = order.index(chosen["axis"])
        edge = item["occupancy"].shape[-1]
        item["turn"], item["axis"], item["chance"] = turn, axis, int(generator.integers(2**62))
        item["slice_idx"] = edge - 1 - chosen["slice_idx"] if back[axis] else chosen["slice_idx"]
        return item
