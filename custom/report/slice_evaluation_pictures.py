"""Pictures of a shape drawn from one slice: what was seen, and slice by slice what came of it (C5).

Every slice is upright as on a radiologist's screen: front or head up, the patient's right on the left.
"""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import Bool, Float, Float64
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import ndimage

from ..slices.cut_slices import cut, windowed
from ..slices.slice_file import Slice
from .slice_pictures import ADDED, REMOVED, STAGE

Color = tuple[float, float, float]

PLANES = ("sagittal", "coronal", "axial")
MOST_SLICES = 9
INK = (0.67, 0.70, 0.75)
RIGHT, SEEN = (0.80, 0.83, 0.88), (1.0, 0.85, 0.30)
"""The part that prediction and truth share; the outline of the pointmap, and the frame of the slice that was seen."""

_MARGIN = 2


def upright(picture: np.ndarray) -> np.ndarray:
    """A slice of a cube, or a picture [rows, columns, 3] of it, as it is shown."""
    return np.swapaxes(picture, 0, 1)[::-1, ::-1]


def places_seen(one: Slice, structure: str) -> Bool[np.ndarray, "h w"]:
    """Where the structure is by the pointmap: its world mm through the affine's inverse, not the mask.

    A pointmap with an axis wrong shows an outline that is not the mask's.
    """
    mask, place_mm = one.of_structure(structure)
    inverse = np.linalg.inv(one.affine)
    known = place_mm[np.isfinite(place_mm).all(axis=-1)].astype(np.float64)
    ijk = np.rint(known @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    across = [axis for axis in range(3) if axis != one.axis]
    rows, columns = ijk[:, across[0]], ijk[:, across[1]]
    seen, (h, w) = np.zeros_like(mask), mask.shape
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    inside &= ijk[:, one.axis] == one.slice_idx
    seen[rows[inside], columns[inside]] = True
    return seen


def overlay_picture(one: Slice, structure: str, drawn: Bool[np.ndarray, "s s s"], color: Color) -> bytes:
    """PNG: the slice, with its mask and the pointmap's outline, and with what was drawn there.

    Args:
        one: the slice that was seen.
        structure: which one was drawn.
        drawn: the prediction, in the slice's cube.
        color: of the structure, 0 to 1.
    """
    mask, _ = one.of_structure(structure)
    grey = np.repeat(one.image[..., None], 3, axis=-1).astype(np.float64)
    figure = _figure(7.6, 3.0)
    plain, seen, answered = figure.subplots(1, 3)
    _show(plain, upright(grey), f"{one.case}, {PLANES[one.axis]} slice {one.slice_idx}")
    _show(seen, upright(_tinted(grey, mask, color)), "mask and outline of the pointmap")
    _outline(seen, places_seen(one, structure), SEEN)
    at = cut(drawn, one.axis, one.slice_idx)
    _show(answered, upright(_tinted(grey, at, color)), "what was drawn here, and the mask's outline")
    _outline(answered, mask, SEEN)
    return _png(figure)


def grid_picture(
    image_hu: Float[np.ndarray, "s s s"],
    drawn: Bool[np.ndarray, "s s s"],
    truth: Bool[np.ndarray, "s s s"],
    axis: int,
    seen_at: int,
    color: Color,
) -> bytes:
    """PNG: slice by slice along an axis the prediction, the truth and the difference.

    At most :data:`MOST_SLICES` slices from the first to the last that hold either, the one that was seen among them
    with a frame; cropped to what is shown. Both empty: the seen slice alone.

    Args:
        image_hu: the scan.
        drawn, truth: on its grid.
        axis, seen_at: which slice the network saw.
        color: of the structure, 0 to 1.
    """
    places = shown_slices(drawn | truth, axis, seen_at)
    grey = np.repeat(windowed(image_hu)[..., None], 3, axis=-1).astype(np.float64)
    window = _window((drawn | truth).any(axis=axis))
    figure = _figure(1.05 * len(places) + 0.5, 3.5)
    rows = figure.subplots(3, len(places), squeeze=False)
    for column, at in enumerate(places):
        back = np.take(grey, at, axis=axis)[window]
        found, wanted = (cut(volume, axis, at)[window] for volume in (drawn, truth))
        pictures = (_tinted(back, found, color), _tinted(back, wanted, color), difference_picture(found, wanted))
        for line, picture in enumerate(pictures):
            here = rows[line, column]
            _show(here, upright(picture), f"{at}" if line == 0 else "")
            if at == seen_at:
                here.add_patch(_frame(picture))
    for line, name in enumerate(("prediction", "truth", "difference")):
        rows[line, 0].set_ylabel(name, color=INK, fontsize=7)
    return _png(figure)


def shown_slices(shape: Bool[np.ndarray, "s s s"], axis: int, seen_at: int) -> list[int]:
    """Slices across an axis, evenly spread over those that hold something, the seen one among them, in order."""
    others = tuple(other for other in range(3) if other != axis)
    held = np.flatnonzero(shape.any(axis=others))
    if not held.size:
        return [seen_at]
    low, high = min(int(held[0]), seen_at), max(int(held[-1]), seen_at)
    places = np.unique(np.rint(np.linspace(low, high, min(high - low + 1, MOST_SLICES))).astype(int))
    if seen_at not in places:
        places[np.abs(places - seen_at).argmin()] = seen_at
    return [int(at) for at in places]


def difference_picture(drawn: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"]) -> Float64[np.ndarray, "h w 3"]:
    """What both have in grey, what is drawn too much and what is missing in colour."""
    picture = np.tile(np.array(STAGE), (*drawn.shape, 1))
    picture[drawn & truth] = RIGHT
    picture[drawn & ~truth] = ADDED
    picture[~drawn & truth] = REMOVED
    return picture


def _tinted(grey: Float64[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"], color: Color) -> np.ndarray:
    picture = 0.9 * grey
    picture[mask] = 0.45 * picture[mask] + 0.55 * np.asarray(color)
    return picture


def _window(shown: Bool[np.ndarray, "h w"]) -> tuple[slice, slice]:
    if not shown.any():
        return slice(None), slice(None)
    rows, columns = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
    first, second = (slice(max(int(at[0]) - _MARGIN, 0), int(at[-1]) + 1 + _MARGIN) for at in (rows, columns))
    return first, second


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=120, facecolor=STAGE, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _show(axes: Axes, picture: np.ndarray, title: str) -> None:
    axes.imshow(np.clip(picture, 0, 1), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, color=INK, fontsize=7)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _outline(axes: Axes, mask: Bool[np.ndarray, "h w"], color: Color) -> None:
    """The border of a mask's pixels, as a line between the pixels."""
    fine = np.kron(np.pad(upright(mask), 1), np.ones((8, 8)))
    fine = ndimage.uniform_filter(fine, 3)
    lines = (np.arange(fine.shape[0]) + 0.5) / 8 - 1.5, (np.arange(fine.shape[1]) + 0.5) / 8 - 1.5
    limits = axes.get_xlim(), axes.get_ylim()
    if fine.any():
        axes.contour(lines[1], lines[0], fine, levels=[0.5], colors=[color], linewidths=0.9)
    axes.set(xlim=limits[0], ylim=limits[1])


def _frame(picture: np.ndarray) -> Rectangle:
    columns, rows = picture.shape[:2]
    return Rectangle((-0.5, -0.5), columns, rows, fill=False, edgecolor=SEEN, linewidth=2)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": "CorField"})
    return stream.getvalue()
