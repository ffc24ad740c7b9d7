"""The hearts of a package, drawn on any grid."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from difflib import get_close_matches
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from ..errors import InputError
from ..models.near.near_field import NearField
from ..near.heart_inferer import HeartInferer
from ..near.output_grid import OutputGrids
from ..near.save_heart import LabelsToGridd
from ..rules.priority_decision import PriorityDecision
from ..training.setting_rules import RULES
from .manifest import CODES_FILE, Manifest
from .safetensors_io import read_code

LARGEST = 2**31
"""Voxels of a grid, at most."""


@dataclass(frozen=True, eq=False)
class PackedHeart:
    """A label map that was drawn.

    Attributes:
        labels: index of the structure at each voxel, 0 for background.
        affine: voxel ijk to world mm (RAS).
    """

    labels: UInt8[np.ndarray, "i j k"]
    affine: Float[np.ndarray, "4 4"]


@dataclass(frozen=True, eq=False)
class Rendering:
    """What the field answered for one case, in the form that the transforms of ``custom.near`` take.

    Attributes:
        item: ``case``, ``index`` and, as ``pred``, labels [1 or 1 + structures, i, j, k] on the canvas's box.
        canvases: of this case alone.
        decision: by which the labels were made.
    """

    item: dict[Hashable, Any]
    canvases: OutputGrids
    decision: PriorityDecision


class HeartModel:
    """All hearts of a cohort. One code is in memory at a time.

    Args:
        folder: of the package, checked by :func:`custom.package.load_package.load`.
        manifest: its ``model.json``.
        field: of one code.
    """

    def __init__(self, folder: Path, manifest: Manifest, field: NearField) -> None:
        self.folder, self.manifest, self.field = folder, manifest, field
        self.decision = PriorityDecision(manifest.label_table, manifest.thresholds, manifest.fallback)

    @property
    def cases(self) -> tuple[str, ...]:
        """Names, in code order."""
        return self.manifest.cases

    def render(self, case: str, spacing_mm: float | int | None = None) -> PackedHeart:
        """The label map of a case.

        Args:
            case: its name.
            spacing_mm: of an isotropic grid over that of the label map it was trained on; ``None`` for that grid.

        Raises:
            InputError: no such case, or a spacing that is none or makes a grid too large.
        """
        drawing = self.draw(case, spacing_mm)
        whole = LabelsToGridd("pred", drawing.canvases)(drawing.item)["pred"]
        return PackedHeart(np.asarray(whole[0]), np.asarray(whole.affine, dtype=np.float64))

    def draw(self, case: str, spacing_mm: float | int | None = None, with_probabilities: bool = False) -> Rendering:
        """What the field answers, with every structure's probability if asked for.

        Raises:
            InputError: as :meth:`render`.
        """
        row = self.row(case)
        canvases = OutputGrids([self.manifest.frames[row]], checked_spacing(spacing_mm))
        check_grid(canvases[0].shape, spacing_mm)
        self._take(row)
        manifest, device = self.manifest, self.field.device
        bf16 = manifest.amp and (device.type == "cpu" or torch.cuda.is_bf16_supported())
        inferer = HeartInferer(canvases, self.decision, with_probabilities, manifest.stride, bf16)
        answer = inferer(torch.tensor([0]), self.field)[0]
        return Rendering({"case": case, "index": 0, "pred": answer}, canvases, self.decision)

    def row(self, case: str) -> int:
        """Where a case's code lies.

        Raises:
            InputError: no such case; it names the nearest.
        """
        if case in self.cases:
            return self.cases.index(case)
        near = get_close_matches(case, self.cases, n=3, cutoff=0.5)
        some = ", ".join(self.cases[:5]) + (", ..." if len(self.cases) > 5 else "")
        hint = f"Did you mean {' or '.join(near)}?" if near else "Choose one of them, or all."
        raise InputError("--case", repr(case), f"one of the {len(self.cases)} cases of {self.folder}: {some}", hint)

    def _take(self, row: int) -> None:
        with torch.no_grad():
            self.field.codes.table.weight.copy_(read_code(self.folder / CODES_FILE, row).reshape(1, -1))


def checked_spacing(spacing_mm: float | int | None) -> float | None:
    """The spacing, if it is one.

    Raises:
        InputError: it is none, see :data:`custom.training.setting_rules.RULES`.
    """
    if not RULES["spacing_mm"].holds(spacing_mm) or spacing_mm == float("inf"):
        wanted = "a number of mm of at least 0.05"
        raise InputError("--spacing_mm", repr(spacing_mm), wanted, "Leave it out for the grid of the label map.")
    return None if spacing_mm is None else float(spacing_mm)


def check_grid(shape: tuple[int, int, int], spacing_mm: float | int | None) -> None:
    """Refuse a grid that no memory holds.

    Raises:
        InputError: more voxels than :data:`LARGEST`.
    """
    if prod(shape) > LARGEST:
        where = "the label map's grid" if spacing_mm is None else "--spacing_mm"
        found = f"a grid of {' x '.join(map(str, shape))} voxels"
        raise InputError(where, found, f"at most {LARGEST:,} voxels", "Give a larger --spacing_mm.")
