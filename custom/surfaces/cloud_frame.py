"""The frame of a cloud: a fixed number of mm in one unit, and a centre that no structure decides (requirement B1).

Size and place stay information: hearts are neither scaled to one size nor moved to their own middle. Above all the
frame must not move when a structure is missing, or a network sees one heart in two places; so nothing here looks at
a label. The centre is that of the label map's grid, which a cardiac scan lays round the heart; or, for data sets that
are registered to one space, a fixed place in it. What is left, some mm from case to case, is what a network learns to
bear from shifted examples.

The unit is one for a whole data set, so that size stays information. It follows the data: 100 mm hold a heart in a scan
of its own; crops that were resized to a cube and given voxels of 1 mm hold hearts of up to 240 mm, half of whose aorta
would lie beyond. So the default grows until every labelled box lies within, and never falls below 100 mm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float64

from ..errors import InputError

SCALE_MM = 100.0
"""Half the side of the frame's cube: 200 mm hold a heart with its great vessels, and the field of a cardiac CT."""

MARGIN_MM, STEP_MM = 2.0, 5.0
"""What a larger frame has to spare at least, and what it is a multiple of: another case hardly ever moves it."""

WIDE_MM = 200.0
"""A frame beyond it is mostly empty, and what is drawn in it coarse: one case lies far from the middle of its grid."""

_ROUNDING_MM = 0.01


def grid_centre_mm(shape: Sequence[int], affine: Float[np.ndarray, "4 4"]) -> Float64[np.ndarray, "3"]:
    """World mm of the middle of a grid."""
    middle = (np.asarray(shape, np.float64) - 1) / 2
    return np.asarray(np.asarray(affine, np.float64)[:3, :3] @ middle + np.asarray(affine)[:3, 3])


def frame_centre_mm(
    shape: Sequence[int], affine: Float[np.ndarray, "4 4"], centre: Sequence[float] = ()
) -> Float64[np.ndarray, "3"]:
    """The place given, in world mm; the middle of the grid if there is none.

    Raises:
        InputError: not three finite numbers.
    """
    if not len(centre):
        return grid_centre_mm(shape, affine)
    place = np.asarray(centre, np.float64)
    if place.shape != (3,) or not np.isfinite(place).all():
        raise InputError("centre", str(centre), "three numbers, world mm", "Write them as x,y,z, or leave it out.")
    return place


def frame_box_mm(
    shape: Sequence[int], affine: Float[np.ndarray, "4 4"], centre_mm: Float[np.ndarray, "3"], scale_mm: float
) -> Float64[np.ndarray, "2 3"]:
    """Lowest and highest world mm of what a grid's voxels and the frame's cube have in common, axes-parallel.

    Raises:
        InputError: they have nothing in common.
    """
    corners = np.asarray(np.meshgrid(*([-0.5, size - 0.5] for size in shape), indexing="ij")).reshape(3, -1).T
    world = corners @ np.asarray(affine, np.float64)[:3, :3].T + np.asarray(affine)[:3, 3]
    low_mm = np.maximum(world.min(axis=0), centre_mm - scale_mm)
    high_mm = np.minimum(world.max(axis=0), centre_mm + scale_mm)
    if (low_mm >= high_mm).any():
        found = f"a frame round {centre_mm.round(1).tolist()} mm that misses the label map"
        raise InputError("centre", found, "one that holds it", "Leave the centre out, or correct it.")
    return np.stack([low_mm, high_mm])


def reach_mm(box_mm: Float[np.ndarray, "2 3"], centre_mm: Sequence[float] | Float[np.ndarray, "3"]) -> float:
    """How far a box reaches from the frame's centre along any axis: the scale that would just hold it."""
    return float(np.abs(np.asarray(box_mm) - np.asarray(centre_mm)).max())


def holding_scale_mm(most_mm: float) -> float:
    """The scale by which a frame holds what reaches so far: the default if it does, or else one with a margin."""
    if most_mm <= SCALE_MM + _ROUNDING_MM:
        return SCALE_MM
    return STEP_MM * math.ceil((most_mm + MARGIN_MM) / STEP_MM)


def beyond_frame(reaches_mm: Mapping[str, float], scale_mm: float | int) -> dict[str, float]:
    """Of the cases those that a frame does not hold, the furthest first."""
    over = {name: reach for name, reach in reaches_mm.items() if reach > scale_mm + _ROUNDING_MM}
    return dict(sorted(over.items(), key=lambda one: -one[1]))


def reaching(reaches_mm: Mapping[str, float], shown: int = 5) -> str:
    """Some cases and how far they reach: ``a (121 mm), b (104 mm) and 2 more``."""
    named = ", ".join(f"{name} ({reach:.0f} mm)" for name, reach in list(reaches_mm.items())[:shown])
    return named + (f" and {len(reaches_mm) - shown} more" if len(reaches_mm) > shown else "")


def refuse_too_small(reaches_mm: Mapping[str, float], scale_mm: float | int) -> None:
    """Refuse a scale that does not hold every case.

    Raises:
        InputError: naming the cases, how far they reach, and the scale that would hold them.
    """
    over = beyond_frame(reaches_mm, scale_mm)
    if over:
        found = f"{scale_mm:g}, beyond which {len(over)} of {len(reaches_mm)} cases reach: {reaching(over)}"
        wanted = f"at least {holding_scale_mm(max(over.values())):g}"
        remedy = "Give that or 0, crop these label maps to the heart, or correct their spacing."
        raise InputError("--scale_mm", found, wanted, remedy)


def data_scale_mm(reaches_mm: Mapping[str, float], given_mm: float | int = 0.0) -> float:
    """The scale of a data set: the one that was given, or else the least that holds every case.

    Args:
        reaches_mm: :func:`reach_mm` of each case by its name; one with nothing labelled is left out.
        given_mm: 0 for one by the data.

    Raises:
        InputError: as :func:`refuse_too_small`.
    """
    if given_mm:
        refuse_too_small(reaches_mm, given_mm)
        return float(given_mm)
    return holding_scale_mm(max(reaches_mm.values(), default=0.0))


def frame_in_words(reaches_mm: Mapping[str, float], scale_mm: float) -> str:
    """A line on a frame, and on the case that reaches the furthest."""
    text = f"frame: a cube of {2 * scale_mm:g} mm round each centre, --scale_mm {scale_mm:g}"
    if not reaches_mm:
        return text
    name = max(reaches_mm, key=lambda one: reaches_mm[one])
    text += f"; {name} reaches the furthest, {reaches_mm[name]:.0f} mm"
    wide = "; that is WIDE, and what is drawn in it coarse: crop to the heart what lies far from the middle"
    return text + (wide if scale_mm > WIDE_MM else "")
