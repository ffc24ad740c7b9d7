"""The grid that a heart is drawn on: its label map's own, a finer one, or another image's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.label_maps import StoredGrid, read_grid
from ..errors import InputError
from ..space import Frame
from ..volumes.heart_frame import clipped, with_box
from .inferers import on_grid
from .teachers import in_box, to_voxels


class OutputGrids:
    """The output grid of each case.

    Args:
        frames: of all cases, in code order.
        spacing_mm: of an isotropic grid over the label map's; ``None`` for the label map's own.
        grid_from: an image whose grid is to be used instead; empty for none.

    Raises:
        InputError: both a spacing and an image, or an image that is none.
    """

    def __init__(self, frames: Sequence[Frame], spacing_mm: float | None = None, grid_from: str | Path = "") -> None:
        self.frames, self.spacing_mm = list(frames), spacing_mm
        self.grid: StoredGrid | None = None
        if str(grid_from):
            if spacing_mm is not None:
                raise InputError("--grid_from", "a --spacing_mm beside it", "one of the two", "Leave one of them out.")
            self.grid = read_grid(grid_from)

    def __getitem__(self, row: int) -> Frame:
        """The grid, and as its box the part that the heart's box covers; that may be none."""
        frame = self.frames[row]
        if self.grid is None or frame.empty:
            return clipped(on_grid(frame if self.grid is None else self._elsewhere(self.grid), self.spacing_mm))
        # The box reaches half a voxel beyond the centres of its outermost ones.
        ends = [(low - 0.5, high + 0.5) for low, high in zip(frame.low_ijk, frame.high_ijk, strict=True)]
        corners = np.asarray(list(product(*ends))) @ frame.affine[:3, :3].T + frame.affine[:3, 3]
        there = self._elsewhere(self.grid)
        corners_ijk = to_voxels(there, corners)
        low, high = np.ceil(corners_ijk.min(axis=0) - 1e-9), np.floor(corners_ijk.max(axis=0) + 1e-9)
        return clipped(with_box(there, low, high))

    @staticmethod
    def _elsewhere(grid: StoredGrid) -> Frame:
        """The whole grid of another image, and no box yet."""
        return Frame(grid.affine, grid.shape, (0, 0, 0), (-1, -1, -1), grid.header)

    @property
    def askew(self) -> bool:
        """Whether the grids are another image's, and run along no axis of the boxes."""
        return self.grid is not None

    def axes(self, row: int) -> tuple[Tensor, Tensor, Tensor]:
        """Unit z, y and x coordinates of the box of :meth:`__getitem__`, unless that lies askew."""
        z, y, x = (torch.from_numpy(axis.copy()).float() for axis in self.frames[row].unit_axes_of(self[row]))
        return z, y, x

    def points(self, row: int) -> tuple[Tensor, Tensor]:
        """Unit points [n, 3] of the canvas's box that lie in the heart's, and their flat positions [n] in it."""
        frame, canvas = self.frames[row], self[row]
        shape = canvas.box_shape
        index = np.stack(np.unravel_index(np.arange(int(np.prod(shape))), shape), axis=1).astype(np.float64)
        points_mm = (index + np.asarray(canvas.low_ijk)) @ canvas.affine[:3, :3].T + canvas.affine[:3, 3]
        points_ijk = to_voxels(frame, points_mm)
        inside = in_box(frame, points_ijk)
        unit = np.clip(frame.ijk_to_unit(points_ijk[inside]), -1, 1).astype(np.float32)
        return torch.from_numpy(unit), torch.from_numpy(np.flatnonzero(inside))
