"""Scores of answers to questions about hearts, method beside method: per case, per structure, overall (C4).

``metrics.json`` holds one object:

==============  ========================================================================================================
``format``      :data:`FORMAT`
``banner``      a sentence that the weights are not trained, or empty
``settings``    how the numbers were made: spacing, tolerances, whether between voxels, what else the caller says
``methods``     name of each method and what it is
``overall``     per method the means over the structures of ``structures``
``structures``  per structure and method the means over the cases
``cases``       per case and method the means over the case's structures
``against``     per method beside the first: ``dice_gain``, mean over patients of the first's Dice less the method's;
                ``better_in``, in how many patients that is above 0; ``patients``
``unasked``     case, structure and axis of which there was nothing to ask
``rows``        one per question and method: ``case``, ``patient``, ``structure``, ``axis``, ``slice_idx``, ``method``,
                ``empty`` and the measures
==============  ========================================================================================================

Measures are those of :mod:`custom.metrics.reconstruction`, of whole volumes. A case has one number per structure, the
mean over its questions (slices across different axes), so that no case counts more than another for having more slices.
``asked`` counts the questions behind a mean and ``empty`` the answers that were empty where the truth is not: they are
in the means at their full penalty.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files import write_file
from .csv_tables import markdown
from .reconstruction import ReconstructionScore

FORMAT = "corfield.answers/1"

TITLES = {
    "dice": "Dice",
    "hd95_mm": "HD95 mm",
    "chamfer_mm": "Chamfer mm",
    "chamfer_squared_mm2": "Chamfer squared mm2",
}

Means = dict[str, float | int]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One method's answer to one question, scored.

    Attributes:
        case, patient, structure, axis, slice_idx: of the question.
        method: who answered.
        score: against the truth.
    """

    case: str
    patient: str
    structure: str
    axis: int
    slice_idx: int
    method: str
    score: ReconstructionScore

    def row(self, tolerances_mm: Sequence[float]) -> dict[str, Any]:
        """What the tables show of it."""
        names = ("case", "patient", "structure", "axis", "slice_idx", "method")
        values = {name: getattr(self, name) for name in names}
        return {**values, "empty": self.score.empty, **self.score.values(tolerances_mm)}


def summarised(answers: Sequence[Answer], tolerances_mm: Sequence[float]) -> dict[str, Any]:
    """``overall``, ``structures``, ``cases`` and ``against``, as the head of this file says.

    Raises:
        InputError: there are no answers.
    """
    if not answers:
        raise InputError("answers", "none", "at least one", "Check the cache and its test split.")
    structures = {name: _by_method(_own(answers, structure=name), tolerances_mm) for name in _all(answers, "structure")}
    return {
        "overall": {method: _overall(structures, method) for method in _all(answers, "method")},
        "structures": structures,
        "cases": {name: _by_method(_own(answers, case=name), tolerances_mm) for name in _all(answers, "case")},
        "against": _against(answers),
    }


def write_answers(
    folder: Path,
    answers: Sequence[Answer],
    tolerances_mm: Sequence[float],
    methods: Mapping[str, str],
    settings: Mapping[str, Any],
    banner: str = "",
    unasked: Sequence[tuple[str, str, int]] = (),
) -> dict[str, Any]:
    """Write ``metrics.json`` and ``metrics.csv``, a line per row, each whole or not at all; returns the content.

    Raises:
        InputError: no answers, or a place that cannot be written.
    """
    rows = [answer.row(tolerances_mm) for answer in answers]
    content = {
        "format": FORMAT,
        "banner": banner,
        "settings": dict(settings),
        "methods": dict(methods),
        **summarised(answers, tolerances_mm),
        "unasked": [dict(zip(("case", "structure", "axis"), one, strict=True)) for one in unasked],
        "rows": rows,
    }
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_file(folder / "metrics.csv", text.getvalue())
    write_file(folder / "metrics.json", json.dumps(content, indent=1) + "\n")
    return content


def read_answers(path: Path) -> dict[str, Any]:
    """The content of a ``metrics.json``; ``InputError`` if it is none."""
    remedy = "Evaluate first."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, f"no file that can be read ({error})", "a metrics.json", remedy) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(path, "another file", f"one of format {FORMAT}", remedy)
    return content


def format_answers(content: Mapping[str, Any]) -> str:
    """Markdown: a line per method with its means over all structures, and the Dice of each structure."""
    measures = [name for name in next(iter(content["overall"].values())) if name not in ("asked", "empty")]
    names = [TITLES.get(name, name.replace("_", " ").replace("mm", " mm")) for name in measures]
    header = ["method", *names, *(f"Dice {structure.removeprefix('heart_')}" for structure in content["structures"])]
    lines = []
    for method, means in content["overall"].items():
        each = [content["structures"][structure].get(method, {}).get("dice") for structure in content["structures"]]
        lines.append([method, *(_cell(means[name]) for name in measures), *(_cell(value) for value in each)])
    return markdown(header, lines)


def question_name(row: Mapping[str, Any]) -> str:
    """What the files of a question are called, from its ``case``, ``structure``, ``axis`` and ``slice_idx``."""
    return f"{row['case']}-{row['structure']}-ax{row['axis']}-{row['slice_idx']:03d}"


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _all(answers: Sequence[Answer], field: str) -> list[str]:
    return list(dict.fromkeys(getattr(answer, field) for answer in answers))


def _own(answers: Sequence[Answer], **fields: str) -> list[Answer]:
    return [one for one in answers if all(getattr(one, name) == value for name, value in fields.items())]


def _by_method(answers: Sequence[Answer], tolerances_mm: Sequence[float]) -> dict[str, Means]:
    """Means of each method over the (case, structure) pairs of some answers, each the mean over its questions."""
    found: dict[str, Means] = {}
    for method in _all(answers, "method"):
        own = _own(answers, method=method)
        pairs: dict[tuple[str, str], list[dict[str, float]]] = {}
        for answer in own:
            pairs.setdefault((answer.case, answer.structure), []).append(answer.score.values(tolerances_mm))
        each = [_mean(values) for values in pairs.values()]
        empty = sum(answer.score.empty == "prediction" for answer in own)
        found[method] = {**_mean(each), "asked": len(own), "empty": empty}
    return found


def _overall(structures: Mapping[str, Mapping[str, Means]], method: str) -> Means:
    each = [means[method] for means in structures.values() if method in means]
    counts = {name: int(sum(one[name] for one in each)) for name in ("asked", "empty")}
    return {**_mean([{key: value for key, value in one.items() if key not in counts} for one in each]), **counts}


def _mean(values: Sequence[Mapping[str, float | int]]) -> dict[str, float]:
    return {name: float(np.mean([one[name] for one in values])) for name in values[0]}


def _against(answers: Sequence[Answer]) -> dict[str, Means]:
    """The first method beside each other one, patient by patient, on the questions that both have answered."""
    first, *others = _all(answers, "method")
    found: dict[str, Means] = {}
    for method in others:
        gains: dict[str, list[float]] = {}
        theirs = {_question(one): one.score.dice for one in _own(answers, method=method)}
        for one in _own(answers, method=first):
            if _question(one) in theirs:
                gains.setdefault(one.patient, []).append(one.score.dice - theirs[_question(one)])
        means = [float(np.mean(values)) for values in gains.values()]
        better = sum(gain > 0 for gain in means)
        if means:
            found[method] = {"dice_gain": float(np.mean(means)), "better_in": better, "patients": len(means)}
    return found


def _question(answer: Answer) -> tuple[str, str, int, int]:
    return answer.case, answer.structure, answer.axis, answer.slice_idx
