"""Scores of an evaluation run, per case and mean, in the log and in files (requirement A1.9)."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from ..metrics.case_scores import ScoreRow, score_mask, summarise, write_scores

LOGGER = logging.getLogger(__name__)


class MaskScoreHandler:
    """Score every mask against its reference in mm, and write ``scores.csv`` and ``scores.json`` at the end.

    MONAI's own Hausdorff handler counts voxels and drops an empty prediction from the mean; here spacing counts and an
    empty prediction costs the volume's diagonal.

    Args:
        folder: where the tables go.
        structure: its name.
        tolerance_mm: of the surface Dice.
    """

    def __init__(self, folder: str | Path, structure: str, tolerance_mm: float = 1.0) -> None:
        self.folder, self.structure, self.tolerance_mm = Path(folder), structure, tolerance_mm
        self.rows: list[ScoreRow] = []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.score)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def begin(self, engine: Engine) -> None:
        self.rows = []

    def score(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        answers: Any = engine.state.output
        for asked, item in zip(batch, answers, strict=True):
            masks = [np.asarray(item[key][0]) > 0.5 for key in ("pred", "label")]
            i, j, k = (float(size) for size in item["pred"].pixdim)
            score = score_mask(masks[0], masks[1], (i, j, k), self.tolerance_mm)
            self.rows.append(ScoreRow(case=asked["case"], structure=self.structure, **asdict(score)))

    def write(self, engine: Engine) -> None:
        written, _ = write_scores(self.rows, self.folder)
        means: dict[str, Any] = summarise(self.rows)[self.structure]
        for name in ("dice", "hd95_mm", "assd_mm", "surface_dice", "components"):
            engine.state.metrics[f"mean_{name}"] = means[name]
        LOGGER.info(
            "%s: Dice %.4f, HD95 %.2f mm; table in %s", self.structure, means["dice"], means["hd95_mm"], written
        )
