"""One record per case and structure, and the tables made of them (A1.9)."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from ..anatomy import StructureTable
from ..errors import InputError
from ..files import write_file
from .csv_tables import markdown
from .overlap import Empty, crop_to_union, dice, volume_mm3, which_empty
from .surface_distance import surface_scores
from .topology import component_count


@dataclass(frozen=True, kw_only=True)
class MaskScore:
    """How good one mask is.

    Attributes:
        dice: overlap, in [0, 1].
        hd95_mm, assd_mm: surface distances in mm; the volume's diagonal if one mask is empty.
        surface_dice: share of surface within the tolerance, in [0, 1].
        components, components_reference: connected components, 26 neighbours.
        volume_mm3, volume_reference_mm3: volumes in mm3.
        empty: which mask holds no voxel: ``""``, ``"both"``, ``"prediction"`` or ``"reference"``.
    """

    dice: float
    hd95_mm: float
    assd_mm: float
    surface_dice: float
    components: int
    components_reference: int
    volume_mm3: float
    volume_reference_mm3: float
    empty: Empty


@dataclass(frozen=True, kw_only=True)
class ScoreRow(MaskScore):
    """The score of one structure of one case."""

    case: str
    structure: str


MEASURES: tuple[str, ...] = tuple(field.name for field in fields(MaskScore) if field.name != "empty")
"""The numbers of a :class:`MaskScore`, in its order."""

HEADINGS = {"dice": "Dice", "hd95_mm": "HD95 mm", "assd_mm": "ASSD mm", "surface_dice": "surface Dice"}


def score_mask(
    prediction: Bool[np.ndarray, "..."],
    reference: Bool[np.ndarray, "..."],
    spacing_mm: tuple[float, float, float],
    tolerance_mm: float = 1.0,
) -> MaskScore:
    """Score one mask against its reference, both ``[i, j, k]`` on the same grid.

    Both empty: Dice 1, distances 0, surface Dice 1, ``empty="both"``: the structure is absent and rightly so. One
    empty: Dice 0, surface Dice 0, distances the volume's diagonal in mm, ``empty`` says which. Full masks, one voxel
    and masks at the border are no special case.

    Raises:
        InputError: the grids differ, or the spacing is not three positive lengths.
    """
    check_same_grid(prediction.shape, reference.shape, spacing_mm)
    surface = surface_scores(prediction, reference, spacing_mm, tolerance_mm)
    found, wanted = crop_to_union(prediction, reference)
    return MaskScore(
        dice=dice(found, wanted),
        hd95_mm=surface.hd95_mm,
        assd_mm=surface.assd_mm,
        surface_dice=surface.surface_dice,
        components=component_count(found),
        components_reference=component_count(wanted),
        volume_mm3=volume_mm3(found, spacing_mm),
        volume_reference_mm3=volume_mm3(wanted, spacing_mm),
        empty=which_empty(found, wanted),
    )


def score_labels(
    case: str,
    prediction: UInt8[np.ndarray, "..."],
    reference: UInt8[np.ndarray, "..."],
    spacing_mm: tuple[float, float, float],
    table: StructureTable,
    tolerance_mm: float = 1.0,
) -> list[ScoreRow]:
    """Score every structure of the table in two label maps ``[i, j, k]`` on one grid; see :func:`score_mask`."""
    rows = []
    for structure in table:
        score = score_mask(prediction == structure.index, reference == structure.index, spacing_mm, tolerance_mm)
        rows.append(ScoreRow(case=case, structure=structure.name, **asdict(score)))
    return rows


def summarise(rows: Sequence[ScoreRow]) -> dict[str, dict[str, float | int]]:
    """Means per structure in order of appearance, then ``"mean"``: the mean of the structures' means.

    A structure absent from a case on both sides says nothing of how good the masks are: it is left out of the means,
    so that what nobody drew cannot raise them. One absent on one side counts with the penalty of :func:`score_mask`.
    Beside the means stand ``cases``, ``scored`` (how many rows the means are of) and the counts of empties,
    ``empty_both``, ``empty_prediction`` and ``empty_reference``.

    A structure absent everywhere has the full marks of :func:`score_mask` and ``scored`` 0; it counts in ``"mean"``
    only if all are absent.

    Raises:
        InputError: there are no rows.
    """
    if not rows:
        raise InputError("scores", "no rows", "at least one case with one structure", "Check the list of cases.")
    summary: dict[str, dict[str, float | int]] = {}
    for structure in dict.fromkeys(row.structure for row in rows):
        own = [row for row in rows if row.structure == structure]
        scored = [row for row in own if row.empty != "both"]
        summary[structure] = {name: float(np.mean([getattr(row, name) for row in scored or own])) for name in MEASURES}
        summary[structure] |= {"cases": len(own), "scored": len(scored)}
        for empty in ("both", "prediction", "reference"):
            summary[structure][f"empty_{empty}"] = sum(row.empty == empty for row in own)
    every = list(summary.values())
    structures = [means for means in every if means["scored"]] or every
    overall: dict[str, float | int] = {name: float(np.mean([means[name] for means in structures])) for name in MEASURES}
    overall["cases"] = len({row.case for row in rows})
    for count in ("scored", "empty_both", "empty_prediction", "empty_reference"):
        overall[count] = sum(means[count] for means in every)
    return summary | {"mean": overall}


def write_scores(rows: Sequence[ScoreRow], folder: Path, stem: str = "scores") -> tuple[Path, Path]:
    """Write ``<stem>.csv``, a line per case and structure, and ``<stem>.json``, the :func:`summarise` of them.

    Each file is whole or as it was before: it is written beside its place and moved there. Returns both paths.

    Raises:
        InputError: there are no rows, or the place cannot be written.
    """
    summary = summarise(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, ("case", "structure", *MEASURES, "empty"), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    csv_path, json_path = folder / f"{stem}.csv", folder / f"{stem}.json"
    write_file(csv_path, text.getvalue())
    write_file(json_path, json.dumps(summary, indent=2) + "\n")
    return csv_path, json_path


def format_table(
    groups: Mapping[str, Sequence[ScoreRow]], measures: Sequence[str] = ("dice", "hd95_mm", "assd_mm", "components")
) -> str:
    """Markdown table: a line per structure and one for their mean; a column per measure and group of rows.

    Args:
        groups: rows by heading, such as ``{"before": ..., "after": ...}``; the first one's structures are the lines.
        measures: names out of :data:`MEASURES`.

    A line's last column counts the masks that are empty on one side only, group by group. A structure that is absent
    everywhere, on both sides, is called absent.
    """
    summaries = {name: summarise(rows) for name, rows in groups.items()}
    header = ["structure"]
    header += [f"{HEADINGS.get(measure, measure)} {name}".strip() for measure in measures for name in summaries]
    lines = []
    for structure in next(iter(summaries.values())):
        means = [summary[structure] for summary in summaries.values()]
        cells = [_cell(one, measure) for measure in measures for one in means]
        empties = " / ".join(f"{one['empty_prediction'] + one['empty_reference']:.0f}" for one in means)
        lines.append([structure, *cells, empties])
    return markdown([*header, "one empty"], lines)


def format_comparison(groups: Mapping[str, Sequence[ScoreRow]], measure: str) -> str:
    """Markdown table of one measure: a line per group of rows, a column per structure and one for their mean."""
    summaries = {name: summarise(rows) for name, rows in groups.items()}
    structures = list(next(iter(summaries.values())))
    lines = [[name, *(_cell(one[structure], measure) for structure in structures)] for name, one in summaries.items()]
    return markdown([HEADINGS.get(measure, measure), *structures], lines)


def _cell(means: Mapping[str, float | int], measure: str) -> str:
    return f"{means[measure]:.3f}" if means["scored"] else "absent"


def check_same_grid(found: tuple[int, ...], wanted: tuple[int, ...], spacing_mm: tuple[float, float, float]) -> None:
    """Refuse shapes that differ or are not 3-D, and a spacing that is not three positive lengths: ``InputError``."""
    if found != wanted or len(found) != 3:
        remedy = "Resample the prediction to the reference, nearest neighbour."
        raise InputError("prediction", f"a grid of {found}", f"the reference's 3-D grid {wanted}", remedy)
    if not all(math.isfinite(step) and step > 0 for step in spacing_mm):
        raise InputError("spacing_mm", repr(spacing_mm), "three positive lengths", "Take them from the image's affine.")
