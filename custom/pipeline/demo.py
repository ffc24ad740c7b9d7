"""The demonstration: a phantom cohort with known truth, three structures repaired, a table and a picture."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from ..anatomy import PUBLIC_CARDIAC_CT
from ..cohort.cases import find_cases
from ..cohort.label_maps import read_label_map
from ..cohort.make import make_cohort
from ..engines.workflows import bundle_configs, run_bundle
from ..scoring.scores import ScoreRow, format_table, score_mask, write_scores
from ..report.before_after import before_after

STRUCTURES = ("LA", "LAA", "Coronary")


def repair_structure(labels: Path, output: Path, structure: str, **overrides: Any) -> Path:
    """Train one structure's field on a folder of label maps and write its masks; the masks' folder.

    The structure's overlay is used. A run that was killed goes on; one that is done is not done again.
    """
    common = {"dataset_dir": str(labels), "output_dir": str(output), "structure": structure}
    run_bundle(bundle_configs("near_stage1", ["train"], structure), "training", **common, **overrides)
    settings = {key: overrides[key] for key in ("device",) if key in overrides}
    run_bundle(bundle_configs("near_stage1", ["inference"], structure), "infer", **common, **settings)
    return output / "masks" / structure


def score_structure(
    predicted: Path, truth: Path, structure: str, masks_by_index: bool
) -> tuple[list[ScoreRow], dict[str, Bool[np.ndarray, "i j k"]]]:
    """Rows of all cases of one structure, and the masks scored.

    Args:
        predicted: folder of label maps, or of masks.
        truth: folder of label maps.
        structure: name.
        masks_by_index: whether ``predicted`` holds label maps and not masks.
    """
    index = PUBLIC_CARDIAC_CT[structure].index
    rows, masks = [], {}
    for case in find_cases(truth):
        reference = read_label_map(case.path)
        found = read_label_map(predicted / case.path.name).labels == (index if masks_by_index else 1)
        score = score_mask(found, reference.labels == index, reference.spacing_mm)
        rows.append(ScoreRow(case=case.name, structure=structure, **asdict(score)))
        masks[case.name] = found
    return rows, masks


def run_demo(
    output: Path, cases: int = 6, size: int = 96, seed: int = 0, structures: Sequence[str] = STRUCTURES
) -> str:
    """Run it; the table of scores before and after against the truth, which is written to ``output`` too."""
    begun = time.monotonic()
    make_cohort(output / "phantoms", cases, size, seed)
    labels, truth = output / "phantoms" / "labels", output / "phantoms" / "truth"
    before: list[ScoreRow] = []
    after: list[ScoreRow] = []
    shown: dict[str, dict[str, Bool[np.ndarray, "i j k"]]] = {}
    first = find_cases(truth)[0]
    for structure in structures:
        masks_dir = repair_structure(labels, output / "stage1", structure, seed=seed)
        rows, damaged = score_structure(labels, truth, structure, masks_by_index=True)
        before += rows
        rows, repaired = score_structure(masks_dir, truth, structure, masks_by_index=False)
        after += rows
        shown[structure] = {
            "damaged": damaged[first.name],
            "repaired": repaired[first.name],
            "truth": read_label_map(first.path).labels == PUBLIC_CARDIAC_CT[structure].index,
        }
    write_scores(before, output, "damaged")
    write_scores(after, output, "repaired")
    picture = output / "before_after.png"
    before_after(shown, [PUBLIC_CARDIAC_CT[name] for name in structures], read_label_map(first.path).affine, picture)
    table = format_table({"damaged": before, "repaired": after})
    (output / "table.md").write_text(table + "\n")
    seconds = time.monotonic() - begun
    (output / "demo.json").write_text(json.dumps({"seconds": round(seconds, 1), "cases": cases, "size": size}) + "\n")
    made = len(find_cases(truth))
    return (
        f"{table}\n\nagainst the known truth, {made} phantom hearts, {seconds:.0f} s\nwhite outline: truth: {picture}"
    )
