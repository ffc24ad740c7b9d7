"""A record of each structure of each completed heart: given or completed, how large, and how near the truth (B3-B5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from ..anatomy import StructureTable
from .case_scores import score_mask
from .csv_tables import markdown, write_rows
from .overlap import volume_mm3
from .topology import component_count

GIVEN, COMPLETED = "given", "completed"

SURE = 0.5
"""A confidence from which on it is checked how often it is right: what lies two mm deep and more."""


@dataclass(frozen=True, kw_only=True)
class CompletionRow:
    """One structure of one completed heart.

    Attributes:
        case, structure: which.
        source: ``given`` or ``completed``.
        volume_mm3: 0 if nothing of it is there.
        components: connected pieces, 26 neighbours.
        volume_reference_mm3, components_reference: of the truth; ``None`` without one, or where it lacks the structure:
            nobody may have labelled it, so that it is not judged.
        dice, iou, hd95_mm, assd_mm, surface_dice: against the truth, as :func:`custom.metrics.case_scores.score_mask`
            gives them.
        confidence: mean over the voxels of a completed structure; ``None`` of a given one, or where nothing was drawn.
        right_if_sure, right_if_unsure: of its voxels with a confidence of at least :data:`SURE`, and of those below,
            the share that the truth calls the same; ``None`` without such voxels or a truth of the structure.
    """

    case: str
    structure: str
    source: str
    volume_mm3: float
    components: int
    volume_reference_mm3: float | None = None
    components_reference: int | None = None
    dice: float | None = None
    iou: float | None = None
    hd95_mm: float | None = None
    assd_mm: float | None = None
    surface_dice: float | None = None
    confidence: float | None = None
    right_if_sure: float | None = None
    right_if_unsure: float | None = None


def completion_rows(
    case: str,
    labels: UInt8[np.ndarray, "i j k"],
    sources: dict[str, str],
    spacing_mm: tuple[float, float, float],
    table: StructureTable,
    reference: UInt8[np.ndarray, "i j k"] | None = None,
    tolerance_mm: float = 1.0,
    confidence: Float32[np.ndarray, "i j k"] | None = None,
) -> list[CompletionRow]:
    """The rows of one heart, in the table's order.

    Args:
        case: its name.
        labels: completed.
        sources: ``given`` or ``completed`` of each structure that was asked for; the others get no row.
        spacing_mm: of a voxel.
        table: which number is which structure.
        reference: the truth on the same grid, or ``None``.
        tolerance_mm: of the surface Dice.
        confidence: of each completed voxel, 0 to 1, if it is known.
    """
    rows = []
    for structure in table:
        if structure.name not in sources:
            continue
        mask = labels == structure.index
        own: dict[str, Any] = {"case": case, "structure": structure.name, "source": sources[structure.name]}
        if confidence is not None and sources[structure.name] == COMPLETED:
            own |= mean_confidence(mask, confidence, None if reference is None else reference == structure.index)
        if reference is None or not (reference == structure.index).any():
            volume, pieces = volume_mm3(mask, spacing_mm), component_count(mask)
            rows.append(CompletionRow(**own, volume_mm3=volume, components=pieces))
            continue
        score = score_mask(mask, reference == structure.index, spacing_mm, tolerance_mm)
        rows.append(
            CompletionRow(
                **own,
                volume_mm3=score.volume_mm3,
                components=score.components,
                volume_reference_mm3=score.volume_reference_mm3,
                components_reference=score.components_reference,
                dice=score.dice,
                iou=score.dice / (2 - score.dice),
                hd95_mm=score.hd95_mm,
                assd_mm=score.assd_mm,
                surface_dice=score.surface_dice,
            )
        )
    return rows


def mean_confidence(
    mask: Bool[np.ndarray, "i j k"],
    confidence: Float32[np.ndarray, "i j k"],
    truth: Bool[np.ndarray, "i j k"] | None = None,
) -> dict[str, float | None]:
    """What a structure's confidence is on the mean, and how often it is right where it is high and where it is low.

    Args:
        mask: of the structure as it was completed; an empty one gives ``None`` throughout.
        confidence: of each voxel.
        truth: of the structure; ``None`` or empty: it is not judged.
    """
    within = confidence[mask]
    found: dict[str, float | None] = {"confidence": float(within.mean()) if within.size else None}
    if truth is not None and truth.any():
        right, sure = truth[mask], within >= SURE
        for name, part in (("right_if_sure", right[sure]), ("right_if_unsure", right[~sure])):
            found[name] = float(part.mean()) if part.size else None
    return found


def write_completions(path: Path, rows: Sequence[CompletionRow]) -> None:
    """Write the table as CSV, a line per case and structure; ``InputError`` if the place cannot be written."""
    write_rows(path, CompletionRow, rows)


TITLES = {
    "dice": "Dice {}",
    "hd95_mm": "HD95 mm {}",
    "surface_dice": "surface Dice {}",
    "confidence": "confidence",
    "right_if_sure": f"right if >= {SURE:g}",
    "right_if_unsure": f"right if < {SURE:g}",
}
"""Of the table for people, by measure."""


def columns_of(scored: bool) -> list[tuple[str, str]]:
    """The measures of the table for people, and of which group each is the mean; without a truth there is one."""
    if not scored:
        return [("confidence", COMPLETED)]
    scores = [(name, group) for group in (COMPLETED, GIVEN) for name in ("dice", "hd95_mm", "surface_dice")]
    return [*scores, *((name, COMPLETED) for name in ("confidence", "right_if_sure", "right_if_unsure"))]


def format_completions(rows: Sequence[CompletionRow], table: StructureTable) -> str:
    """Markdown table: a line per structure, in how many cases it was given, completed and drawn; with a truth the means
    of Dice, HD95 and surface Dice, of completed and given ones apart, and how often completed voxels are right by
    confidence. The last line is the mean of the lines above."""
    scored = any(row.dice is not None for row in rows)
    measures, head = columns_of(scored), ["structure", "given in", "completed in", "drawn in"]
    head += [TITLES[name].format(group) for name, group in measures]
    lines, columns = [], list[list[float | None]]()
    for structure in table:
        own = [row for row in rows if row.structure == structure.name]
        completed = [row for row in own if row.source == COMPLETED]
        counts = [len(own) - len(completed), len(completed), sum(row.volume_mm3 > 0 for row in completed)]
        means = [_mean([getattr(row, name) for row in own if row.source == group]) for name, group in measures]
        columns.append(means)
        lines.append([structure.name, *map(str, counts), *map(_cell, means)])
    overall = [_mean(list(column)) for column in zip(*columns, strict=True)]
    lines.append(["mean", "", "", "", *map(_cell, overall)])
    return markdown(head, lines)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
