"""Sizes that no heart has: a label map whose header does not hold its true spacing.

The limits are those of anatomy, wide enough for every patient:

- An adult's four chambers together are 100 to 140 mm long, those of the largest dilated hearts some 170 mm. Beyond
  :data:`LARGE_CHAMBERS_MM` the spacing is not true: as of a crop that was resized to a cube and given voxels of 1 mm.
- With myocardium and great vessels a heart is 100 to 180 mm long, that of a newborn about 50 mm. Where several chambers
  are there and all of it is shorter than :data:`SMALL_HEART_MM`, the spacing is hardly true.
- Nothing of two chambers is below :data:`LEAST_MM`, and no part of a body is above :data:`MOST_MM`: then the header's
  unit is not the true one, and no rule in mm means anything. Such a file is refused. A single small structure, a piece
  of a coronary or of an appendage, may well be that small: it is named, and goes on.

A partial heart is measured by its foreground. Sides are measured along the voxel axes, whatever way a patient lies.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from ..anatomy import StructureTable
from ..errors import InputError

LOGGER = logging.getLogger(__name__)

LEAST_MM, MOST_MM = 20.0, 1000.0
SMALL_HEART_MM, LARGE_CHAMBERS_MM = 50.0, 180.0
USUAL_MM = 120.0
"""Length of an adult's four chambers: what a true spacing is guessed by."""

SEVERAL = 2
"""Chambers from which a label map is a heart, and not a piece of one."""

CRUMBS = 0.001
"""Share of the voxels that may lie beyond either end of a box: far specks of noise must not make a heart large."""

_UNITS = {"metres": 1000.0, "centimetres": 10.0, "micrometres": 0.001}


class Size(NamedTuple):
    """How large what is labelled is.

    Attributes:
        longest_mm: longest side of the box of all structures but for :data:`CRUMBS`; 0 if there is none.
        chambers_mm: longest side of the box of the chambers; 0 likewise.
        chambers: how many of them there are.
    """

    longest_mm: float = 0.0
    chambers_mm: float = 0.0
    chambers: int = 0


def size_of(labels: UInt8[np.ndarray, "i j k"], spacing_mm: Sequence[float], labels_of: StructureTable) -> Size:
    """The size of what is labelled."""
    boxes = ndimage.find_objects((labels > 0).view(np.uint8))
    if not boxes:
        return Size()
    labels = labels[boxes[0]]
    chambers = np.isin(np.arange(256), [one.index for one in labels_of.chambers])
    held = np.bincount(labels.ravel(), minlength=256) > 0
    longest_mm, chambers_mm = (_longest_mm(mask, spacing_mm) for mask in (labels > 0, chambers[labels]))
    return Size(longest_mm, chambers_mm, int((held & chambers).sum()))


def checked_size(
    where: str | Path, labels: UInt8[np.ndarray, "i j k"], spacing_mm: Sequence[float], labels_of: StructureTable
) -> Size:
    """:func:`size_of`, unless it is beyond all doubt that the header's unit is not the true one.

    Raises:
        InputError: naming ``where``; a box above :data:`MOST_MM`, or one of several chambers below :data:`LEAST_MM`.
    """
    size = size_of(labels, spacing_mm, labels_of)
    tiny = 0 < size.longest_mm < LEAST_MM and size.chambers >= SEVERAL
    if tiny or size.longest_mm > MOST_MM:
        found = f"a heart {size.longest_mm:.3g} mm long"
        remedy = f"Correct the spacing or its unit in the header{_unit(size)}."
        raise InputError(where, found, f"one of {LEAST_MM:g} to {MOST_MM:g} mm", remedy)
    return size


def doubts(sizes: Mapping[str, Size]) -> list[str]:
    """What is to be said of the sizes of a cohort, by case: a line for each kind of doubt; none if all can be true."""
    lines = []
    large = [name for name, one in sizes.items() if one.chambers and one.chambers_mm > LARGE_CHAMBERS_MM]
    if large:
        most_mm = max(sizes[name].chambers_mm for name in large)
        found = f"chambers up to {most_mm:.0f} mm long, of at most {LARGE_CHAMBERS_MM:g} in a heart"
        lines.append(f"{_named(large)}: {found}; {_misleading([sizes[name].chambers_mm for name in large])}")
    small = [name for name, one in sizes.items() if one.chambers >= SEVERAL and one.longest_mm < SMALL_HEART_MM]
    if small:
        least_mm = min(sizes[name].longest_mm for name in small)
        found = f"hearts of down to {least_mm:.0f} mm, of at least {SMALL_HEART_MM:g} in a newborn"
        lines.append(f"{_named(small)}: {found}; {_misleading([sizes[name].chambers_mm for name in small])}")
    pieces = [name for name, one in sizes.items() if one.chambers < SEVERAL and 0 < one.longest_mm < LEAST_MM]
    if pieces:
        least_mm = min(sizes[name].longest_mm for name in pieces)
        lines.append(
            f"{_named(pieces)}: all that is labelled is down to {least_mm:.2g} mm long; a piece, or no true spacing"
        )
    return lines


def warn_of_sizes(sizes: Mapping[str, Size]) -> None:
    """:func:`doubts` in the log."""
    for line in doubts(sizes):
        LOGGER.warning("%s", line)


def _longest_mm(mask: Bool[np.ndarray, "i j k"], spacing_mm: Sequence[float]) -> float:
    """Longest side of the box of a mask but for crumbs at its ends; 0 of an empty one."""
    sides = [0.0]
    for axis in range(3):
        up_to = np.cumsum(np.count_nonzero(mask, axis=tuple(other for other in range(3) if other != axis)))
        crumbs = CRUMBS * up_to[-1]
        if up_to[-1]:
            first, last = np.searchsorted(up_to, crumbs, "right"), np.searchsorted(up_to, up_to[-1] - crumbs)
            sides.append((last - first + 1) * float(spacing_mm[axis]))
    return float(max(sides))


def _unit(size: Size) -> str:
    """The unit that would make a heart of it, in brackets; nothing if none does."""
    for unit, in_mm in _UNITS.items():
        if 0.4 * USUAL_MM < size.longest_mm * in_mm < 2.5 * USUAL_MM:
            return f" (in {unit} it would be {size.longest_mm * in_mm:.0f} mm long)"
    return ""


def _named(names: Sequence[str]) -> str:
    count = f"{len(names)} case{'s' if len(names) > 1 else ''}"
    return f"{count}, among them {', '.join(names[:3])}" if len(names) > 3 else f"{count}, {', '.join(names)}"


def _misleading(chambers_mm: Sequence[float]) -> str:
    factor = USUAL_MM / float(np.median(chambers_mm))
    return (
        "limits in mm (bridges, contacts, specks) will mislead unless the spacing is true; "
        f"the true one is likely about {factor:.2g} times the header's"
    )
