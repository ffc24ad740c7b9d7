"""The cache of slices of a bundle: the user's, or that of a phantom cohort, which is made on first use."""

from __future__ import annotations

import logging
from pathlib import Path

import torch.distributed as dist

from ..anatomy import TOTALSEGMENTATOR_HEART
from ..data.split_cases import split_cases
from ..phantoms.phantom_heart import FIELD_OF_VIEW_MM, LEAST_SIZE
from ..phantoms.write_cohort import make_scans
from ..slices.cut_slices import WINDOW_HU
from ..slices.slice_datalist import LISTING, CachedCase, write_listing
from .write_slices import write_case

LOGGER = logging.getLogger(__name__)

PHANTOMS = Path("data")
VALIDATION, TEST = 0.1, 0.2
"""Shares of the phantom patients."""


def given_or_sliced_phantoms(
    dataset_dir: str | Path = "", voxels: int = 64, cases: int = 40, seed: int = 7, rank: int = 0
) -> str:
    """``dataset_dir`` as it is; if empty, slices of phantom scans in ``data``, which are made on first use.

    The phantoms' field of view is the cube: 144 mm on ``voxels`` voxels a side. The split is by patient, and every
    phantom is a patient. Of several processes the first makes them, and the others wait.

    Args:
        dataset_dir: written by ``corfield slices``.
        voxels: of the phantoms' cubes.
        cases: how many phantoms.
        seed: of the phantoms and of their split.
        rank: number of this process.

    Raises:
        InputError: as :func:`custom.phantoms.write_cohort.make_scans` and :func:`custom.sam3d.write_slices.write_case`.
    """
    if dataset_dir:
        return str(dataset_dir)
    cache = PHANTOMS / f"phantom_slices_{voxels}_{cases}"
    LOGGER.warning("no --dataset_dir given: using the slices of %d phantoms in %s (made on first use)", cases, cache)
    if rank == 0 and not (cache / LISTING).is_file():
        make_sliced_phantoms(cache, PHANTOMS / f"phantom_scans_{voxels}", voxels, cases, seed)
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
    return str(cache)


def make_sliced_phantoms(cache: Path, scans: Path, voxels: int, cases: int, seed: int = 7) -> None:
    """Write phantom scans and the cache of their slices; its list comes last."""
    settings = {
        "label_table": TOTALSEGMENTATOR_HEART.name,
        "size": voxels,
        "spacing_mm": FIELD_OF_VIEW_MM / voxels,
        "centre": "grid",
        "window_hu": WINDOW_HU,
        "least_pixels": max(1, voxels**2 // 170),
        "meshes": False,
    }
    made = []
    for image in make_scans(scans, cases, max(voxels, LEAST_SIZE), seed):
        name = image.parent.name
        label = image.with_name(f"{name}-label.nii.gz")
        found = write_case(name, image, label, cache, **settings)
        rows = tuple((path, axis, index, tuple(pixels)) for path, axis, index, pixels in found["rows"])
        made.append(CachedCase(name, name, found["sdf"], rows))
        LOGGER.info("wrote the slices of %s", name)
    splits = split_cases([case.patient for case in made], VALIDATION, TEST, seed)
    write_listing(cache, made, splits, TOTALSEGMENTATOR_HEART)
