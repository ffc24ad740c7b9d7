"""The ways real label sets are damaged, put on a clean label map: each with a severity and a seed of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import UInt8

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable
from ..errors import InputError
from .local_damage import add_crumbs, cut_vessels, detach_from_parent, punch_holes
from .outline_damage import displace, draw_on_slices


@dataclass(frozen=True)
class Defects:
    """How much of each defect: 0 none, 1 as in public label sets, more is worse.

    Attributes:
        steps: terraces of outlines drawn on slices 3 to 4.5 mm thick.
        jitter: each of those slices off its place within its plane.
        boundary: outlines that wander smoothly in and out.
        crumbs: bits of a structure that float beside it.
        holes: hollows in chambers, wall and great vessels.
        cuts: gaps in coronaries and veins.
        detach: appendage or pulmonary veins off the left atrium.
    """

    steps: float | int = 1.0
    jitter: float | int = 1.0
    boundary: float | int = 1.0
    crumbs: float | int = 1.0
    holes: float | int = 1.0
    cuts: float | int = 1.0
    detach: float | int = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            severity = getattr(self, field.name)
            if not 0 <= severity <= 10:
                raise InputError(f"defect {field.name!r}", repr(severity), "a severity from 0 to 10", "1 is usual.")


def damage(
    labels: UInt8[np.ndarray, "i j k"],
    spacing_mm: Sequence[float],
    seed: int | np.random.SeedSequence | np.random.Generator,
    defects: Defects | None = None,
    table: StructureTable = PUBLIC_CARDIAC_CT,
) -> UInt8[np.ndarray, "i j k"]:
    """A damaged copy of a label map of any spacing, with any of the table's structures in it.

    In the order in which it happens: outlines on thick slices, their wandering, then local damage. Every defect
    draws from a seed of its own, so that switching one off leaves what the others draw unchanged. Sizes are in mm.
    A structure that is absent stays absent, and labels the table does not know are moved but never added to.
    An empty map stays empty.

    Args:
        labels: the clean map.
        spacing_mm: voxel size along i, j, k.
        seed: an integer, a seed sequence (left as it was) or a generator (advanced).
        defects: severities; ``None`` for all at 1.
        table: the structures' meaning: which are thin, and what each must touch.
    """
    severity = Defects() if defects is None else defects
    rngs = [np.random.default_rng(child) for child in _fresh(seed).spawn(6)]
    spacing = np.asarray(spacing_mm, float)
    out = draw_on_slices(labels, spacing, rngs[0], severity.steps, severity.jitter, table)
    out = displace(out, spacing, rngs[1], severity.boundary, table)
    out = detach_from_parent(out, spacing, rngs[2], severity.detach, table)
    out = cut_vessels(out, spacing, rngs[3], severity.cuts, table)
    out = punch_holes(out, spacing, rngs[4], severity.holes, table)
    return add_crumbs(out, spacing, rngs[5], severity.crumbs, table)


def _fresh(seed: int | np.random.SeedSequence | np.random.Generator) -> np.random.SeedSequence:
    """A sequence that has not spawned yet: spawning changes a sequence, and the same seed should damage alike."""
    if isinstance(seed, np.random.Generator):
        return np.random.SeedSequence(int(seed.integers(2**63)))
    if isinstance(seed, np.random.SeedSequence):
        return np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)
    return np.random.SeedSequence(seed)
