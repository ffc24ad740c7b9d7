"""Kinds of damage by name, those that are held out among them, and their mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ...anatomy import PUBLIC_CARDIAC_CT, StructureTable
from ...errors import InputError
from ..local_damage import add_crumbs, cut_vessels, detach_from_parent, punch_holes
from . import local_kinds, outline_kinds
from .outline_kinds import Damage, Labels

SEVERITIES = (0.0, 0.25, 0.5, 1.0, 1.5)
UNITS = ("voxel", "mm")
NONE, MIXED = "none", "mixed"
MIXED_KINDS = (2, 4)
"""A mixture has so many kinds, each at its own share of the severity."""


@dataclass(frozen=True)
class Kind:
    """A kind of damage.

    Attributes:
        damage: labels [i, j, k], spacing in units, generator, severity, table -> labels.
        held_out: never trained on, and nothing is chosen on it.
    """

    damage: Damage
    held_out: bool = False


KINDS: dict[str, Kind] = {
    **{
        f"noise_{length:g}": Kind(partial(outline_kinds.correlated_noise, length=length))
        for length in (0.8, 1.5, 3.0, 5.0, 8.0)
    },
    "noise_white": Kind(outline_kinds.white_noise),
    "grown": Kind(outline_kinds.grow),
    "shrunk": Kind(outline_kinds.shrink),
    "oversmoothed": Kind(outline_kinds.oversmooth),
    "slice_shift": Kind(outline_kinds.slice_shift),
    "slice_outline": Kind(outline_kinds.slice_outline, held_out=True),
    "slices_nearest": Kind(outline_kinds.thick_slices),
    "slices_linear": Kind(outline_kinds.interpolated_slices),
    "grid_half": Kind(partial(outline_kinds.coarse_grid, factor=2.0)),
    "grid_third": Kind(partial(outline_kinds.coarse_grid, factor=3.0), held_out=True),
    "rotated": Kind(outline_kinds.rotated, held_out=True),
    "truncated": Kind(outline_kinds.truncated),
    "holes": Kind(punch_holes),
    "crumbs": Kind(add_crumbs),
    "islands": Kind(local_kinds.add_islands),
    "cuts": Kind(cut_vessels),
    "gaps": Kind(detach_from_parent),
    "ends_lost": Kind(local_kinds.lose_ends),
    "valves_swapped": Kind(local_kinds.swap_at_valves, held_out=True),
    "coronaries_fused": Kind(local_kinds.fuse_coronaries),
    "coronaries_wide": Kind(local_kinds.widen_coronaries),
}
"""Every single kind by name."""

HELD_OUT = tuple(name for name, kind in KINDS.items() if kind.held_out)


def damage_by_kind(
    labels: Labels,
    spacing_mm: Sequence[float],
    kind: str,
    severity: float | int,
    seed: int | Sequence[int] | np.random.Generator,
    unit: str = "voxel",
    table: StructureTable = PUBLIC_CARDIAC_CT,
) -> Labels:
    """A copy of a label map with one kind of damage, or a mixture of kinds that are not held out.

    The input stays as it is. Severity 0, and the kind ``none``, give its copy. A structure that is absent stays absent.

    Args:
        labels: the clean map.
        spacing_mm: voxel size along i, j, k.
        kind: a name of :data:`KINDS`, ``none`` or ``mixed``.
        severity: 1 as in public label sets, 0 to 3.
        seed: the same seed gives the same damage.
        unit: of all lengths: ``voxel``, the finest spacing, or ``mm``.
        table: the structures' meaning.

    Raises:
        InputError: an unknown kind or unit, or a severity out of range.
    """
    if kind not in (*KINDS, NONE, MIXED):
        raise InputError("kind of damage", repr(kind), f"one of {', '.join((*KINDS, NONE, MIXED))}", "Choose one.")
    if unit not in UNITS:
        raise InputError("unit of damage", repr(unit), f"one of {', '.join(UNITS)}", "Choose one.")
    if not 0 <= severity <= 3:
        raise InputError("severity of damage", repr(severity), "a number from 0 to 3", "1 is usual.")
    if severity == 0 or kind == NONE:
        return labels.copy()
    rng = np.random.default_rng(seed)
    spacing = np.asarray(spacing_mm, float)
    spacing = spacing / spacing.min() if unit == "voxel" else spacing
    if kind != MIXED:
        return KINDS[kind].damage(labels, spacing, rng, severity, table)
    known = [name for name, one in KINDS.items() if not one.held_out]
    # In the order of the table: the outline is damaged before parts are cut out of it.
    chosen = np.sort(rng.choice(len(known), int(rng.integers(MIXED_KINDS[0], MIXED_KINDS[1] + 1)), replace=False))
    for place in chosen:
        share = float(rng.uniform(0.3, 1.0))
        labels = KINDS[known[int(place)]].damage(labels, spacing, rng, severity * share, table)
    return labels
