"""Signed distances near the surface against the phantoms' analytic anatomy, by the way the surface is made::

    python -m benchmarks.clouds_accuracy --output runs/clouds_accuracy --cases 2 --size 96

The truth is the zero of each structure's own function, with its neighbours and the end of the scan cut out as the
phantom's labels have it, triangulated on a grid of 0.6 mm; the labels are the same function at 1.5 mm. Points are
scattered round the true surface with a standard deviation of one voxel. Reported are the mean error of the signed
distance in voxels, and the enclosed volume as a share of the label's voxels:

- ``EDT``: the distance transform of the mask, less half a voxel on each side, interpolated;
- ``staircase``: the exact distance to marching cubes on the mask;
- ``sinc``: to the surface smoothed by VTK's windowed sinc (k = 0.4), if VTK is installed;
- ``ours``: to the surface that clouds are made of: smoothed, swelled to its volume, no voxel changing sides.

Printed and written to OUTPUT/table.md.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import fire
import numpy as np
from scipy import ndimage
from skimage import measure

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.phantoms import phantom_heart
from custom.surfaces.mesh_query import MeshQuery
from custom.surfaces.structure_surface import PASSBAND, STAIRCASE, Surface, surface_of

FINE = 240
"""Voxels a side of the grid that the truth is triangulated on."""

POINTS = 5000
Distances = Callable[[np.ndarray], np.ndarray]


def true_surfaces(seed: int, size: int) -> dict[int, Surface]:
    """The surface of each structure's own function, in world mm."""
    heart = phantom_heart._draw_heart(seed, phantom_heart.FIELD_OF_VIEW_MM / size)
    spacing_mm = phantom_heart.FIELD_OF_VIEW_MM / FINE
    first_mm = (spacing_mm - phantom_heart.FIELD_OF_VIEW_MM) / 2
    places_mm = first_mm + spacing_mm * np.arange(FINE)
    values = np.empty((len(PUBLIC_CARDIAC_CT), FINE, FINE, FINE), np.float32)
    for slab in range(FINE):
        axes = np.meshgrid(places_mm[slab : slab + 1], places_mm, places_mm, indexing="ij")
        for index, own in bounded(heart, np.stack(axes, axis=-1).reshape(-1, 3)).items():
            values[index - 1, slab] = own.reshape(FINE, FINE)
    labels = np.zeros((FINE,) * 3, np.uint8)
    for structure in PUBLIC_CARDIAC_CT:
        labels[values[structure.index - 1] < 0] = structure.index
    whole = phantom_heart._without_crumbs(labels.copy())
    surfaces = {}
    for structure in PUBLIC_CARDIAC_CT:
        value = values[structure.index - 1].clip(-3, 3)
        value[(labels == structure.index) & (whole == 0)] = 0.1
        vertices, faces, _, _ = measure.marching_cubes(np.pad(value, 1, constant_values=3.0), 0.0, method="lorensen")
        surfaces[structure.index] = Surface(
            (vertices.astype(np.float64) - 1) * spacing_mm + first_mm, outwards(vertices, faces)
        )
    return surfaces


def outwards(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The triangles counterclockwise seen from outside."""
    ordered = np.ascontiguousarray(faces, dtype=np.int32)
    return ordered if Surface(vertices.astype(np.float64), ordered).volume_mm3 > 0 else ordered[:, ::-1].copy()


def bounded(heart: phantom_heart.PhantomHeart, points_mm: np.ndarray) -> dict[int, np.ndarray]:
    """Each structure's function with its neighbours and the end of the scan cut out: below 0 where it is the label."""
    mean_mm = heart.to_mean_chest(points_mm)
    fields = {name: field(mean_mm) for name, field in heart.fields.items()}
    scan_mm = np.maximum(heart.scan_mm[0] - points_mm[:, 2], points_mm[:, 2] - heart.scan_mm[1])
    before, found = np.full(len(points_mm), np.inf), {}
    for name, gaps_mm in phantom_heart._DRAWN:
        own = np.maximum(np.maximum(fields[name], scan_mm), -before)
        for other, gap_mm in gaps_mm.items():
            own = np.maximum(own, gap_mm - fields[other])
        before = np.minimum(before, own)
        found[PUBLIC_CARDIAC_CT[name].index] = own
    return found


def exact(surface: Surface) -> Distances:
    """Signed distances to a surface, its own side for all of them."""
    middle_mm = surface.vertices_mm.mean(axis=0)
    query = MeshQuery(surface.vertices_mm - middle_mm, surface.faces, "cpu")

    def ask(points_mm: np.ndarray) -> np.ndarray:
        away_mm, side = query.ask(points_mm - middle_mm, band=1e6)
        return np.asarray(away_mm * side)

    return ask


def transform(mask: np.ndarray, affine: np.ndarray) -> Distances:
    """The distance transform less half a voxel on each side, for isotropic voxels."""
    spacing_mm = affine[0, 0]
    signed = np.where(mask, 0.5 - ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask) - 0.5)

    def ask(points_mm: np.ndarray) -> np.ndarray:
        voxels = (points_mm - affine[:3, 3]) / spacing_mm
        return np.asarray(spacing_mm * ndimage.map_coordinates(signed, voxels.T, order=1, mode="nearest"))

    return ask


