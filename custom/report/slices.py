"""Slices before and after, with outlines."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Bool
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..anatomy import Structure


def best_slice(mask: Bool[np.ndarray, "i j k"]) -> tuple[int, int]:
    """The axis and position of the slice that shows most of a mask; the middle of the last axis if it is empty."""
    areas = [mask.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    if not mask.any():
        return 2, mask.shape[2] // 2
    axis = int(np.argmax([area.max() for area in areas]))
    return axis, int(areas[axis].argmax())


def draw_panel(
    axes: Axes,
    mask: Bool[np.ndarray, "i j k"],
    truth: Bool[np.ndarray, "i j k"],
    structure: Structure,
    at: tuple[int, int],
    window: tuple[slice, slice],
) -> None:
    """One slice of a mask in the structure's colour, the truth's outline over it."""
    color = np.asarray(structure.color) / 255
    plane, line = (np.take(volume, at[1], axis=at[0])[window] for volume in (mask, truth))
    picture = np.full((*plane.shape, 3), 0.07)
    picture[plane] = color
    axes.imshow(picture.swapaxes(0, 1), origin="lower", interpolation="nearest")
    if line.any() and not line.all():
        axes.contour(line.T.astype(float), levels=[0.5], colors="white", linewidths=0.9)
    axes.set_axis_off()


def before_after(
    masks: Mapping[str, Mapping[str, Bool[np.ndarray, "i j k"]]],
    structures: Sequence[Structure],
    path: Path,
    titles: Mapping[tuple[str, str], str] | None = None,
) -> None:
    """Write a PNG with a row per structure and a column per version.

    Args:
        masks: structure name -> column name -> mask; the column ``truth`` gives the white outline of all.
        structures: the rows.
        path: of the PNG; written atomically.
        titles: (structure, column) -> text above the panel.
    """
    matplotlib.use("Agg")
    columns = [name for name in masks[structures[0].name] if name != "truth"]
    figure = Figure(figsize=(3.2 * len(columns), 3.3 * len(structures)), facecolor="white")
    grid = figure.subplots(len(structures), len(columns), squeeze=False)
    for row, structure in enumerate(structures):
        versions = masks[structure.name]
        at = best_slice(versions["truth"])
        shown = np.any([np.take(mask, at[1], axis=at[0]) for mask in versions.values()], axis=0)
        window = _window(shown)
        for column, name in enumerate(columns):
            axes = grid[row][column]
            draw_panel(axes, versions[name], versions["truth"], structure, at, window)
            axes.set_title((titles or {}).get((structure.name, name), f"{structure.name}: {name}"), fontsize=10)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.png")
    figure.savefig(unfinished, dpi=110)
    os.replace(unfinished, path)


def _window(plane: Bool[np.ndarray, "a b"], margin: int = 4) -> tuple[slice, slice]:
    """A square window around what is to be seen."""
    if not plane.any():
        return slice(None), slice(None)
    places = np.argwhere(plane)
    low, high = places.min(axis=0) - margin, places.max(axis=0) + margin + 1
    half = int((high - low).max() + 1) // 2
    middle = (low + high) // 2
    first, second = (
        slice(max(int(m) - half, 0), min(int(m) + half, size)) for m, size in zip(middle, plane.shape, strict=True)
    )
    return first, second
