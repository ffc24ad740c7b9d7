"""Three orthogonal slices of a case before and after, and where the two differ."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Integer, UInt8
from matplotlib.image import imsave

from ..anatomy import StructureTable
from ..space import Frame

STAGE = (0.055, 0.067, 0.086)
"""Behind every picture and the 3-D view, on a light page and a dark one."""

REMOVED, ADDED, RENAMED = (0.96, 0.36, 0.30), (0.22, 0.80, 0.55), (0.62, 0.55, 0.98)
"""Voxels taken away, given, and passed from one structure to another."""

_DIRECTIONS = (("axial", "z"), ("coronal", "y"), ("sagittal", "x"))
_MARGIN_MM = 6.0
_GAP = 8
_FILL, _GREY = 0.58, 0.13


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice of both versions, upright as on a radiologist's screen, cropped to what is labelled.

    Axial slices are seen from the feet with the front up, coronal ones from the front, sagittal ones from the
    patient's left.

    Attributes:
        name: ``axial``, ``coronal`` or ``sagittal``.
        place: where it lies, such as ``z = 31 mm``: world mm of its middle.
        before, after: indices of structures.
        pixel_mm: height and width of a voxel.
        truth: likewise, if it is known.
    """

    name: str
    place: str
    before: UInt8[np.ndarray, "h w"]
    after: UInt8[np.ndarray, "h w"]
    pixel_mm: tuple[float, float]
    truth: UInt8[np.ndarray, "h w"] | None = None


