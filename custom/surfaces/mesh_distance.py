"""Exact signed distances of points to the surfaces of a label map, in mm, negative inside (requirement B1)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from ..anatomy import StructureTable
from ..errors import InputError
from .structure_surface import Surface

_CELLS = 1 << 10
"""Cells a side that order points; neighbours in the order ask for the same triangles."""


def signed_distances_mm(
    points_mm: Float[np.ndarray, "n 3"],
    labels: UInt8[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    surfaces: Mapping[int, Surface],
    label_table: StructureTable,
    absent_mm: float,
    device: str = "",
    threads: int = 1,
) -> Float32[np.ndarray, "n c"]:
    """The signed distance of every point to every structure's surface.

    The magnitude is that to the nearest place on the surface. The sign is the label's at the nearest voxel for every
    point further from the surface than half a voxel's diagonal: the way to that voxel's centre cannot cross the
    surface. Nearer points take the side of the surface, which has every voxel centre on its own side
    (:func:`custom.surfaces.structure_surface.surface_of`): so at every voxel centre the sign is the label's, the
    distance passes 0 half-way between voxels, and its slope is 1 on both sides.

    Args:
        points_mm: world mm; outside of the grid counts as background.
        labels: the label map.
        affine: its voxel ijk to world mm.
        surfaces: of the structures that are there, by index.
        label_table: the table; a channel for each of its structures.
        absent_mm: the distance to a structure without a surface.
        device: of the mesh queries: ``cpu``, ``cuda``; empty for a GPU if there is one.
        threads: structures computed at once, on the CPU.

    Raises:
        InputError: warp-lang is not installed, or the device is not there.
    """
    distances = np.full((len(points_mm), len(label_table)), absent_mm, np.float32)
    if not len(points_mm):
        return distances
    order = _neighbours_together(points_mm)
    sorted_mm = np.ascontiguousarray(points_mm[order], np.float64)
    here = labels_at(sorted_mm, labels, affine)
    band_mm = half_diagonal_mm(affine)

    def fill(channel: int, index: int) -> None:
        side = np.where(here == index, np.int8(-1), np.int8(1))
        distances[order, channel] = _signed(sorted_mm, surfaces[index], side, band_mm, device)

    mesh_queries()  # imported before the threads
    with ThreadPoolExecutor(threads) as pool:
        there = [(channel, one.index) for channel, one in enumerate(label_table) if one.index in surfaces]
        there.sort(key=lambda one: -len(surfaces[one[1]].faces))  # the longest first, so that no thread ends alone
        for done in [pool.submit(fill, *one) for one in there]:
            done.result()
    return distances


def _signed(
    points_mm: Float[np.ndarray, "n 3"], surface: Surface, side: np.ndarray, band_mm: float, device: str
) -> Float32[np.ndarray, " n"]:
    origin_mm = surface.vertices_mm.mean(axis=0)  # single precision is finest round 0
    query = mesh_queries().MeshQuery(surface.vertices_mm - origin_mm, surface.faces, device)
    away_mm, near_side = query.ask(points_mm - origin_mm, band_mm)
    return np.asarray(away_mm * np.where(near_side == 0, side, near_side))


def labels_at(
    points_mm: Float[np.ndarray, "n 3"], labels: UInt8[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"]
) -> UInt8[np.ndarray, " n"]:
    """The label of the voxel each point lies in; 0 outside of the grid."""
    inverse = np.linalg.inv(affine)
    voxels = np.rint(points_mm @ inverse[:3, :3].T + inverse[:3, 3]).astype(np.int64)
    inside = ((voxels >= 0) & (voxels < labels.shape)).all(axis=1)
    found = np.zeros(len(points_mm), np.uint8)
    found[inside] = labels[tuple(voxels[inside].T)]
    return found


def half_diagonal_mm(affine: Float[np.ndarray, "4 4"]) -> float:
    """The longest way from a voxel's centre to its corners."""
    corners = np.asarray(list(itertools.product((-0.5, 0.5), repeat=3)))
    return float(np.linalg.norm(corners @ np.asarray(affine)[:3, :3].T, axis=1).max())


def _neighbours_together(points_mm: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """The order of the points along a Z-curve: a third less time than in random order."""
    low, size = points_mm.min(axis=0), np.maximum(np.ptp(points_mm, axis=0), 1e-9)
    cells = ((points_mm - low) / size * (_CELLS - 1)).astype(np.uint64)
    keys = np.zeros(len(points_mm), np.uint64)
    for bit, axis in itertools.product(range(_CELLS.bit_length() - 1), range(3)):
        keys |= ((cells[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return np.argsort(keys, kind="stable")


def mesh_queries() -> Any:
    """:mod:`custom.surfaces.mesh_query`, imported when first needed: all else works without its library.

    Raises:
        InputError: the library is not installed.
    """
    try:
        from . import mesh_query
    except ModuleNotFoundError as error:
        if error.name != "warp":
            raise
        remedy = "Install it: pip install 'corfield[completion]'."
        raise InputError("warp-lang", "no such package", "it, for exact signed distances", remedy) from error
    return mesh_query
