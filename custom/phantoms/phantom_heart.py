"""Phantom hearts with known truth: ten analytic structures in a 144 mm cube, different in every case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cc3d
import numpy as np
from jaxtyping import Float, UInt8
from scipy.spatial.transform import Rotation

from ..anatomy import PUBLIC_CARDIAC_CT
from ..errors import InputError
from .chambers import make_chambers
from .coronaries import make_coronaries
from .great_vessels import make_aorta, make_appendage, make_pulmonary_artery, make_pulmonary_veins
from .implicit_solids import Field, waves

FIELD_OF_VIEW_MM = 144.0
LEAST_SIZE = 32
_SLAB_POINTS = 60_000

# Who is drawn first keeps the voxel; and how far each stays from those drawn before it, as vessel walls do.
_DRAWN: tuple[tuple[str, dict[str, float]], ...] = (
    ("Coronary", {}),
    ("LV", {}),
    ("Myocardium", {}),
    ("Aorta", {}),
    ("LA", {"Aorta": 1.5}),
    ("PA", {"Aorta": 1.5, "LA": 1.5}),
    ("LAA", {"PA": 1.5, "Aorta": 1.5}),
    ("PV", {"Aorta": 1.5, "PA": 1.5, "LAA": 2.0}),
    ("RA", {"LA": 1.8, "Aorta": 1.8, "PV": 1.8, "PA": 1.8}),
    ("RV", {"Aorta": 1.8, "LA": 1.8}),
)


@dataclass(frozen=True)
class PhantomHeart:
    """One analytic heart: from chest points (n, 3) in mm to the ten structures' fields in mm."""

    to_mean_chest: Callable[[np.ndarray], np.ndarray]
    fields: dict[str, Field]
    scan_mm: tuple[float, float]
    """Lowest and highest z that the scan covers; nothing is labelled beyond."""

    def label(self, points_mm: Float[np.ndarray, "n 3"]) -> UInt8[np.ndarray, " n"]:
        """The structure at each point, 0 for none."""
        mean_mm = self.to_mean_chest(points_mm)
        values = {name: field(mean_mm) for name, field in self.fields.items()}
        labels = np.zeros(len(points_mm), np.uint8)
        scanned = (points_mm[:, 2] >= self.scan_mm[0]) & (points_mm[:, 2] <= self.scan_mm[1])
        for name, gaps_mm in _DRAWN:
            mine = (values[name] < 0) & (labels == 0) & scanned
            for other, gap_mm in gaps_mm.items():
                mine &= values[other] > gap_mm
            labels[mine] = PUBLIC_CARDIAC_CT[name].index
        return labels


def make_heart(
    seed: int | np.random.SeedSequence, size: int
) -> tuple[UInt8[np.ndarray, "i j k"], Float[np.ndarray, "4 4"]]:
    """One phantom heart and its affine.

    The same seed gives the same heart at every size: the field of view is 144 mm and only the sampling changes
    (96 voxels: 1.5 mm; 256 voxels: 0.5625 mm). Axes are RAS+: the apex points left, forward and down.
    About half of the hearts have their scan end below the aortic arch, so that the aorta is in two pieces.

    Args:
        seed: what the anatomy is drawn from.
        size: voxels along each axis, at least 32.

    Returns:
        The label map (``custom.anatomy.PUBLIC_CARDIAC_CT``) and voxel-to-world affine in mm.

    Raises:
        InputError: ``size`` is below 32, where vessels would run into each other.
    """
    if size < LEAST_SIZE:
        raise InputError("size", str(size), f"at least {LEAST_SIZE} voxels", "Choose a larger size.")
    spacing_mm = FIELD_OF_VIEW_MM / size
    heart = _draw_heart(seed, spacing_mm)
    first_mm = (spacing_mm - FIELD_OF_VIEW_MM) / 2
    places_mm = first_mm + spacing_mm * np.arange(size)
    labels = np.zeros((size, size, size), np.uint8)
    depth = max(_SLAB_POINTS // size**2, 1)
    for start in range(0, size, depth):
        axes = (places_mm[start : start + depth], places_mm, places_mm)
        points_mm = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        labels[start : start + depth] = heart.label(points_mm).reshape(-1, size, size)
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = first_mm
    return _without_crumbs(labels), affine


def _draw_heart(seed: int | np.random.SeedSequence, spacing_mm: float) -> PhantomHeart:
    if isinstance(seed, np.random.SeedSequence):
        # Spawning changes a sequence; a fresh one gives the same heart when asked twice.
        root = np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)
    else:
        root = np.random.SeedSequence(seed)
    rngs = [np.random.default_rng(child) for child in root.spawn(8)]
    chambers = make_chambers(rngs[0])
    left_veins, right_veins = make_pulmonary_veins(rngs[4])
    aorta = make_aorta(rngs[1], chambers.frame)
    fields = {
        **chambers.fields,
        "Aorta": aorta,
        "PA": make_pulmonary_artery(rngs[2], chambers.frame),
        "LAA": make_appendage(rngs[3]),
        "PV": lambda points_mm: np.minimum(left_veins(points_mm), right_veins(points_mm)),
        "Coronary": make_coronaries(rngs[5], chambers, aorta, least_radius_mm=0.88 * spacing_mm),
    }
    arch = rngs[7].uniform() < 0.5
    scan_mm = (rngs[7].uniform(-70, -60), 72.0 if arch else rngs[7].uniform(40, 44))
    return PhantomHeart(_draw_pose(rngs[6]), fields, scan_mm)


def _draw_pose(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Turns, scales, shifts and gently bends the chest: from this person's points to the mean chest's."""
    turn = Rotation.from_euler("xyz", rng.uniform(-7, 7, 3), degrees=True).as_matrix()
    scale = rng.uniform(0.95, 1.05) * rng.uniform(0.97, 1.03, 3)
    shift_mm = rng.uniform(-3, 3, 3)
    vectors, phases = waves(rng, 3, (70, 120))
    bends_mm = rng.normal(0, 1.1, (3, 3))

    def to_mean_chest(points_mm: np.ndarray) -> np.ndarray:
        bent = points_mm - shift_mm + np.sin(points_mm @ vectors.T + phases) @ bends_mm
        return np.asarray(bent @ turn / scale)

    return to_mean_chest


def _without_crumbs(labels: UInt8[np.ndarray, "i j k"]) -> UInt8[np.ndarray, "i j k"]:
    """Clears what sampling or a neighbour has cut off a structure: pieces under a twentieth of its largest."""
    for structure in PUBLIC_CARDIAC_CT:
        pieces = cc3d.connected_components(labels == structure.index, connectivity=26)
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        small = sizes < sizes.max() / 20
        small[0] = False
        labels[small[pieces]] = 0
    return labels