def by_vtk(plain: Surface) -> Surface:
    """VTK's windowed sinc on the staircase."""
    import vtk
    from vtk.util import numpy_support

    points, cells, mesh = vtk.vtkPoints(), vtk.vtkCellArray(), vtk.vtkPolyData()
    points.SetData(numpy_support.numpy_to_vtk(plain.vertices_mm, deep=True))
    cells.SetData(3, numpy_support.numpy_to_vtkIdTypeArray(plain.faces.astype(np.int64).ravel(), deep=True))
    mesh.SetPoints(points)
    mesh.SetPolys(cells)
    smoother = vtk.vtkWindowedSincPolyDataFilter()
    smoother.SetInputData(mesh)
    smoother.SetNumberOfIterations(20)
    smoother.SetPassBand(PASSBAND)
    smoother.BoundarySmoothingOff()
    smoother.FeatureEdgeSmoothingOff()
    smoother.NonManifoldSmoothingOn()
    smoother.NormalizeCoordinatesOn()
    smoother.Update()
    moved = numpy_support.vtk_to_numpy(smoother.GetOutput().GetPoints().GetData()).astype(np.float64)
    return Surface(moved, plain.faces)


def main(output: str, cases: int = 2, size: int = 96, seed: int = 100) -> None:
    """Measure, print and write the table."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    ways = ["EDT", "staircase", *(["sinc"] if find_spec("vtk") else []), "ours"]
    errors: dict[tuple[int, str], list[float]] = {}
    volumes: dict[tuple[int, str], list[float]] = {}
    for case in range(seed, seed + cases):
        labels, affine = phantom_heart.make_heart(case, size)
        rng = np.random.default_rng(case)
        for index, true in true_surfaces(case, size).items():
            mask = labels == index
            near_mm = true.vertices_mm[rng.integers(0, len(true.vertices_mm), POINTS)]
            near_mm = near_mm + rng.normal(size=near_mm.shape) * affine[0, 0]
            true_mm = exact(true)(near_mm)
            plain = surface_of(mask, affine, STAIRCASE)
            surfaces = {"staircase": plain, "ours": surface_of(mask, affine)}
            if "sinc" in ways:
                surfaces["sinc"] = by_vtk(plain)
            for way in ways:
                ask = transform(mask, affine) if way == "EDT" else exact(surfaces[way])
                off = float(np.abs(ask(near_mm) - true_mm).mean() / affine[0, 0])
                errors.setdefault((index, way), []).append(off)
                if way in surfaces:
                    share = surfaces[way].volume_mm3 / (mask.sum() * affine[0, 0] ** 3)
                    volumes.setdefault((index, way), []).append(share)
    text = table(ways, errors, volumes, f"{cases} phantoms, {size}^3, {POINTS} points a structure")
    print(text)
    (folder / "table.md").write_text(text)


def table(
    ways: list[str],
    errors: dict[tuple[int, str], list[float]],
    volumes: dict[tuple[int, str], list[float]],
    heading: str,
) -> str:
    """Mean error in voxels by structure and way, and what is left of the volume."""
    shown = [way for way in ways if way != "EDT"]
    head = [*(f"error {way}" for way in ways), *(f"volume {way}" for way in shown)]
    lines = [heading, "", "| structure | " + " | ".join(head) + " |", "| - |" + " -: |" * len(head)]
    for structure in PUBLIC_CARDIAC_CT:
        row = [f"{np.mean(errors[structure.index, way]):.3f}" for way in ways]
        row += [f"{np.mean(volumes[structure.index, way]):.3f}" for way in shown]
        lines.append(f"| {structure.name} | " + " | ".join(row) + " |")
    means = [f"{np.mean([np.mean(errors[s.index, way]) for s in PUBLIC_CARDIAC_CT]):.3f}" for way in ways]
    lines.append("| mean | " + " | ".join([*means, *[""] * len(shown)]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    fire.Fire(main)
