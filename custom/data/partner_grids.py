"""A second file of a case brought to the grid of the first: the one comparison of grids there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from ..errors import InputError
from ..space import VoxelOrder, voxel_order
from .label_maps import LabelMap

REMEDY = "Give files of one case on one grid."


def order_on(
    path: str | Path,
    shape: Sequence[int],
    affine: Float[np.ndarray, "4 4"],
    target_shape: Sequence[int],
    target_affine: Float[np.ndarray, "4 4"],
    whose: str,
    remedy: str = REMEDY,
) -> VoxelOrder:
    """How the voxels of a file are put in the order of another grid; the two may differ in that order and nothing else.

    Args:
        path: of the file, for messages.
        shape, affine: of its grid; voxel ijk to world mm.
        target_shape, target_affine: of the grid wanted.
        whose: grid that is, in words.
        remedy: what to do.

    Raises:
        InputError: voxels at other places of the world.
    """
    order = voxel_order(shape, affine, target_shape, target_affine)
    if order is not None:
        return order
    found, wanted = (tuple(int(size) for size in sizes) for sizes in (shape, target_shape))
    if found != wanted:
        raise InputError(path, f"a grid of {found}", f"{whose}, {wanted}", remedy)
    here, there = (np.asarray(matrix)[:3, 3].round(2).tolist() for matrix in (affine, target_affine))
    if here == there:
        raise InputError(path, "voxels along other axes or of another size", whose, remedy)
    places = f"voxels at other places in the world (origin {here} mm)"
    raise InputError(path, places, f"{whose} (origin {there} mm)", remedy)


def to_grid(
    given: LabelMap,
    target_shape: Sequence[int],
    target_affine: Float[np.ndarray, "4 4"],
    whose: str,
    remedy: str = REMEDY,
) -> Shaped[np.ndarray, "a b c"]:
    """The labels of a map in the voxel order of another grid. Raises ``InputError`` as :func:`order_on`."""
    shape = given.labels.shape
    return order_on(given.path, shape, given.affine, target_shape, target_affine, whose, remedy).of(given.labels)


def on_grid_of(given: LabelMap, first: LabelMap, remedy: str = REMEDY) -> LabelMap:
    """A label map in the voxel order of another one of its case. Raises ``InputError`` as :func:`order_on`."""
    labels = to_grid(given, first.labels.shape, first.affine, f"that of {first.path}", remedy)
    return replace(given, labels=labels, affine=first.affine, spacing_mm=first.spacing_mm, header=first.header)
