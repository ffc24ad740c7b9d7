"""Damaged, fused and unified label maps against the truth, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from ..metrics.csv_tables import markdown
from ..metrics.repair_rows import RepairRow, summarise_repairs

SIDES = {"damaged": "before", "fused": "fused", "unified": "unified"}
"""What a column is called, and the part of the measure's name that stands for it."""


def format_stages(rows: Sequence[RepairRow]) -> str:
    """Markdown table of Dice and HD95 of the damaged, the fused and the unified label maps against the reference, a
    line per structure and for their mean; empty without a reference, or without stage 3.

    Cases in which a structure is nowhere are left out, as in :func:`custom.metrics.repair_rows.format_repairs`.
    """
    if not any(row.dice_unified is not None for row in rows):
        return ""
    # Where only some cases have a reference, the three must be of the same ones.
    summary = summarise_repairs([row for row in rows if row.dice_unified is not None])
    header = ["structure"] + [f"{title} {side}" for title in ("Dice", "HD95 mm") for side in SIDES]
    lines = []
    for structure, means in summary.items():
        values = [(means[f"dice_{side}"], 3) for side in SIDES.values()]
        values += [(means[f"hd95_{side}_mm"], 2) for side in SIDES.values()]
        lines.append([structure, *("-" if value is None else f"{value:.{digits}f}" for value, digits in values)])
    return markdown(header, lines)
