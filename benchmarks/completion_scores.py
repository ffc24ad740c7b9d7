"""What those who complete hearts are scored by, and the tables of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.completion.hide_structures import SCHEMES
from custom.completion.score_handler import grouped_means
from custom.metrics.case_scores import ScoreRow, score_mask
from custom.metrics.csv_tables import markdown
from custom.run.json_records import read_record, write_record

from .partial_hearts import INDICES, NAMES, REDRAWN, WHOLE, Heart, Part, counts_names

Labels = UInt8[np.ndarray, "i j k"]
Completes = Callable[[Labels, Float[np.ndarray, "4 4"], Bool[np.ndarray, " c"], bool], Labels]
"""Whole hearts of what is given, where it lies, which structures it is, and whether these are to be drawn anew."""

Rows = dict[str, list[ScoreRow]]
"""By part, and the group in it: ``3 missing: completed``."""

BAR = 0.90
"""Of the mean Dice of reconstruction."""

SHOWN = {"iou": "IoU", "dice": "Dice", "hd95_mm": "HD95 mm", "surface_dice": "surface Dice"}


def score(completes: Completes, hearts: Sequence[Heart], parts: Callable[[Heart, int], Iterable[Part]]) -> Rows:
    """Score every part of every heart: what was drawn anew of the given, and what was completed.

    A structure that the true heart lacks is not judged.
    """
    rows: Rows = {}
    for index, heart in enumerate(hearts):
        for part in parts(heart, index):
            labels = completes(heart.only(part.shown), heart.affine, part.shown, part.anew)
            for channel in np.flatnonzero(heart.present & (part.anew | ~part.shown)):
                group = "given" if part.shown[channel] else "completed"
                both = (labels == INDICES[channel], heart.labels == INDICES[channel])
                found = asdict(score_mask(both[0], both[1], heart.spacing_mm))
                own = ScoreRow(case=heart.name, structure=NAMES[channel], **found)
                rows.setdefault(f"{part.name}: {group}", []).append(own)
    return rows


def scored(
    record: Path,
    make: Callable[[], Completes],
    hearts: Sequence[Heart],
    parts: Callable[[Heart, int], Iterable[Part]],
    asked: Mapping[str, Any],
) -> Rows:
    """What :func:`score` answers, now or in an earlier call of the same settings."""
    kept = read_record(record)
    wanted = {key: str(value) for key, value in asked.items()}
    if kept.get("asked") != wanted:
        begun = time.process_time()
        rows = score(make(), hearts, parts)
        plain = {name: [asdict(row) for row in own] for name, own in rows.items()}
        kept = {"asked": wanted, "cpu_seconds": time.process_time() - begun, "rows": plain}
        write_record(record, kept)
    return {name: [ScoreRow(**row) for row in own] for name, own in kept["rows"].items()}


def pooled(rows: Rows, names: Sequence[str], group: str = "completed") -> list[ScoreRow]:
    """The rows of several parts together."""
    return [row for name in names for row in rows.get(f"{name}: {group}", [])]


def means(rows: Sequence[ScoreRow]) -> dict[str, dict[str, float | int]]:
    """By structure and of the structures' means; empty of none."""
    return grouped_means({"all": list(rows)})["all"]


def mean_dice(rows: Sequence[ScoreRow]) -> float:
    """The mean over the structures of their mean Dice; NaN of none."""
    return float(means(rows)["mean"]["dice"]) if rows else float("nan")


def completed_dice(rows: Rows) -> float:
    """The figure that competitors are compared by: with one to five structures missing, the mean over the structures
    of their mean Dice where they were missing."""
    return mean_dice(pooled(rows, counts_names()))


def reconstructed_dice(rows: Rows) -> float:
    """With nothing missing, all drawn anew: the mean over the structures."""
    return mean_dice(pooled(rows, [WHOLE], "given"))


def table_of(results: Mapping[str, Rows]) -> str:
    """A line per competitor: reconstruction, completion by the number of missing structures, and of all of them."""
    header = ["mean Dice", "reconstruction", *counts_names(), "completed"]
    lines = []
    for name, rows in results.items():
        each = [mean_dice(pooled(rows, [count])) for count in counts_names()]
        lines.append([name, *(f"{value:.3f}" for value in (reconstructed_dice(rows), *each, completed_dice(rows)))])
    return markdown(header, lines)


def table_of_schemes(results: Mapping[str, Rows]) -> str:
    """A line per scheme, and one for what is drawn anew beside three that are missing; a column per competitor."""
    lines = []
    for name in SCHEMES:
        values = [mean_dice(pooled(rows, [name])) for rows in results.values()]
        lines.append([f"{name} ({', '.join(SCHEMES[name])})", *(f"{value:.3f}" for value in values)])
    for group in ("given", "completed"):
        values = [mean_dice(pooled(rows, [REDRAWN], group)) for rows in results.values()]
        lines.append([f"{REDRAWN}: {group}", *(f"{value:.3f}" for value in values)])
    return markdown(["completed Dice", *results], lines)


def table_of_structures(results: Mapping[str, Rows], names: Sequence[str], group: str, heading: str) -> str:
    """A line per competitor, a column per structure."""
    lines = []
    for name, rows in results.items():
        own = means(pooled(rows, names, group))
        shown = [f"{own[one]['dice']:.3f}" if one in own else "-" for one in (*PUBLIC_CARDIAC_CT.names, "mean")]
        lines.append([name, *shown])
    return markdown([heading, *PUBLIC_CARDIAC_CT.names, "mean"], lines)


def table_of_measures(results: Mapping[str, Rows]) -> str:
    """A line per competitor: every measure, of reconstruction and of completion."""
    lines = []
    for name, rows in results.items():
        groups = (pooled(rows, [WHOLE], "given"), pooled(rows, counts_names()))
        own = [means(group).get("mean", {}) for group in groups]
        lines.append([name, *(f"{one.get(key, float('nan')):.3f}" for one in own for key in SHOWN)])
    header = [f"{title} {group}" for group in ("reconstructed", "completed") for title in SHOWN.values()]
    return markdown(["", *header], lines)


def verdict(results: Mapping[str, Rows], ours: str) -> str:
    """The bars, and whether each is met."""
    own, rebuilt = completed_dice(results[ours]), reconstructed_dice(results[ours])
    lines = [f"Reconstruction: mean Dice {rebuilt:.3f}, bar {BAR:.2f}: {_word(rebuilt >= BAR)}."]
    for name, rows in results.items():
        if name != ours:
            other = completed_dice(rows)
            lines.append(f"Completion: {own:.3f}, {name} {other:.3f} ({own - other:+.3f}): {_word(own > other)}.")
    return "\n".join(lines) + "\n"


def _word(met: bool) -> str:
    return "met" if met else "missed"
