"""Writes the phantom cohort: clean truth and damaged labels of each case; and CT-like images of the same hearts."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..anatomy import PUBLIC_CARDIAC_CT
from ..data.label_maps import write_label_map
from ..errors import InputError
from ..files import write_file
from ..output_record import writing_as
from .ct_images import Appearance, make_image, totalsegmentator_labels
from .damage import Defects, damage
from .phantom_heart import LEAST_SIZE, make_heart

logger = logging.getLogger(__name__)

MOST_SIZE = 1024
"""Voxels a side, a volume of 1 GB: the labels are made in memory."""


@writing_as("phantoms")
def make_cohort(
    output: Path, cases: int = 6, size: int = 96, seed: int = 0, defects: Defects | None = None
) -> list[Path]:
    """Writes ``truth/NAME.nii.gz`` and ``labels/NAME.nii.gz`` for ``phantom_000``, ``phantom_001`` and so on.

    The same parameters give the same bytes; a case depends on the seed and its own number, not on how many there
    are. Files appear whole or not at all. ``cohort.json`` keeps the parameters: cases already there are kept, so
    that a broken run continues and a larger cohort grows from a smaller one.

    Args:
        output: folder to write in; made if absent.
        cases: how many, at least 1.
        size: voxels along each axis, 32 to 1024; the field of view is 144 mm at any size.
        seed: what anatomy and damage are drawn from, at least 0.
        defects: severities of the damage; ``None`` for the default of 1 each.

    Returns:
        The label maps' paths, in order.

    Raises:
        InputError: a number is out of range, or the folder holds a cohort of other parameters.
    """
    _check_number("cases", cases, 1, 100_000)
    _check_number("seed", seed, 0, 2**63)
    _check_number("size", size, LEAST_SIZE, MOST_SIZE)
    severity = Defects() if defects is None else defects
    output = Path(output)
    _claim(
        output, {"size": size, "seed": seed, "defects": {name: float(much) for name, much in asdict(severity).items()}}
    )
    written = []
    for number in range(cases):
        name = f"phantom_{number:03d}.nii.gz"
        truth, labels = output / "truth" / name, output / "labels" / name
        if not (truth.exists() and labels.exists()):
            _write_case(truth, labels, size, np.random.SeedSequence([seed, number]), severity)
            logger.info("wrote %s and %s", truth, labels)
        written.append(labels)
    return written


@writing_as("phantoms")
def make_scans(
    output: Path, cases: int = 6, size: int = 96, seed: int = 0, appearance: Appearance | None = None
) -> list[Path]:
    """Writes ``sNNNN/sNNNN-image.nii.gz`` and ``sNNNN/sNNNN-label.nii.gz``, the hearts of :func:`make_cohort` as scans.

    Case s0003 is ``truth/phantom_003`` of the same size and seed, undamaged, its labels in TotalSegmentator's heart
    table (five structures; vessels and appendage are in the image alone). The same parameters give the same bytes, and
    cases already there are kept.

    Args:
        output: folder to write in; made if absent.
        cases, size, seed: as :func:`make_cohort`; each case draws the heart once more at ``appearance.supersample``
            times the size.
        appearance: noise and blur; the default of :class:`~custom.phantoms.ct_images.Appearance` if left out.

    Returns:
        The images' paths, in order.

    Raises:
        InputError: a number is out of range, or the folder holds scans of other parameters.
    """
    _check_number("cases", cases, 1, 10_000)
    _check_number("seed", seed, 0, 2**63)
    _check_number("size", size, LEAST_SIZE, MOST_SIZE)
    look, output = Appearance() if appearance is None else appearance, Path(output)
    _claim(
        output, {"size": size, "seed": seed, "appearance": {name: float(much) for name, much in asdict(look).items()}}
    )
    written = []
    for number in range(cases):
        name = f"s{number:04d}"
        image, label = (output / name / f"{name}-{part}.nii.gz" for part in ("image", "label"))
        if not (image.exists() and label.exists()):
            heart_seed, _, image_seed = np.random.SeedSequence([seed, number]).spawn(3)
            heart, affine = make_heart(heart_seed, size)
            fine, _ = make_heart(heart_seed, size * look.supersample)
            write_label_map(image, make_image(fine, float(affine[0, 0]), image_seed, look), affine, dtype=np.int16)
            write_label_map(label, totalsegmentator_labels(heart), affine)
            logger.info("wrote %s and %s", image, label)
        written.append(image)
    return written


def _check_number(name: str, value: Any, least: int, most: int) -> None:
    """A command line gives whatever was typed: 1.5, or a word."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(name, repr(value), f"a whole number from {least} to {most}", "Choose one.")


def _claim(output: Path, parameters: dict[str, object]) -> None:
    """Notes the parameters in the folder, or checks that they are the ones noted there."""
    note = output / "cohort.json"
    wanted = json.loads(json.dumps(parameters))
    if note.exists():
        try:
            found = json.loads(note.read_text())
        except ValueError as error:
            raise InputError(note, "no JSON", "a cohort's parameters", "Remove the folder or name another.") from error
        if found != wanted:
            raise InputError(note, json.dumps(found), json.dumps(wanted), "Name another folder or remove this one.")
        return
    for folder in (output / "truth", output / "labels"):
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(folder, "files but no cohort.json", "an empty folder", "Name another folder.")
    write_file(note, json.dumps(wanted, indent=2) + "\n")


def _write_case(truth: Path, labels: Path, size: int, seed: np.random.SeedSequence, defects: Defects) -> None:
    heart_seed, damage_seed = seed.spawn(2)
    heart, affine = make_heart(heart_seed, size)
    damaged = damage(heart, np.diag(affine)[:3].tolist(), damage_seed, defects, PUBLIC_CARDIAC_CT)
    write_label_map(truth, heart, affine)
    write_label_map(labels, damaged, affine)
