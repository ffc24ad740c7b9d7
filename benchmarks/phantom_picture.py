"""Draws one phantom heart, clean and damaged: two views of its surfaces and three planes::

    python -m benchmarks.phantom_picture --output docs/images/phantom.png

Planes are shown as a radiologist reads them: the patient's right is on the left, front (axial) or head is up.
"""

from __future__ import annotations

from pathlib import Path

import fire
import matplotlib
import numpy as np
from scipy import ndimage

from benchmarks.shaded_surfaces import PAPER, Body, Camera, rendered
from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.phantoms.damage import damage
from custom.phantoms.phantom_heart import make_heart

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  the backend is chosen first
from matplotlib.patches import Patch  # noqa: E402

VIEWS = (("from the front", 12.0, 8.0), ("from behind and left", 128.0, 18.0))
PLANES = (("axial", 2), ("coronal", 1), ("sagittal", 0))
INK, AIR = "#303038", (0.09, 0.09, 0.11)


def draw(output: Path | str = "docs/images/phantom.png", seed: int = 0, size: int = 96) -> None:
    """Writes the picture of the first case that ``corfield phantoms --seed SEED --size SIZE`` makes."""
    anatomy, harm = np.random.SeedSequence([seed, 0]).spawn(2)
    truth, affine = make_heart(anatomy, size)
    maps = {"truth": truth, "damaged": damage(truth, [float(affine[0, 0])] * 3, harm)}
    figure, axes = plt.subplots(2, 5, figsize=(17, 7.4), facecolor=PAPER)
    places = [plane_through_heart(truth, axis) for _, axis in PLANES]
    for row, (title, labels) in zip(axes, maps.items(), strict=True):
        for panel, (name, turn_deg, tilt_deg) in zip(row[:2], VIEWS, strict=True):
            show(panel, rendered(bodies(labels), affine, Camera(turn_deg, tilt_deg)), f"{title}, {name}", "antialiased")
        for panel, (name, axis), place in zip(row[2:], PLANES, places, strict=True):
            show(panel, sliced(labels, axis, place), f"{title}, {name}", "nearest")
    patches = [Patch(color=np.array(s.color) / 255, label=s.name) for s in PUBLIC_CARDIAC_CT]
    figure.legend(handles=patches, loc="lower center", ncol=len(patches), frameon=False, fontsize=11, labelcolor=INK)
    figure.subplots_adjust(left=0.005, right=0.995, top=0.95, bottom=0.065, wspace=0.02, hspace=0.1)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=100, metadata={"Software": None})
    plt.close(figure)


def bodies(labels: np.ndarray) -> list[Body]:
    """Every structure in its colour; the thick ones softened more, so that only their damage shows and not the grid."""
    return [
        Body(labels == one.index, tuple(part / 255 for part in one.color), 0.65 if one.thin else 0.9)
        for one in PUBLIC_CARDIAC_CT
    ]


def show(panel: plt.Axes, image: np.ndarray, title: str, interpolation: str) -> None:
    panel.imshow(image, interpolation=interpolation)
    panel.set_title(title, fontsize=11, color=INK)
    panel.axis("off")


def plane_through_heart(labels: np.ndarray, axis: int) -> int:
    """The plane that shows most structures, most of all the valves' level, where the four chambers meet."""
    planes = np.moveaxis(labels, axis, 0)
    weights = [np.sqrt(np.bincount(plane.ravel(), minlength=11)[1:]).sum() for plane in planes]
    return int(np.argmax(ndimage.gaussian_filter1d(np.array(weights), 2)))


def sliced(labels: np.ndarray, axis: int, place: int) -> np.ndarray:
    palette = np.vstack([[AIR], [np.array(s.color) / 255 for s in PUBLIC_CARDIAC_CT]])
    plane = palette[np.take(labels, place, axis=axis)]
    # Columns run to the patient's left (axial, coronal) or back (sagittal), rows down.
    return np.swapaxes(plane[::-1, ::-1], 0, 1)


if __name__ == "__main__":
    fire.Fire(draw)
