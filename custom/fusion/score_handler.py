"""Scores of repaired label maps against references, per case and structure (requirement A1.9)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ignite.engine import Engine, Events

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..data.case_list import label_maps
from ..data.label_maps import read_label_map
from ..data.partner_grids import on_grid_of
from ..errors import InputError
from ..metrics.case_scores import ScoreRow, format_table, score_labels, summarise, write_scores

LOGGER = logging.getLogger(__name__)


@runtime_checkable
class WrittenMaps(Protocol):
    """The label maps that a run has written, such as :class:`custom.fusion.case_states.CaseStates`."""

    world_size: int
    done: set[str]

    def repaired(self, case: str) -> Path: ...

    def blame(self, case: str, error: InputError) -> None: ...


class LabelMapScoreHandler:
    """Score every repaired label map as it lies on the disk, and write ``scores.csv`` and ``scores.json`` at the end.

    A case whose reference is missing or does not fit is at fault like one whose input is.

    Args:
        folder: where the tables go.
        repairs: of the run.
        reference_dir: label maps of the same cases, on the same grids.
        label_table: the table or its name.
        tolerance_mm: of the surface Dice.

    Raises:
        InputError: no references there, or a run of several processes: each would write its own table.
    """

    def __init__(
        self,
        folder: str | Path,
        repairs: WrittenMaps,
        reference_dir: str | Path,
        label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name,
        tolerance_mm: float = 1.0,
    ) -> None:
        if repairs.world_size > 1:
            found, wanted = str(repairs.world_size), "1, that one process sees all cases"
            raise InputError("--world_size", found, wanted, "Repair with several processes first, then evaluate.")
        if not str(reference_dir) or not Path(reference_dir).exists():
            found, wanted = f"{str(reference_dir)!r}, where nothing is", "a folder of references"
            raise InputError("--reference_dir", found, wanted, "Give the folder of true label maps.")
        self.folder, self.repairs, self.tolerance_mm = Path(folder), repairs, tolerance_mm
        self.reference_dir, self.references = Path(reference_dir), label_maps(reference_dir)
        self.table = table(label_table)
        self.rows: list[ScoreRow] = []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.score)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def begin(self, engine: Engine) -> None:
        self.rows = []

    def score(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        for item in batch:
            case = str(item["case"])
            if case in self.repairs.done:
                try:
                    self.rows += self._rows_of(case)
                except InputError as error:
                    self.repairs.blame(case, error)

    def write(self, engine: Engine) -> None:
        if not self.rows:
            return  # no case is left, which the run reports
        written, _ = write_scores(self.rows, self.folder)
        for structure, means in summarise(self.rows).items():
            engine.state.metrics[f"{structure}_dice"] = means["dice"]
        LOGGER.info("against %s; table in %s\n%s", self.reference_dir, written, format_table({"": self.rows}))

    def _rows_of(self, case: str) -> list[ScoreRow]:
        if case not in self.references:
            remedy = "Give the references of the same cases, or restrict with --only_cases."
            raise InputError(self.reference_dir, f"no label map of case {case}", "one for every case", remedy)
        repaired = read_label_map(self.repairs.repaired(case), self.table)
        reference = read_label_map(self.references[case], self.table)
        true = on_grid_of(reference, repaired).labels
        return score_labels(case, repaired.labels, true, repaired.spacing_mm, self.table, self.tolerance_mm)
