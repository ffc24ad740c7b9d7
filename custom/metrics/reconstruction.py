"""How good a reconstructed volume is: Dice, HD95, both kinds of Chamfer distance, surface Dice at tolerances (C4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32
from monai.metrics.utils import get_mask_edges, get_surface_distance

from .case_scores import check_same_grid
from .overlap import Empty, crop_to_union, dice, which_empty
from .surface_distance import diagonal_mm, surface_distances_mm

TOLERANCES_MM = (1.0, 3.0)
"""The sources ask for 1 mm, which on voxels of 3 mm all but asks for the very same voxels; 3 mm is one voxel."""


@dataclass(frozen=True, kw_only=True)
class ReconstructionScore:
    """How good one volume is.

    Attributes:
        dice: overlap, in [0, 1].
        hd95_mm: the larger of the two directed 95th percentiles of surface distances.
        chamfer_mm: mean of both directions' mean distances, mm.
        chamfer_squared_mm2: sum of both directions' mean *squared* distances, mm2; what is often called Chamfer
            distance without a unit.
        surface_dice: share of both surfaces within each tolerance of the other.
        empty: which volume holds no voxel: ``""``, ``"both"``, ``"prediction"`` or ``"reference"``.
    """

    dice: float
    hd95_mm: float
    chamfer_mm: float
    chamfer_squared_mm2: float
    surface_dice: tuple[float, ...]
    empty: Empty

    def values(self, tolerances_mm: Sequence[float] = TOLERANCES_MM) -> dict[str, float]:
        """The numbers by name, ``surface_dice_1mm`` and so on for the tolerances they were made with."""
        close = {tolerance_name(at): share for at, share in zip(tolerances_mm, self.surface_dice, strict=True)}
        names = ("dice", "hd95_mm", "chamfer_mm", "chamfer_squared_mm2")
        return {name: getattr(self, name) for name in names} | close


def tolerance_name(tolerance_mm: float) -> str:
    """What the surface Dice at a tolerance is called: ``surface_dice_1mm``, ``surface_dice_2.5mm``."""
    return f"surface_dice_{tolerance_mm:g}mm"


def reconstruction_score(
    prediction: Bool[np.ndarray, "..."],
    reference: Bool[np.ndarray, "..."],
    spacing_mm: tuple[float, float, float],
    tolerances_mm: Sequence[float] = TOLERANCES_MM,
    subvoxel: bool = False,
) -> ReconstructionScore:
    """Score one volume against its truth, on one grid.

    Distances run between the centres of surface voxels, so they are multiples of what the spacing allows: an error of
    less than a voxel is 0 or a whole voxel, and a surface Dice at a tolerance below the spacing counts surface voxels
    that are exactly right. With ``subvoxel`` the surface Dice is of surface elements between the voxels, weighed by
    their area (Nikolov et al., 2018, as MONAI has it); the other measures stay as they are.

    Both empty: Dice and surface Dice 1, distances 0. One empty, the reference or the prediction: Dice and surface Dice
    0, HD95 and ``chamfer_mm`` the volume's diagonal and ``chamfer_squared_mm2`` twice its square, so that a failure
    worsens a mean. One voxel, the full grid and volumes at the border are no special case.

    Raises:
        InputError: the grids differ, or the spacing is not three positive lengths.
    """
    check_same_grid(prediction.shape, reference.shape, spacing_mm)
    empty = which_empty(prediction, reference)
    if empty:
        good = float(empty == "both")
        far_mm = 0.0 if good else diagonal_mm(prediction.shape, spacing_mm)
        close = (good,) * len(tolerances_mm)
        return ReconstructionScore(
            dice=good,
            hd95_mm=far_mm,
            chamfer_mm=far_mm,
            chamfer_squared_mm2=2 * far_mm**2,
            surface_dice=close,
            empty=empty,
        )
    there, back = (way.astype(np.float64) for way in surface_distances_mm(prediction, reference, spacing_mm))
    if subvoxel:
        close = _subvoxel(prediction, reference, spacing_mm, tolerances_mm)
    else:
        close = tuple(_share(np.concatenate([there, back]).astype(np.float32), at) for at in tolerances_mm)
    return ReconstructionScore(
        dice=dice(prediction, reference),
        hd95_mm=float(max(np.percentile(there, 95), np.percentile(back, 95))),
        chamfer_mm=float((there.mean() + back.mean()) / 2),
        chamfer_squared_mm2=float((there**2).mean() + (back**2).mean()),
        surface_dice=close,
        empty=empty,
    )


def _share(distances_mm: Float32[np.ndarray, " n"], tolerance_mm: float) -> float:
    # float32 on both sides: a distance that equals the tolerance on paper is within it
    return float((distances_mm <= np.float32(tolerance_mm)).mean())


def _subvoxel(
    prediction: Bool[np.ndarray, "i j k"],
    reference: Bool[np.ndarray, "i j k"],
    spacing_mm: tuple[float, float, float],
    tolerances_mm: Sequence[float],
) -> tuple[float, ...]:
    found, wanted = (torch.from_numpy(np.pad(mask, 1)) for mask in crop_to_union(prediction, reference))
    here, there, here_mm2, there_mm2 = get_mask_edges(found, wanted, crop=False, spacing=spacing_mm)
    ways = ((here, there, here_mm2), (there, here, there_mm2))
    each = [torch.as_tensor(get_surface_distance(one, other, spacing=spacing_mm)) for one, other, _ in ways]
    away_mm = torch.cat(each)
    area_mm2 = torch.cat([areas[one] for one, _, areas in ways]).double()
    within = [away_mm <= tolerance for tolerance in tolerances_mm]
    return tuple(float(area_mm2[close].sum() / area_mm2.sum()) for close in within)