def informative_planes(
    before: UInt8[np.ndarray, "i j k"],
    after: UInt8[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    truth: UInt8[np.ndarray, "i j k"] | None = None,
) -> tuple[Plane, Plane, Plane]:
    """The axial, coronal and sagittal slice where before and after differ most.

    A voxel that differs counts as a share of its structure's volume, so that a lost vessel outweighs a chamber's
    surface. Only slices that show at least half of what the fullest one shows are asked; of two equals the first; the
    fullest one if nothing differs, the middle one if both are empty. The truth is cut where they are.
    """
    far_i, far_j, far_k = (size - 1 for size in before.shape)
    frame = Frame(np.asarray(affine, dtype=np.float64), before.shape, (0, 0, 0), (far_i, far_j, far_k))
    old, new = frame.to_unit_order(before), frame.to_unit_order(after)
    differs = _differences(old, new)
    labelled = (old > 0) | (new > 0)
    true = None if truth is None else frame.to_unit_order(truth)
    axial, coronal, sagittal = (_plane(axis, frame, old, new, true, differs, labelled) for axis in range(3))
    return axial, coronal, sagittal


def _differences(old: UInt8[np.ndarray, "d h w"], new: UInt8[np.ndarray, "d h w"]) -> Float[np.ndarray, "d h w"]:
    """At each voxel the share that it is of the structures it left and joined; 0 where nothing changed."""
    volumes = np.bincount(old.ravel(), minlength=256) + np.bincount(new.ravel(), minlength=256)
    share = (1.0 / np.maximum(volumes, 1)).astype(np.float32)
    share[0] = 0
    return np.where(old != new, share[old] + share[new], np.float32(0))


def _plane(
    axis: int,
    frame: Frame,
    old: UInt8[np.ndarray, "d h w"],
    new: UInt8[np.ndarray, "d h w"],
    true: UInt8[np.ndarray, "d h w"] | None,
    differs: Float[np.ndarray, "d h w"],
    labelled: Bool[np.ndarray, "d h w"],
) -> Plane:
    across = tuple(a for a in range(3) if a != axis)
    shown = labelled.sum(axis=across)
    wrong = np.where(2 * shown >= shown.max(), differs.sum(axis=across, dtype=np.float64), 0)
    at = int(wrong.argmax()) if wrong.any() else int(shown.argmax()) if shown.any() else len(shown) // 2
    # Unit order ascends to the head, the front and the right: upright means the last row and column first.
    one, other = (np.take(volume, at, axis=axis)[::-1, ::-1] for volume in (old, new))
    order, signs = frame.axes
    spacing = frame.spacing_mm[list(order[::-1])][[a for a in range(3) if a != axis]]
    voxel_axis, sign = order[::-1][axis], signs[::-1][axis]
    middle_ijk = (np.asarray(frame.shape) - 1) / 2
    middle_ijk[voxel_axis] = at if sign > 0 else frame.shape[voxel_axis] - 1 - at
    middle_mm = frame.affine[:3, :3] @ middle_ijk + frame.affine[:3, 3]
    name, letter = _DIRECTIONS[axis]
    pixel_mm = (float(spacing[0]), float(spacing[1]))
    third = None if true is None else np.take(true, at, axis=axis)[::-1, ::-1]
    window = _window((one > 0) | (other > 0) | (False if third is None else third > 0), pixel_mm)
    place = f"{letter} = {float(middle_mm[2 - axis]) + 0.0:.0f} mm".replace("= -0 ", "= 0 ")
    return Plane(name, place, one[window], other[window], pixel_mm, None if third is None else third[window])


def _window(shown: Bool[np.ndarray, "h w"], pixel_mm: tuple[float, float]) -> tuple[slice, slice]:
    """A window, square in mm as far as the slice reaches, around what is to be seen; all of it if there is nothing."""
    if not shown.any():
        return slice(None), slice(None)
    edges_mm = np.asarray(pixel_mm)
    places = np.argwhere(shown)
    low, high = places.min(axis=0), places.max(axis=0) + 1
    side_mm = float(((high - low) * edges_mm).max()) + 2 * _MARGIN_MM
    half = np.ceil(side_mm / edges_mm / 2)
    middle = (low + high) / 2
    start = np.maximum(np.floor(middle - half), 0).astype(int)
    stop = np.minimum(np.ceil(middle + half), shown.shape).astype(int)
    return slice(int(start[0]), int(stop[0])), slice(int(start[1]), int(stop[1]))


def painted(plane: Plane, table: StructureTable, side: int = 360) -> tuple[npt.NDArray[np.float64], ...]:
    """Pictures ``[h, w, 3]`` of before, after and change, 0 to 1, the longer side of ``side`` pixels.

    Voxels keep their edges. Each structure is filled with its colour and outlined; the third picture shows the result
    in grey and what was removed, added or renamed in colour. Where the truth is known a fourth shows it.
    """
    old, new = (_enlarged(labels, plane.pixel_mm, side) for labels in (plane.before, plane.after))
    true = [] if plane.truth is None else [_enlarged(plane.truth, plane.pixel_mm, side)]
    colors = np.tile(np.array(STAGE), (256, 1))
    for structure in table:
        colors[structure.index] = np.array(structure.color) / 255
    stage = np.array(STAGE)
    versions = []
    for labels in (old, new, *true):
        picture = stage + _FILL * (colors[labels] - stage)
        edge = _edges(labels) & (labels > 0)
        picture[edge] = colors[labels[edge]]
        versions.append(picture)
    change = np.where((new > 0)[..., None], stage + _GREY, stage)
    change[_edges(new) & (new > 0)] = stage + 2 * _GREY
    change[(old > 0) & (new == 0)] = REMOVED
    change[(old == 0) & (new > 0)] = ADDED
    change[(old > 0) & (new > 0) & (old != new)] = RENAMED
    return (*versions[:2], change, *versions[2:])


def _enlarged(labels: UInt8[np.ndarray, "h w"], pixel_mm: tuple[float, float], side: int) -> UInt8[np.ndarray, "a b"]:
    """The nearest voxel at each pixel of a picture whose pixels are square in mm."""
    sizes_mm = np.array(labels.shape) * np.asarray(pixel_mm)
    step_mm = sizes_mm.max() / side
    rows, columns = (
        np.minimum((np.arange(max(round(size / step_mm), 1)) + 0.5) * step_mm / edge, count - 0.5).astype(int)
        for size, edge, count in zip(sizes_mm, pixel_mm, labels.shape, strict=True)
    )
    return np.asarray(labels[np.ix_(rows, columns)])


def _edges(labels: Integer[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Pixels with another label above, below, left or right of them; the picture's border is none."""
    edge = np.zeros(labels.shape, dtype=bool)
    vertical, horizontal = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= vertical
    edge[:-1] |= vertical
    edge[:, 1:] |= horizontal
    edge[:, :-1] |= horizontal
    return edge


def slice_picture(
    before: UInt8[np.ndarray, "i j k"],
    after: UInt8[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    table: StructureTable,
    side: int = 240,
) -> Float[np.ndarray, "h w 3"]:
    """One picture, 0 to 1: a row for each of the three planes; before, after and change side by side.

    Args:
        before, after: label maps on one grid.
        affine: voxel ijk to world mm (RAS).
        table: colours.
        side: pixels of a square that holds one slice.
    """
    edge = side + _GAP
    picture = np.tile(np.array(STAGE), (3 * edge - _GAP, 3 * edge - _GAP, 1))
    for row, plane in enumerate(informative_planes(before, after, affine)):
        for column, version in enumerate(painted(plane, table, side)):
            height, width = version.shape[:2]
            top, left = row * edge + (side - height) // 2, column * edge + (side - width) // 2
            picture[top : top + height, left : left + width] = version
    return picture


def png(picture: Float[np.ndarray, "h w 3"]) -> bytes:
    """The picture as a PNG file; equal pictures give equal bytes."""
    stream = io.BytesIO()
    pixels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    imsave(stream, pixels, format="png", metadata={"Software": "CorField"}, pil_kwargs={"optimize": True})
    return stream.getvalue()
