"""Stage 1 of one structure alone, without a plan or a record: trained, asked for its masks, scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from ..anatomy import PUBLIC_CARDIAC_CT
from ..data.case_list import find_cases
from ..data.label_maps import read_label_map
from ..metrics.case_scores import ScoreRow, score_mask
from ..training.run_bundle import bundle_configs, run_bundle


def repair_structure(
    labels: Path, output: Path, structure: str, asked: Mapping[str, Any] | None = None, **overrides: Any
) -> Path:
    """Train one structure's field on a folder of label maps and write its masks; the masks' folder.

    The structure's overlay is used. A run that was killed goes on; one that is done is not done again.

    Args:
        labels, output, structure: what of, where to, and which.
        asked: further settings of inference.
        overrides: settings of training; ``device`` is inference's too.
    """
    common = {"dataset_dir": str(labels), "output_dir": str(output), "structure": structure}
    run_bundle(bundle_configs("near_stage1", ["train"], structure), "training", **common, **overrides)
    settings = {key: overrides[key] for key in ("device",) if key in overrides}
    run_bundle(bundle_configs("near_stage1", ["inference"], structure), "infer", **common, **settings, **(asked or {}))
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
