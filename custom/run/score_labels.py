"""Scores of a folder of label maps against one of references, matched by name: no case is forgotten."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..data.case_list import case_name, label_maps
from ..data.label_maps import read_label_map
from ..data.partner_grids import on_grid_of
from ..errors import InputError
from ..files import check_folder
from ..metrics.case_scores import ScoreRow, format_table, score_labels, write_scores
from ..output_checks import refuse_covering, refuse_foreign_files
from ..space import Frame
from .process_pool import ProcessPool
from .task import Task

TABLES = ("scores.csv", "scores.json")

MEASURES = ("dice", "hd95_mm", "assd_mm", "surface_dice", "components", "components_reference")
"""Columns of the table shown; the files have all."""


@dataclass(frozen=True)
class Scored:
    """What scoring came to.

    Attributes:
        text: the table, and what it was made of.
        rows: a line per case and structure, of the good cases.
        faults: what is wrong with the others, a line each; empty if nothing is.
    """

    text: str
    rows: tuple[ScoreRow, ...]
    faults: tuple[str, ...]


def run_score(
    prediction: Path,
    reference: Path,
    output: Path | None = None,
    label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name,
    structures: Sequence[str] = (),
    workers: int = 1,
    tolerance_mm: float = 1.0,
) -> Scored:
    """Score every case that both sides have; write ``scores.csv`` and ``scores.json`` to ``output`` if it is given.

    A case that cannot be read or lies on another grid than its reference is named among the faults, and the others are
    scored. So is an output that cannot be written any more at the end: the table is there all the same.

    Args:
        prediction, reference: folders of label maps, MONAI data lists, or two files, whatever their names.
        output: folder of the two files; None writes nothing.
        label_table: which number is which structure, on both sides.
        structures: names or numbers of those to score; empty for all.
        workers: processes; 0 for as many as there are cores. Each holds one case at a time.
        tolerance_mm: of the surface Dice.

    Raises:
        InputError: nothing there; an unknown table or structure; an output that cannot be written; no case that can be
            scored, with the faults of all.
    """
    labels_of = table(label_table)
    wanted = _chosen(labels_of, structures)
    _check_numbers(workers, tolerance_mm)
    pairs, alone = matched(Path(prediction), Path(reference))
    if output is not None:
        tables = [Path(output) / name for name in TABLES]
        refuse_covering(tables, [path for pair in pairs.values() for path in pair])
        refuse_foreign_files(tables)
        check_folder(Path(output))
    with ProcessPool(workers or len(os.sched_getaffinity(0))) as crew:
        rows, unscored = score_pairs(pairs, labels_of, wanted, crew, tolerance_mm)
    faults, cases = [*alone, *unscored], len(pairs) + len(alone)
    if not rows:
        found = f"no case that can be scored among {cases} [{' | '.join(faults)}]"
        raise InputError(prediction, found, "at least one", "Mend these files, or give others.")
    text = f"{format_table({'': rows}, MEASURES)}\n{cases - len(faults)} of {cases} cases against {reference}"
    if output is not None:
        try:
            text += f"\ntable: {write_scores(rows, Path(output))[0]}"
        except InputError as error:
            faults.append(str(error))
    return Scored(text, tuple(rows), tuple(faults))


def matched(prediction: Path, reference: Path) -> tuple[dict[str, tuple[Path, Path]], list[str]]:
    """The files of every case on both sides, prediction and reference, by its name; and a line for every case that only
    one side has. Two files are one case, named by the first.

    Raises:
        InputError: nothing there, or no case on both sides, with all the names.
    """
    if all(path.is_file() and path.suffix.lower() != ".json" for path in (prediction, reference)):
        return {case_name(prediction): (prediction, reference)}, []
    found, wanted = label_maps(prediction), label_maps(reference)
    pairs = {name: (path, wanted[name]) for name, path in found.items() if name in wanted}
    alone = [(prediction, name, "prediction") for name in wanted if name not in found]
    alone += [(reference, name, "reference") for name in found if name not in wanted]
    remedy = "Add it, or take its partner away."
    faults = [str(InputError(where, f"no {side} of {name}", "one", remedy)) for where, name, side in alone]
    if not pairs:
        where = f"{prediction} and {reference}"
        raise InputError(where, f"no case on both sides [{' | '.join(faults)}]", "the same names", "Check the folders.")
    return pairs, faults


def score_pairs(
    pairs: Mapping[str, tuple[Path, Path]],
    labels_of: StructureTable,
    wanted: StructureTable,
    crew: ProcessPool,
    tolerance_mm: float = 1.0,
) -> tuple[list[ScoreRow], list[str]]:
    """Rows of the good cases in their order, and the faults of the others, a line each.

    Args:
        pairs: as :func:`matched` gives them.
        labels_of: the table the files are checked by.
        wanted: the table of the structures to score.
        crew: does the cases.
        tolerance_mm: of the surface Dice.
    """
    common = {"labels_of": labels_of, "wanted": wanted, "tolerance_mm": tolerance_mm}
    tasks = [
        Task(case, score_case, {"case": case, "prediction": found, "reference": true, **common}, _bytes(found))
        for case, (found, true) in pairs.items()
    ]
    answers = {answer.name: answer for answer in crew.run(tasks, f"scoring {len(tasks)} cases")}
    rows = [row for case in pairs if not answers[case].fault for row in answers[case].result]
    return rows, [answers[case].fault for case in pairs if answers[case].fault]


def score_case(
    case: str,
    prediction: Path,
    reference: Path,
    labels_of: StructureTable,
    wanted: StructureTable,
    tolerance_mm: float,
) -> list[ScoreRow]:
    """Read one case and score it.

    Raises:
        InputError: a file is faulty, or the two lie on different grids.
    """
    true = read_label_map(reference, labels_of)
    found = on_grid_of(read_label_map(prediction, labels_of), true)
    # In patient order, whichever order the files have: sums of distances round alike.
    i, j, k = true.labels.shape
    frame = Frame(true.affine, (i, j, k), (0, 0, 0), (i - 1, j - 1, k - 1))
    upright = [np.ascontiguousarray(frame.to_unit_order(one.labels)) for one in (found, true)]
    x, y, z = (float(true.spacing_mm[axis]) for axis in frame.axes[0])
    return score_labels(case, upright[0], upright[1], (z, y, x), wanted, tolerance_mm)


def _chosen(labels_of: StructureTable, structures: Sequence[str]) -> StructureTable:
    """The table of these structures alone, in its own order; of all if none are named."""
    names = {labels_of[name].name for name in structures}
    return replace(labels_of, structures=tuple(one for one in labels_of if one.name in names or not names))


def _check_numbers(workers: int, tolerance_mm: float) -> None:
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
        raise InputError("--workers", repr(workers), "a whole number from 0", "Correct it.")
    known = isinstance(tolerance_mm, (int, float)) and not isinstance(tolerance_mm, bool)
    if not (known and math.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise InputError("--tolerance_mm", repr(tolerance_mm), "a length in mm from 0", "Correct it.")


def _bytes(path: Path) -> float:
    """The size of a file, as a measure of the work; a file without a size is reported once it is read."""
    try:
        return float(max(path.stat().st_size, 1))
    except OSError:
        return 1.0
