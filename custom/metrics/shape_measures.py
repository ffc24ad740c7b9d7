"""What a structure looks like by itself, without a reference: pieces, holes, contact, roughness (A1.9, A2.2).

Holes and surface are counted on the mask framed by background, so that beyond the volume is outside: a cavity open to
the border is no hole, and a structure cut by the border has a surface there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage
from skimage.measure import marching_cubes, mesh_surface_area

from ..anatomy import Structure, StructureTable
from ..volumes.components import connected
from ..volumes.contacts import Spacing, touches
from ..volumes.morphology import Box
from .overlap import volume_mm3

_CORNERS = tuple(product((0, 1), repeat=3))
"""The voxels of a block of 2 x 2 x 2; the n-th is worth bit n of the block's number."""


@dataclass(frozen=True, kw_only=True)
class ShapeScore:
    """One structure of one label map.

    Attributes:
        volume_mm3: its volume; 0 if it is absent.
        components: connected components, 26 neighbours.
        holes: enclosed cavities: background without a way out through faces.
        euler: Euler number, components - tunnels + holes: 1 for a ball, 0 for a ring, 2 for a hollow ball.
        contact: whether every component touches one of the structures it should, by
            :func:`~custom.volumes.contacts.touches`; None if the table has no rule, it is absent, or all of these are.
        contact_share: share of its volume in components that do, in [0, 1]; NaN where ``contact`` is None.
        isoperimetric: surface area (marching cubes) over volume^(2/3): a little over 5 for a ball, more the rougher or
            thinner; NaN if absent. Losing what is thin lowers it too: read it beside the volume.
    """

    volume_mm3: float
    components: int
    holes: int
    euler: int
    contact: bool | None
    contact_share: float
    isoperimetric: float

    @property
    def tunnels(self) -> int:
        """Ways through it, such as a ring's one."""
        return self.components + self.holes - self.euler


ABSENT = ShapeScore(
    volume_mm3=0.0, components=0, holes=0, euler=0, contact=None, contact_share=math.nan, isoperimetric=math.nan
)
"""The score of a structure without a voxel."""


def shape_scores(
    labels: UInt8[np.ndarray, "i j k"], spacing_mm: Spacing, table: StructureTable
) -> dict[str, ShapeScore]:
    """The score of every structure of the table in a label map, by name; absent ones are :data:`ABSENT`."""
    boxes = structure_boxes(labels, table)
    return {structure.name: _scored(labels, structure, boxes, spacing_mm, table) for structure in table}


def shape_score(
    labels: UInt8[np.ndarray, "i j k"], structure: str | int, spacing_mm: Spacing, table: StructureTable
) -> ShapeScore:
    """The score of one structure, by name or index; see :func:`shape_scores`.

    Raises:
        InputError: the table has no such structure.
    """
    return _scored(labels, table[structure], structure_boxes(labels, table), spacing_mm, table)


def structure_boxes(labels: UInt8[np.ndarray, "i j k"], table: StructureTable) -> dict[str, Box]:
    """The box of voxels around each structure present in a label map, by name."""
    found = ndimage.find_objects(labels, max_label=max(table.indices))
    return {one.name: found[one.index - 1] for one in table if found[one.index - 1] is not None}


def _scored(
    labels: UInt8[np.ndarray, "i j k"],
    structure: Structure,
    boxes: dict[str, Box],
    spacing_mm: Spacing,
    table: StructureTable,
) -> ShapeScore:
    if structure.name not in boxes:
        return ABSENT
    mask = np.ascontiguousarray(labels[boxes[structure.name]] == structure.index)
    blocks = block_counts(mask)
    volume = volume_mm3(mask, spacing_mm)
    targets = [table[name].index for name in structure.touches if name in boxes]
    contact_share = math.nan
    if targets:
        in_contact = _voxels_in_contact(labels, structure, boxes[structure.name], targets, spacing_mm)
        contact_share = in_contact / int(np.count_nonzero(mask))
    return ShapeScore(
        volume_mm3=volume,
        components=connected(mask, connectivity=26)[1],
        # The ring of background joins all that is not enclosed into one component.
        holes=connected(np.pad(~mask, 1, constant_values=True), connectivity=6)[1] - 1,
        euler=round(float(blocks @ _euler_of_blocks())),
        contact=contact_share == 1.0 if targets else None,
        contact_share=contact_share,
        isoperimetric=float(blocks @ _area_of_blocks_mm2(spacing_mm)) / volume ** (2 / 3),
    )


