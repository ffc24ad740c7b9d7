"""One picture of some structures of one repaired case: before, after and in truth::

    python -m benchmarks.repair_picture --repaired runs/repair/phantoms_0/out --labels runs/repair/cohort_0/labels \
        --truth runs/repair/cohort_0/truth --output docs/images/before_after.png
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import fire
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from custom.anatomy import PUBLIC_CARDIAC_CT, Structure
from custom.data.label_maps import read_label_map

from .shaded_surfaces import Body, Camera, rendered

VERSIONS = ("damaged", "repaired", "truth")


def most_telling_slice(before: Bool[np.ndarray, "i j k"], truth: Bool[np.ndarray, "i j k"]) -> tuple[int, int]:
    """The axis and position of the slice where ``before`` differs most from the truth; the middle if nowhere.

    Only slices that show at least half of what the truth's largest slice along that axis shows are asked.
    """
    best = (0, 2, truth.shape[2] // 2)
    for axis in range(3):
        across = tuple(a for a in range(3) if a != axis)
        shown, wrong = truth.sum(axis=across), (before ^ truth).sum(axis=across)
        wrong = np.where(2 * shown >= shown.max(), wrong, 0)
        best = max(best, (int(wrong.max()), axis, int(wrong.argmax())), key=lambda found: found[0])
    return best[1], best[2]


def camera_on(truth: Bool[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"]) -> Camera:
    """From the front and a little from the left, filled by the structure."""
    places = np.argwhere(truth) if truth.any() else np.zeros((1, 3))
    places_mm = places @ affine[:3, :3].T + affine[:3, 3]
    low, high = places_mm.min(axis=0), places_mm.max(axis=0)
    x, y, z = (float(value) for value in (low + high) / 2)
    half_width_mm = max(0.6 * float((high - low).max()), 5.0)
    return Camera(30.0, 12.0, (x, y, z), half_width_mm, half_width_mm / 170)


def before_after(
    masks: Mapping[str, Mapping[str, Bool[np.ndarray, "i j k"]]],
    structures: Sequence[Structure],
    affine: Float[np.ndarray, "4 4"],
    path: Path,
) -> None:
    """Write a PNG with a row per structure: three surfaces, and the slice the damage changed most, before and after.

    Args:
        masks: structure name -> ``damaged``, ``repaired`` and ``truth`` -> mask.
        structures: the rows.
        affine: of the masks.
        path: of the PNG; written atomically.
    """
    figure = Figure(figsize=(15, 3.1 * len(structures)), facecolor="white")
    grid = figure.subplots(len(structures), len(VERSIONS) + 2, squeeze=False)
    for row, structure in zip(grid, structures, strict=True):
        versions = masks[structure.name]
        camera = camera_on(versions["truth"], affine)
        color = tuple(float(part) / 255 for part in structure.color)
        for axes, name in zip(row, VERSIONS, strict=False):
            axes.imshow(rendered([Body(versions[name], color)], affine, camera))  # type: ignore[arg-type]
            axes.set_title(f"{structure.name}: {name}", fontsize=11)
        at = most_telling_slice(versions["damaged"], versions["truth"])
        window = _window(np.any([np.take(mask, at[1], axis=at[0]) for mask in versions.values()], axis=0))
        for axes, name in zip(row[len(VERSIONS) :], VERSIONS[:2], strict=True):
            _draw_slice(axes, versions[name], versions["truth"], structure, at, window)
            axes.set_title(f"{name}; white: truth", fontsize=11)
        for axes in row:
            axes.set_axis_off()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.png")
    figure.savefig(unfinished, dpi=90)
    os.replace(unfinished, path)


def _draw_slice(
    axes: Axes,
    mask: Bool[np.ndarray, "i j k"],
    truth: Bool[np.ndarray, "i j k"],
    structure: Structure,
    at: tuple[int, int],
    window: tuple[slice, slice],
) -> None:
    plane, line = (np.take(volume, at[1], axis=at[0])[window] for volume in (mask, truth))
    picture = np.full((*plane.shape, 3), 0.07)
    picture[plane] = np.asarray(structure.color) / 255
    axes.imshow(picture.swapaxes(0, 1), origin="lower", interpolation="nearest")
    if line.any() and not line.all():
        axes.contour(line.T.astype(float), levels=[0.5], colors="white", linewidths=0.9)


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


def main(
    repaired: str,
    labels: str,
    truth: str,
    output: str,
    case: str = "phantom_000",
    structures: Sequence[str] = ("LA", "LAA", "Coronary"),
) -> None:
    """Draw the structures of one case from a repair's output, its input and its truth."""
    chosen = [PUBLIC_CARDIAC_CT[name] for name in ([structures] if isinstance(structures, str) else structures)]
    folders = {"damaged": Path(labels), "repaired": Path(repaired) / "repaired", "truth": Path(truth)}
    maps = {version: read_label_map(folder / f"{case}.nii.gz") for version, folder in folders.items()}
    masks = {
        structure.name: {version: found.labels == structure.index for version, found in maps.items()}
        for structure in chosen
    }
    before_after(masks, chosen, maps["truth"].affine, Path(output))


if __name__ == "__main__":
    fire.Fire(main)
