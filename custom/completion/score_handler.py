"""Scores of completed hearts against references, of what was given and of what was completed (requirements B3-B5)."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from ..anatomy import PUBLIC_CARDIAC_CT, table
from ..data.case_list import label_maps
from ..data.label_maps import read_label_map
from ..data.partner_grids import on_grid_of
from ..errors import InputError
from ..files import write_file
from ..metrics.case_scores import ScoreRow, format_table, score_labels, summarise, write_scores
from ..output_record import remove
from .completion_dice import GROUPS

LOGGER = logging.getLogger(__name__)

SHOWN = ("iou", "dice", "hd95_mm", "surface_dice")


def iou(rows: Sequence[ScoreRow]) -> float:
    """The mean intersection over union of rows, from their Dice; 0 of none."""
    each = [row.dice / (2 - row.dice) for row in rows]
    return sum(each) / max(len(each), 1)


def grouped_means(groups: dict[str, list[ScoreRow]]) -> dict[str, dict[str, dict[str, float | int]]]:
    """By group and structure, and of the structures' means: IoU, Dice, HD95 in mm, surface Dice, and of how many."""
    found: dict[str, dict[str, dict[str, float | int]]] = {}
    for group, rows in groups.items():
        found[group] = {}
        if not rows:
            continue
        means = summarise(rows)
        for name in means:
            own = {name: [row for row in rows if row.structure == name]} if name != "mean" else {}
            of_one: dict[str, float | int] = {key: means[name][key] for key in SHOWN[1:]}
            found[group][name] = {"iou": iou(own.get(name, [])), **of_one, "scored": means[name]["scored"]}
        ious = [values["iou"] for name, values in found[group].items() if name != "mean"]
        found[group]["mean"]["iou"] = sum(ious) / len(ious)
    return found


class CompletionScoreHandler:
    """Score every completed map as it lies on the disk, once it is written.

    At the end ``scores.csv`` and ``scores.json`` have every structure that the reference holds; ``scores_present`` and
    ``scores_completed`` those that were given and those that were not; ``completion.json`` the means of both groups,
    the intersection over union among them. A structure that a reference lacks is not judged: nobody may have
    labelled it.

    Args:
        folder: where the maps lie and the tables go.
        reference_dir: label maps of the same cases, on the same grids.
        label_table: the table or its name.
        tolerance_mm: of the surface Dice.

    Raises:
        InputError: no references there, none of a case, or one on another grid.
    """

    def __init__(
        self,
        folder: str | Path,
        reference_dir: str | Path,
        label_table: str = PUBLIC_CARDIAC_CT.name,
        tolerance_mm: float = 1.0,
    ) -> None:
        if not str(reference_dir) or not Path(reference_dir).exists():
            found, wanted = f"{str(reference_dir)!r}, where nothing is", "a folder of references"
            raise InputError("--reference_dir", found, wanted, "Give the folder of whole label maps.")
        self.folder, self.tolerance_mm, self.table = Path(folder), tolerance_mm, table(label_table)
        self.reference_dir, self.references = Path(reference_dir), label_maps(reference_dir)
        self.groups: dict[str, list[ScoreRow]] = {group: [] for group in GROUPS}

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.score)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def begin(self, engine: Engine) -> None:
        self.groups = {group: [] for group in GROUPS}

    def score(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        for item in batch:
            shown = dict(zip(self.table.names, np.asarray(item["input_present"]).tolist(), strict=True))
            for row in self._rows_of(str(item["case"])):
                self.groups[GROUPS[0] if shown[row.structure] else GROUPS[1]].append(row)

    def _rows_of(self, case: str) -> list[ScoreRow]:
        if case not in self.references:
            remedy = "Give the references of the same cases, or restrict with --only_cases."
            raise InputError(self.reference_dir, f"no label map of case {case}", "one for every case", remedy)
        found = read_label_map(self.folder / f"{case}.nii.gz", self.table)
        wanted = on_grid_of(read_label_map(self.references[case], self.table), found)
        rows = score_labels(case, found.labels, wanted.labels, found.spacing_mm, self.table, self.tolerance_mm)
        held = {self.table[int(index)].name for index in np.unique(wanted.labels) if index}
        return [row for row in rows if row.structure in held]

    def write(self, engine: Engine) -> None:
        every = [row for rows in self.groups.values() for row in rows]
        written, _ = write_scores(every, self.folder)
        for group, rows in self.groups.items():
            for suffix in ("csv", "json"):  # of an earlier run, perhaps with other structures hidden
                remove(self.folder / f"scores_{group}.{suffix}")
            if rows:
                write_scores(rows, self.folder, f"scores_{group}")
        means = grouped_means(self.groups)
        write_file(self.folder / "completion.json", json.dumps(means, indent=2) + "\n")
        for group, values in means.items():
            if values:
                engine.state.metrics[f"{group}_dice"] = values["mean"]["dice"]
        shown = {group: rows for group, rows in self.groups.items() if rows}
        for group, rows in shown.items():
            LOGGER.info("%s, against %s; table in %s\n%s", group, self.reference_dir, written, format_table({"": rows}))
