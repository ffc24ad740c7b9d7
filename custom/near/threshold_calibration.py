"""A whole-heart field's thresholds, chosen on the label maps it was trained on (requirement A3.5)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from ..anatomy import PUBLIC_CARDIAC_CT, table
from ..data.case_list import find_cases
from ..data.label_maps import read_label_map
from ..data.partner_grids import to_grid
from ..errors import InputError
from ..rules.priority_decision import Calibration
from ..training.checkpoint_file import save_atomically
from .field_checkpoint import load_checkpoint
from .output_grid import OutputGrids

LOGGER = logging.getLogger(__name__)


class ThresholdCalibrator:
    """Gather probabilities and labels of every case, and write the thresholds into the checkpoint at the end.

    Only voxels of the heart's box are looked at.

    Args:
        checkpoint: whose field is evaluated; it gets ``thresholds``, and is replaced whole or not at all.
        canvases: on the label maps' own grids.
        dataset_dir: the label maps.
        label_table: name of the table.

    Raises:
        InputError: no label maps there, none of a case, or one on another grid than the one trained on.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        canvases: OutputGrids,
        dataset_dir: str | Path,
        label_table: str = PUBLIC_CARDIAC_CT.name,
    ) -> None:
        self.checkpoint, self.canvases, self.label_table = Path(checkpoint), canvases, table(label_table)
        self.dataset_dir = Path(dataset_dir)
        self.paths = {case.name: case.path for case in find_cases(dataset_dir, label_table)}
        self.calibration = Calibration(self.label_table)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.take)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def begin(self, engine: Engine) -> None:
        self.calibration = Calibration(self.label_table)

    def take(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        answers: Any = engine.state.output
        for asked, item in zip(batch, answers, strict=True):
            canvas, labels = self.canvases[int(asked["index"])], self.labels(asked["case"], int(asked["index"]))
            if not canvas.empty:
                self.calibration.take(np.asarray(item["pred"][1:]), labels[canvas.box])

    def labels(self, case: str, row: int) -> np.ndarray:
        """The label map of a case, on the grid of its frame."""
        if case not in self.paths:
            remedy = "Give the --dataset_dir of the training run, or restrict with --only_cases."
            raise InputError(self.dataset_dir, f"no label map of case {case}", "one for every case", remedy)
        given, frame = read_label_map(self.paths[case], self.label_table), self.canvases.frames[row]
        remedy = "Give the --dataset_dir of the training run."
        return to_grid(given, frame.shape, frame.affine, "that of the label map trained on", remedy)

    def write(self, engine: Engine) -> None:
        thresholds = self.calibration.thresholds()
        save_atomically({**load_checkpoint(self.checkpoint), "thresholds": thresholds}, self.checkpoint)
        shown = ", ".join(f"{name} {value:g}" for name, value in thresholds.items())
        LOGGER.info("thresholds in %s: %s", self.checkpoint, shown)
