"""One picture of one completed heart: what was given, what it became, and the truth::

    python -m benchmarks.completion_picture --given PARTIAL --completed COMPLETED --truth TRUTH --case phantom_000 \
        --output docs/images/completed.png

``COMPLETED`` is what ``corfield complete PARTIAL`` has written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import fire
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.label_maps import read_label_map

from .repair_picture import camera_on
from .shaded_surfaces import Body, rendered

PALE = 0.35
"""How much of its colour a given structure keeps beside the completed ones."""


def bodies(labels: UInt8[np.ndarray, "i j k"], pale: Sequence[int] = ()) -> list[Body]:
    """A body for each structure that is there, some of them pale."""
    found = []
    for structure in PUBLIC_CARDIAC_CT:
        color = np.asarray(structure.color) / 255
        if structure.index in pale:
            color = PALE * color + (1 - PALE) * 0.85
        mask = labels == structure.index
        if mask.any():
            found.append(Body(mask, tuple(color.tolist())))
    return found


def completion_picture(
    given: UInt8[np.ndarray, "i j k"],
    completed: UInt8[np.ndarray, "i j k"],
    truth: UInt8[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    path: Path,
) -> None:
    """Write a PNG of three hearts, atomically; in the second the given structures are pale."""
    camera = camera_on(truth > 0, affine)
    shown = [int(index) for index in np.unique(given) if index]
    views = {"given": bodies(given), "completed": bodies(completed, shown), "truth": bodies(truth)}
    figure = Figure(figsize=(15, 5.2), facecolor="white")
    for axes, (name, drawn) in zip(figure.subplots(1, 3), views.items(), strict=True):
        axes.imshow(rendered(drawn, affine, camera))
        axes.set_title(name, fontsize=14)
        axes.set_axis_off()
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.92, wspace=0.02)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.png")
    figure.savefig(unfinished, dpi=80)
    os.replace(unfinished, path)


def main(given: str, completed: str, truth: str, output: str, case: str = "phantom_000") -> None:
    """Draw one case."""
    folders = [Path(given), Path(completed) / "completed", Path(truth)]
    maps = [read_label_map(folder / f"{case}.nii.gz") for folder in folders]
    completion_picture(*(found.labels for found in maps), maps[-1].affine, Path(output))


if __name__ == "__main__":
    fire.Fire(main)
