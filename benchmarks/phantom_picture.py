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
from skimage import measure

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.cohort.defects import damage
from custom.cohort.phantoms import make_heart

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  the backend is chosen first
from matplotlib.patches import Patch  # noqa: E402

PIXEL_MM = 0.3
HALF_WIDTH_MM = 80.0
VIEWS = (("from the front", 12.0, 8.0), ("from behind and left", 128.0, 18.0))
PLANES = (("axial", 2), ("coronal", 1), ("sagittal", 0))
PAPER, INK, AIR = (1.0, 1.0, 1.0), "#303038", (0.09, 0.09, 0.11)


def draw(output: Path | str = "docs/images/phantom.png", seed: int = 0, size: int = 96) -> None:
    """Writes the picture of the first case that ``corfield phantoms --seed SEED --size SIZE`` makes."""
    anatomy, harm = np.random.SeedSequence([seed, 0]).spawn(2)
    truth, affine = make_heart(anatomy, size)
    maps = {"truth": truth, "damaged": damage(truth, [float(affine[0, 0])] * 3, harm)}
    figure, axes = plt.subplots(2, 5, figsize=(17, 7.4), facecolor=PAPER)
    places = [plane_through_heart(truth, axis) for _, axis in PLANES]
    for row, (title, labels) in zip(axes, maps.items(), strict=True):
        for panel, (name, turn_deg, tilt_deg) in zip(row[:2], VIEWS, strict=True):
            show(panel, rendered(labels, affine, turn_deg, tilt_deg), f"{title}, {name}", "antialiased")
        for panel, (name, axis), place in zip(row[2:], PLANES, places, strict=True):
            show(panel, sliced(labels, axis, place), f"{title}, {name}", "nearest")
    patches = [Patch(color=np.array(s.color) / 255, label=s.name) for s in PUBLIC_CARDIAC_CT]
    figure.legend(handles=patches, loc="lower center", ncol=len(patches), frameon=False, fontsize=11, labelcolor=INK)
    figure.subplots_adjust(left=0.005, right=0.995, top=0.95, bottom=0.065, wspace=0.02, hspace=0.1)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=100, metadata={"Software": None})
    plt.close(figure)


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


def rendered(labels: np.ndarray, affine: np.ndarray, turn_deg: float, tilt_deg: float) -> np.ndarray:
    """A shaded picture (rows, columns, 3): the nearest surface at each pixel, lit from the viewer's upper left."""
    turn, tilt = np.deg2rad([turn_deg, tilt_deg])
    level = np.array([-np.sin(turn), np.cos(turn), 0.0])
    right = np.array([-np.cos(turn), -np.sin(turn), 0.0])
    viewer = np.cos(tilt) * level + np.sin(tilt) * np.array([0, 0, 1.0])
    camera = np.stack([right, np.cross(viewer, right), viewer])
    count = int(2 * HALF_WIDTH_MM / PIXEL_MM)
    depth = np.full((count, count), -np.inf)
    picture = np.tile(np.array(PAPER), (count, count, 1))
    light = np.array([-0.45, 0.5, 0.75]) / np.linalg.norm([-0.45, 0.5, 0.75])
    for structure in PUBLIC_CARDIAC_CT:
        points_mm, normals = surface(labels == structure.index, affine, 0.65 if structure.thin else 0.9)
        seen, facing = points_mm @ camera.T, normals @ camera.T
        shade = 0.42 + 0.58 * np.clip(facing @ light, 0, 1)
        gloss = 0.16 * np.clip(facing @ light, 0, 1) ** 24
        colors = np.clip(np.array(structure.color) / 255 * shade[:, None] + gloss[:, None], 0, 1)
        rows = np.clip((HALF_WIDTH_MM - seen[:, 1]) / PIXEL_MM, 0, count - 1).astype(int)
        columns = np.clip((HALF_WIDTH_MM + seen[:, 0]) / PIXEL_MM, 0, count - 1).astype(int)
        order = np.argsort(seen[:, 2])
        rows, columns, near = rows[order], columns[order], seen[order, 2]
        closest = np.full_like(depth, -np.inf)
        layer = np.zeros_like(picture)
        closest[rows, columns], layer[rows, columns] = near, colors[order]
        front = closest > depth
        depth[front], picture[front] = closest[front], layer[front]
    return outlined(picture, depth)


def surface(mask: np.ndarray, affine: np.ndarray, soften_voxels: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) in mm densely over a structure's surface, and the normals there; none if it is absent."""
    if not mask.any():
        return np.zeros((0, 3)), np.zeros((0, 3))
    soft = ndimage.gaussian_filter(np.pad(mask, 2).astype(np.float32), soften_voxels)
    vertices, faces, normals, _ = measure.marching_cubes(soft, 0.42)
    steps = int(np.ceil(1.6 * affine[0, 0] / PIXEL_MM))
    weights = np.array([(a, b, steps - a - b) for a in range(steps + 1) for b in range(steps + 1 - a)]) / steps
    points = np.einsum("wc,fcx->fwx", weights, vertices[faces]).reshape(-1, 3) - 2
    directions = np.einsum("wc,fcx->fwx", weights, normals[faces]).reshape(-1, 3)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-6)
    return points @ affine[:3, :3].T + affine[:3, 3], directions


def outlined(picture: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Darkens what lies just behind an edge, so that one vessel crossing another is seen to cross it."""
    known = np.where(np.isfinite(depth), depth, -90.0)
    behind = np.clip(ndimage.gaussian_filter(ndimage.maximum_filter(known, 11), 2) - known, 0, 14) / 14
    behind[~np.isfinite(depth)] = 0
    return picture * (1 - 0.5 * behind[..., None])


if __name__ == "__main__":
    fire.Fire(draw)
