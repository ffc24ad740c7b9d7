"""CT-like images of phantom hearts: contrast in the chambers, fat and lung round them, blur, noise, partial volume.

What a scan is to a network, not what a scanner does to a chest: intensities per structure that differ from case to
case, borders that are not where the voxels are, noise with a grain. It is no simulation and shows no pathology.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int16, UInt8
from scipy import ndimage

from ..anatomy import PUBLIC_CARDIAC_CT, TOTALSEGMENTATOR_HEART
from ..errors import InputError
from ..volumes.resampling import resize

HU = {
    "Myocardium": 110.0,
    "LA": 360.0,
    "LV": 350.0,
    "RA": 190.0,
    "RV": 230.0,
    "Aorta": 350.0,
    "PA": 270.0,
    "LAA": 330.0,
    "Coronary": 320.0,
    "PV": 340.0,
}
"""Of each structure in an arterial phase; each case is scanned a little earlier or later."""

FAT_HU, LUNG_HU = -90.0, -830.0
_CASE_HU, _FAT_MM = 25.0, 9.0
_GRAIN = 0.7

TOTALSEGMENTATOR_NAMES = {
    "LA": "heart_atrium_left",
    "LV": "heart_ventricle_left",
    "RA": "heart_atrium_right",
    "RV": "heart_ventricle_right",
    "Myocardium": "heart_myocardium",
}
"""The phantom's structures that TotalSegmentator's heart table has; its vessels and appendage are background there."""


@dataclass(frozen=True)
class Appearance:
    """How an image looks.

    Attributes:
        noise_hu: standard deviation of the noise.
        blur_mm: standard deviation of the point spread.
        supersample: parts of a voxel's edge that are averaged: 1 leaves no partial volume but that of the blur.
    """

    noise_hu: float = 20.0
    blur_mm: float = 0.8
    supersample: int = 2

    def __post_init__(self) -> None:
        for name, most in (("noise_hu", 1000.0), ("blur_mm", 20.0)):
            value: Any = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
                raise InputError(f"--{name}", repr(value), f"a number from 0 to {most:g}", "Correct it.")
        parts: Any = self.supersample
        if isinstance(parts, bool) or not isinstance(parts, int) or not 1 <= parts <= 4:
            raise InputError("supersample", repr(parts), "a whole number from 1 to 4", "2 is usual.")


def totalsegmentator_labels(labels: UInt8[np.ndarray, "i j k"]) -> UInt8[np.ndarray, "i j k"]:
    """A phantom's labels in TotalSegmentator's heart table; what that has not is background."""
    numbers = np.zeros(256, np.uint8)
    for name, other in TOTALSEGMENTATOR_NAMES.items():
        numbers[PUBLIC_CARDIAC_CT[name].index] = TOTALSEGMENTATOR_HEART[other].index
    return np.asarray(numbers[labels])


def make_image(
    fine_labels: UInt8[np.ndarray, "a b c"],
    spacing_mm: float,
    seed: int | np.random.SeedSequence,
    appearance: Appearance | None = None,
) -> Int16[np.ndarray, "i j k"]:
    """A CT-like image of a phantom, in Hounsfield units from -1024 to 3071; the same arguments give the same image.

    Args:
        fine_labels: the phantom (``custom.anatomy.PUBLIC_CARDIAC_CT``) with ``appearance.supersample`` times as many
            voxels along each axis as the image.
        spacing_mm: edge of the *image's* voxels.
        seed: of the intensities, the surroundings and the noise.
        appearance: the default of :class:`Appearance` if left out.

    Raises:
        ValueError: the labels' shape is no multiple of ``supersample``.
    """
    look = appearance or Appearance()
    parts = look.supersample
    if any(size % parts for size in fine_labels.shape):
        raise ValueError(f"labels of shape {fine_labels.shape} cannot be averaged by {parts}")
    intensities, surroundings, noise = (np.random.default_rng(one) for one in _streams(seed))
    fine = _surroundings(fine_labels, spacing_mm / parts, surroundings)
    for structure in PUBLIC_CARDIAC_CT:
        fine[fine_labels == structure.index] = HU[structure.name] + intensities.normal(0, _CASE_HU)
    i, j, k = (size // parts for size in fine_labels.shape)
    image = fine.reshape(i, parts, j, parts, k, parts).mean(axis=(1, 3, 5))
    image = ndimage.gaussian_filter(image, look.blur_mm / spacing_mm, mode="nearest")
    image = image + look.noise_hu * _grain((i, j, k), noise)
    return np.clip(np.rint(image), -1024, 3071).astype(np.int16)


def _streams(seed: int | np.random.SeedSequence) -> list[np.random.SeedSequence]:
    """Three streams; asking twice with one sequence gives the same."""
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    return np.random.SeedSequence(root.entropy, spawn_key=root.spawn_key).spawn(3)


def _surroundings(
    labels: UInt8[np.ndarray, "a b c"], spacing_mm: float, rng: np.random.Generator
) -> Float32[np.ndarray, "a b c"]:
    """Fat of uneven thickness round the heart, and uneven lung beyond."""
    coarse = _coarse(labels.shape)
    away_mm = distance_from_heart_mm(labels, spacing_mm)
    uneven = ndimage.gaussian_filter(rng.normal(size=coarse), 12.0 / (4 * spacing_mm))
    uneven = resize((uneven / max(float(uneven.std()), 1e-6)).astype(np.float32), labels.shape)
    fat = away_mm < _FAT_MM * np.exp(0.4 * uneven)
    return np.where(fat, FAT_HU + 10 * uneven, LUNG_HU + 30 * uneven).astype(np.float32)


def distance_from_heart_mm(labels: UInt8[np.ndarray, "a b c"], spacing_mm: float) -> Float32[np.ndarray, "a b c"]:
    """How far each voxel lies from the nearest structure, about; reckoned on a grid of a quarter of the samples."""
    coarse = _coarse(labels.shape)
    steps_mm = [spacing_mm * (size - 1) / max(few - 1, 1) for size, few in zip(labels.shape, coarse, strict=True)]
    share = resize((labels > 0).astype(np.float32), coarse)
    heart = share >= share.max() / 2
    return resize(ndimage.distance_transform_edt(~heart, sampling=steps_mm).astype(np.float32), labels.shape)


def _coarse(shape: tuple[int, ...]) -> list[int]:
    return [max(size // 4, 1) for size in shape]


def _grain(shape: tuple[int, ...], rng: np.random.Generator) -> Float32[np.ndarray, "i j k"]:
    """Noise of standard deviation 1 whose neighbours are alike, as reconstruction leaves it."""
    noise = ndimage.gaussian_filter(rng.normal(size=shape), _GRAIN, mode="wrap")
    return np.asarray(noise / max(float(noise.std()), 1e-12), np.float32)