def _voxels_in_contact(
    labels: UInt8[np.ndarray, "i j k"], structure: Structure, box: Box, targets: list[int], spacing_mm: Spacing
) -> int:
    """How many of a structure's voxels lie in components that touch a target, each asked by itself."""
    reach_voxels = [max(1, math.ceil(structure.contact_mm / step)) for step in spacing_mm]
    around = labels[_grown(box, reach_voxels)]
    parts, _ = connected(around == structure.index, connectivity=26)
    target = np.isin(around, targets)
    in_contact = 0
    for number, own in enumerate(ndimage.find_objects(parts.astype(np.int32)), start=1):
        near = _grown(own, reach_voxels)
        part = parts[near] == number
        if touches(part, target[near], spacing_mm, structure.contact_mm):
            in_contact += int(np.count_nonzero(part))
    return in_contact


def _grown(box: Box, voxels: Sequence[int]) -> Box:
    """The box with a margin along each axis, cut at the volume's lower border; slices end at the upper one anyway."""
    i, j, k = (slice(max(s.start - far, 0), s.stop + far) for s, far in zip(box, voxels, strict=True))
    return i, j, k


def block_counts(mask: Bool[np.ndarray, "i j k"]) -> Int[np.ndarray, " 256"]:
    """How often each of the 256 blocks of 2 x 2 x 2 voxels occurs in a mask framed by background.

    Whatever is a sum over such blocks - surface area, Euler number - follows from these counts alone.
    """
    i, j, k = mask.shape
    framed = np.pad(mask, 1).view(np.uint8)
    numbers = np.zeros((i + 1, j + 1, k + 1), dtype=np.uint8)
    for bit, (a, b, c) in enumerate(_CORNERS):
        numbers |= framed[a : a + i + 1, b : b + j + 1, c : c + k + 1] << np.uint8(bit)
    counts = np.zeros(256, dtype=np.int64)
    for plane in numbers:  # a plane at a time: the library widens what it counts to eight bytes
        counts += np.bincount(plane.ravel(), minlength=256)
    return counts


def _block(number: int) -> Bool[np.ndarray, "2 2 2"]:
    return np.array([number >> bit & 1 for bit in range(8)], dtype=bool).reshape(2, 2, 2)


@lru_cache(maxsize=1)
def _euler_of_blocks() -> Float[np.ndarray, " 256"]:
    """Vertices - edges + faces - cubes of the mask as a body of closed voxels, counted at a block's middle vertex.

    An edge has two such vertices, a face four, a voxel eight. Closed voxels hang together by faces, edges and corners:
    26 neighbours inside, 6 outside.
    """
    euler = np.zeros(256)
    for number in range(1, 256):
        block = _block(number)
        edges = sum(int(block.take(side, axis).any()) for axis in range(3) for side in (0, 1))
        faces = sum(int(block.any(axis=axis).sum()) for axis in range(3))
        euler[number] = 1 - edges / 2 + faces / 4 - block.sum() / 8
    return euler


@lru_cache(maxsize=16)
def _area_of_blocks_mm2(spacing_mm: Spacing) -> Float[np.ndarray, " 256"]:
    """The area of the surface that marching cubes puts into each block; a block's surface depends on it alone."""
    area_mm2 = np.zeros(256)
    for number in range(1, 255):  # neither the empty nor the full one has a surface
        vertices, faces, _, _ = marching_cubes(_block(number).astype(np.float32), 0.5, spacing=spacing_mm)
        area_mm2[number] = mesh_surface_area(vertices, faces)
    return area_mm2
