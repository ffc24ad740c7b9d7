"""Label smoothers that go by way of a surface: VTK's (as 3D Slicer uses them) and SimpleITK's.

vtk and SimpleITK come with the extra ``benchmarks`` and are imported where they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from custom.anatomy import StructureTable
from custom.volumes.morphology import foreground_box

Labels = UInt8[np.ndarray, "i j k"]
Spacing = tuple[float, float, float]
Peer = Callable[[Labels, Spacing, StructureTable], Labels]

MARGIN_VOXELS = 4


def surface_nets(labels: Labels, spacing_mm: Spacing, table: StructureTable) -> Labels:
    """vtkSurfaceNets3D: all structures' walls as one net, relaxed together, each structure voxelised again.

    Its own smoothing as it comes: constrained Laplacian, 16 iterations, relaxation 0.5.
    """
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    padded = np.pad(labels, MARGIN_VOXELS)
    net = vtk.vtkSurfaceNets3D()
    net.SetInputData(_image(padded, spacing_mm))
    net.SetNumberOfLabels(len(table))
    for place, index in enumerate(table.indices):
        net.SetLabel(place, index)
    net.SetOutputMeshTypeToTriangles()
    net.Update()
    wall = net.GetOutput()
    if not wall.GetNumberOfPolys():
        return labels.copy()
    # each triangle parts two labels; a structure's surface is all triangles with it on either side
    sides = vtk_to_numpy(wall.GetCellData().GetArray("BoundaryLabels"))
    corners = vtk_to_numpy(wall.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    masks = {}
    for index in table.indices:
        own = corners[(sides == index).any(axis=1)]
        if len(own):
            masks[index] = _unpadded(_voxelised(_mesh(wall.GetPoints(), own), padded.shape, spacing_mm))
    return by_priority(masks, labels.shape, table)


def windowed_sinc(labels: Labels, spacing_mm: Spacing, table: StructureTable, strength: float) -> Labels:
    """Flying edges and windowed sinc (Taubin et al., 1996) per structure, voxelised again, composed by fusion rank.

    3D Slicer's joint smoothing: 20 iterations, pass band 10^(-4 strength), its slider at ``strength`` (default 0.5).
    """
    import vtk

    masks = {}
    for index in table.indices:
        box = foreground_box(labels == index)
        if box is None:
            continue
        padded = np.pad((labels[box] == index).astype(np.uint8), MARGIN_VOXELS)
        edges = vtk.vtkDiscreteFlyingEdges3D()
        edges.SetInputData(_image(padded, spacing_mm))
        edges.SetValue(0, 1)
        sinc = vtk.vtkWindowedSincPolyDataFilter()
        sinc.SetInputConnection(edges.GetOutputPort())
        sinc.SetNumberOfIterations(20)
        sinc.SetPassBand(10 ** (-4 * strength))
        sinc.BoundarySmoothingOff()
        sinc.FeatureEdgeSmoothingOff()
        sinc.NonManifoldSmoothingOn()
        sinc.NormalizeCoordinatesOn()
        sinc.Update()
        mask = np.zeros(labels.shape, dtype=bool)
        mask[box] = _unpadded(_voxelised(sinc.GetOutput(), padded.shape, spacing_mm))
        masks[index] = mask
    return by_priority(masks, labels.shape, table)


def antialias(labels: Labels, spacing_mm: Spacing, table: StructureTable) -> Labels:
    """SimpleITK's AntiAliasBinary per structure (Whitaker, 2000) as it comes; the largest value above 0 wins."""
    import SimpleITK as sitk

    best = np.zeros(labels.shape, dtype=np.float32)
    winner = np.zeros_like(labels)
    for index in table.indices:
        box = foreground_box(labels == index)
        if box is None:
            continue
        image = sitk.GetImageFromArray(np.pad((labels[box] == index).astype(np.uint8), MARGIN_VOXELS))
        image.SetSpacing(spacing_mm[::-1])
        value = _unpadded(sitk.GetArrayFromImage(sitk.AntiAliasBinary(image)))
        wins = value > best[box]
        best[box][wins] = value[wins]
        winner[box][wins] = index
    return winner


def by_priority(
    masks: Mapping[int, Bool[np.ndarray, "i j k"]], shape: tuple[int, ...], table: StructureTable
) -> UInt8[np.ndarray, "i j k"]:
    """One label map of masks by index; where they overlap the structure of the higher fusion rank wins (A2.1)."""
    labels = np.zeros(shape, dtype=np.uint8)
    for structure in reversed(table.by_rank):
        if structure.index in masks:
            labels[masks[structure.index]] = structure.index
    return labels


def _unpadded(values: np.ndarray) -> np.ndarray:
    inner = slice(MARGIN_VOXELS, -MARGIN_VOXELS)
    return values[inner, inner, inner]


def _image(values: UInt8[np.ndarray, "i j k"], spacing_mm: Spacing) -> Any:
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    image = vtk.vtkImageData()
    image.SetDimensions(*values.shape)
    image.SetSpacing(*spacing_mm)
    image.GetPointData().SetScalars(numpy_to_vtk(values.ravel(order="F"), deep=True))
    return image


def _mesh(points: Any, corners: np.ndarray) -> Any:
    """A mesh of triangles ``[n, 3]`` on points that VTK holds already."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtkIdTypeArray

    triangles = vtk.vtkCellArray()
    starts = np.arange(0, 3 * len(corners) + 1, 3, dtype=np.int64)
    flat = np.ascontiguousarray(corners.ravel(), dtype=np.int64)
    triangles.SetData(numpy_to_vtkIdTypeArray(starts, deep=True), numpy_to_vtkIdTypeArray(flat, deep=True))
    mesh = vtk.vtkPolyData()
    mesh.SetPoints(points)
    mesh.SetPolys(triangles)
    return mesh


def _voxelised(mesh: Any, shape: tuple[int, ...], spacing_mm: Spacing) -> Bool[np.ndarray, "i j k"]:
    """Voxels whose centre lies inside the mesh."""
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    stencil = vtk.vtkPolyDataToImageStencil()
    stencil.SetInputData(mesh)
    stencil.SetOutputSpacing(*spacing_mm)
    stencil.SetOutputWholeExtent(0, shape[0] - 1, 0, shape[1] - 1, 0, shape[2] - 1)
    image = vtk.vtkImageStencilToImage()
    image.SetInputConnection(stencil.GetOutputPort())
    image.SetOutputScalarTypeToUnsignedChar()
    image.SetInsideValue(1)
    image.SetOutsideValue(0)
    image.Update()
    return vtk_to_numpy(image.GetOutput().GetPointData().GetScalars()).reshape(shape, order="F") > 0
