"""Signed distances of one ten-structure case, beside the ways others take, on the same points of the same surfaces::

    python -m benchmarks.clouds_speed --output runs/clouds_speed              # one phantom, 256^3

100 000 points all over the frame and 100 000 near the surfaces, each asked for ten structures. Every way runs in a
process of its own:

- ``ours``: all of a cloud, from the label map to the file: surfaces, points, signed distances, writing;
- ``open3d``: ``RaycastingScene.compute_signed_distance`` on the surfaces, if Open3D is installed;
- ``trimesh``: ``contains`` (by rays through an r-tree) and ``ProximityQuery.on_surface``, of a sample of the points,
  its time extrapolated to all of them;
- ``centroid``: the guess that a point is inside if it is nearer to the centroid than 1.5 times its distance to the
  nearest vertex.

A sign is right if it is the label's at the nearest voxel; points within half a voxel's diagonal of the surface are not
judged. Wall and CPU seconds exclude starting Python, importing, and compiling kernels on first use. Printed and written
to OUTPUT/table.md.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fire
import numpy as np
from scipy.spatial import cKDTree

from benchmarks.peak_memory import peak_mb
from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.label_maps import read_label_map
from custom.phantoms.write_cohort import make_cohort
from custom.surfaces.make_cloud import make_cloud
from custom.surfaces.mesh_distance import half_diagonal_mm, labels_at
from custom.surfaces.point_cloud import Cloud
from custom.surfaces.structure_surface import Surface, surfaces_of
from custom.surfaces.surface_sampling import Counts

SAMPLE = 60
"""Points a structure that trimesh is asked for."""

Signed = dict[int, tuple[np.ndarray, np.ndarray]]
"""By structure: which points were asked, and their signed distances."""


def open3d(points_mm: np.ndarray, surfaces: Mapping[int, Surface], taken: dict[str, float]) -> Signed:
    """Exact distances and ray-parity signs by Embree."""
    import open3d as o3d

    found = {}
    for index, surface in surfaces.items():
        scene = o3d.t.geometry.RaycastingScene(nthreads=2)
        vertices = o3d.core.Tensor(surface.vertices_mm.astype(np.float32))
        scene.add_triangles(vertices, o3d.core.Tensor(surface.faces.astype(np.uint32)))
        asked = o3d.core.Tensor(points_mm.astype(np.float32))
        found[index] = (np.arange(len(points_mm)), scene.compute_signed_distance(asked).numpy())
    return found


def trimesh(points_mm: np.ndarray, surfaces: Mapping[int, Surface], taken: dict[str, float]) -> Signed:
    """Rays through an r-tree, of a sample."""
    import trimesh as peer

    rng, found = np.random.default_rng(0), {}
    for index, surface in surfaces.items():
        mesh = peer.Trimesh(surface.vertices_mm, surface.faces, process=False)
        some = rng.choice(len(points_mm), SAMPLE, replace=False)
        mesh.contains(points_mm[some[:2]])  # the tree is built once
        wall, cpu = time.perf_counter(), time.process_time()
        inside = mesh.contains(points_mm[some])
        _, away_mm, _ = peer.proximity.ProximityQuery(mesh).on_surface(points_mm[some])
        times = len(points_mm) / SAMPLE
        taken["wall_s"] = taken.get("wall_s", 0.0) + (time.perf_counter() - wall) * times
        taken["cpu_s"] = taken.get("cpu_s", 0.0) + (time.process_time() - cpu) * times
        found[index] = (some, np.where(inside, -away_mm, away_mm))
    return found


def centroid(points_mm: np.ndarray, surfaces: Mapping[int, Surface], taken: dict[str, float]) -> Signed:
    """Inside is what is nearer to the middle than 1.5 times its distance."""
    found = {}
    for index, surface in surfaces.items():
        away_mm = cKDTree(surface.vertices_mm).query(points_mm)[0]
        inside = np.linalg.norm(points_mm - surface.vertices_mm.mean(axis=0), axis=1) < 1.5 * away_mm
        found[index] = (np.arange(len(points_mm)), np.where(inside, -away_mm, away_mm))
    return found


def ours(case: Path, folder: Path, threads: int, points: int = 100_000) -> dict[str, Any]:
    """From the label map to the file, so many points of either kind."""
    volume = read_label_map(case)
    few = Counts(surface=100, volume=100, near=100)
    make_cloud(volume.labels[::4, ::4, ::4], volume.affine @ np.diag([4, 4, 4, 1.0]), counts=few)  # compiles
    wall, cpu = time.perf_counter(), time.process_time()
    volume = read_label_map(case)
    counts = Counts(surface=max(points // 2, 1), volume=points, near=points)
    cloud = make_cloud(volume.labels, volume.affine, counts=counts, device="cpu", threads=threads)
    cloud.write(folder / "case.npz")
    taken = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "peak_gib": peak_mb() / 1024}
    sdf_mm = np.concatenate([cloud.volume_sdf_mm, cloud.near_sdf_mm])
    every = np.arange(len(sdf_mm))
    return judged(case, folder, {s.index: (every, sdf_mm[:, c]) for c, s in enumerate(cloud.table)}) | taken


def peer(way: Callable[..., Signed], case: Path, folder: Path) -> dict[str, Any]:
    """Another way, on the same points and surfaces."""
    volume = read_label_map(case)
    surfaces = surfaces_of(volume.labels, volume.affine, PUBLIC_CARDIAC_CT)
    cloud = Cloud.read(folder / "case.npz")
    points_mm = np.concatenate([cloud.volume_points_mm, cloud.near_points_mm]).astype(np.float64)
    taken: dict[str, float] = {}
    wall, cpu = time.perf_counter(), time.process_time()
    found = way(points_mm, surfaces, taken)
    taken = {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "peak_gib": peak_mb() / 1024,
    } | taken
    return judged(case, folder, found) | taken


def judged(case: Path, folder: Path, found: Signed) -> dict[str, float]:
    """The share of right signs, of all points and of those inside, and the largest error of a distance."""
    volume, cloud = read_label_map(case), Cloud.read(folder / "case.npz")
    points_mm = np.concatenate([cloud.volume_points_mm, cloud.near_points_mm])
    exact_mm = np.concatenate([cloud.volume_sdf_mm, cloud.near_sdf_mm])
    here = labels_at(points_mm.astype(np.float64), volume.labels, volume.affine)
    right = inside_right = far = inside = 0
    off_mm = 0.0
    for channel, structure in enumerate(cloud.table):
        asked, sdf_mm = found[structure.index]
        off = np.abs(exact_mm[asked, channel]) > half_diagonal_mm(volume.affine)
        own = here[asked] == structure.index
        agree = (sdf_mm < 0) == own
        right, far = right + int((agree & off).sum()), far + int(off.sum())
        inside_right, inside = inside_right + int((agree & off & own).sum()), inside + int((off & own).sum())
        off_mm = max(off_mm, float(np.abs(np.abs(sdf_mm) - np.abs(exact_mm[asked, channel])).max()))
    return {"right": right / far, "inside_right": inside_right / max(inside, 1), "off_mm": off_mm}


def measured(name: str, case: Path, folder: Path, threads: int, points: int, report: Path) -> None:
    """Run one way in this process and note what it took."""
    ways = {"open3d": open3d, "trimesh": trimesh, "centroid": centroid}
    outcome = ours(case, folder, threads, points) if name == "ours" else peer(ways[name], case, folder)
    report.write_text(json.dumps(outcome))


def main(output: str, size: int = 256, seed: int = 0, threads: int = 2, points: int = 100_000) -> None:
    """Make the case, run every way that is installed, print and write the table."""
    folder = Path(output)
    make_cohort(folder / f"cohort_{size}", 1, size, seed)
    case = folder / f"cohort_{size}" / "truth" / "phantom_000.nii.gz"
    (folder / "case.npz").unlink(missing_ok=True)
    lines = [f"{size}^3, ten structures, {2 * points} points, {threads} threads", ""]
    lines += ["| way | wall s | CPU s | peak GiB | right signs | of points inside | largest difference, mm |"]
    lines += ["| - | -: | -: | -: | -: | -: | -: |"]
    for name in ("ours", "open3d", "trimesh", "centroid"):
        if name != "ours" and name != "centroid" and find_spec(name) is None:
            lines.append(f"| {name} | left out: it is not installed |")
            continue
        report = folder / f"{name}.json"
        arguments = (name, case, folder, threads, points, report)
        process = multiprocessing.get_context("spawn").Process(target=measured, args=arguments)
        process.start()
        process.join()
        if process.exitcode:
            lines.append(f"| {name} | cannot run here |")
            continue
        got = json.loads(report.read_text())
        lines.append(
            f"| {name} | {got['wall_s']:.1f} | {got['cpu_s']:.1f} | {got['peak_gib']:.2f} | {got['right']:.4%} | "
            f"{got['inside_right']:.2%} | {got['off_mm']:.3f} |"
        )
    text = "\n".join(lines) + "\n"
    print(text)
    (folder / "table.md").write_text(text)


if __name__ == "__main__":
    fire.Fire(main)
