"""A cache of two cases of plain boxes, and an evaluation of it, for tests of what is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.data.label_maps import write_label_map
from custom.metrics.reconstruction import TOLERANCES_MM, reconstruction_score
from custom.metrics.slice_evaluation import Answer, question_name, write_answers
from custom.slices.case_volume import CaseVolume
from custom.slices.scan_cube import Cube
from custom.slices.slice_datalist import CachedCase, write_listing
from custom.slices.slice_file import Slice

LV = "heart_ventricle_left"
INDEX = TOTALSEGMENTATOR_HEART[LV].index
SIDE, SPACING_MM = 16, 3.0
AFFINE = np.array([[3.0, 0, 0, -20], [0, 3, 0, 5], [0, 0, 3, 40], [0, 0, 0, 1]])
TRUTH = (slice(4, 11), slice(3, 8), slice(5, 10))
"""The left ventricle of every case: 7 x 5 x 5 voxels."""


def box(*ranges: slice) -> np.ndarray:
    made = np.zeros((SIDE,) * 3, bool)
    made[ranges] = True
    return made


def case_volume(case: str) -> CaseVolume:
    labels = box(*TRUTH).astype(np.uint8) * np.uint8(INDEX)
    image = np.where(labels > 0, 350.0, -90.0).astype(np.float32)
    return CaseVolume.of(case, Cube(image, labels, AFFINE), TOTALSEGMENTATOR_HEART)


def write_cache(folder: Path, cases: tuple[str, ...] = ("s1", "s2")) -> Path:
    """A slice across each axis of every case; the first case is for the test, the second for training."""
    cached = []
    for case in cases:
        volume, rows = case_volume(case), []
        volume.write(folder / case / f"{case}-sdf.npz")
        for axis, index in ((0, 6), (1, 5), (2, 7)):
            one = Slice.of(volume, axis, index, f"{case}-sdf.npz")
            one.write(folder / case / f"{case}-ax{axis}-{index:03d}.npz")
            pixels = (0, int(one.mask[1].sum()), 0, 0, 0)
            rows.append((f"{case}/{case}-ax{axis}-{index:03d}.npz", axis, index, pixels))
        cached.append(CachedCase(case, f"patient of {case}", f"{case}/{case}-sdf.npz", tuple(rows)))
    splits = {one.patient: "test" if place == 0 else "training" for place, one in enumerate(cached)}
    write_listing(folder, cached, splits, TOTALSEGMENTATOR_HEART)
    return folder


def write_evaluation(folder: Path, banner: str = "") -> Path:
    """An evaluation of the first case of that cache: across axis 0 a voxel too far, across axis 2 nothing at all."""
    answers = []
    for axis, index, drawn in ((0, 6, box(slice(5, 12), *TRUTH[1:])), (2, 7, box(slice(0, 0)))):
        for method, found in (("lora", drawn), ("truth <b>", box(*TRUTH))):
            score = reconstruction_score(found, box(*TRUTH), (SPACING_MM,) * 3)
            answers.append(
                Answer(
                    case="s1",
                    patient="patient of s1",
                    structure=LV,
                    axis=axis,
                    slice_idx=index,
                    method=method,
                    score=score,
                )
            )
        name = question_name(answers[-1].row(TOLERANCES_MM))
        path = folder / "predictions" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_label_map(path, drawn.astype(np.uint8) * np.uint8(INDEX), AFFINE)
    methods = {"lora": "the adapted flow", "truth <b>": "the truth"}
    write_answers(folder, answers, TOLERANCES_MM, methods, {"spacing_mm": SPACING_MM}, banner)
    return folder
