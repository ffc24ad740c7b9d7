"""Texts of the page, of a repair or of a completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ReportTexts:
    """The words of a page, and what is on it.

    Attributes:
        heading: above the cases' sections.
        reading: how the table of structures is to be read.
        order_scored, order_unscored: what the order of the cases means, with references and without.
        spot: which slices are shown.
        slices: titles of the pictures: before, after, change.
        views: titles of the 3-D view's versions: before, after, change.
        keys: what the colours of the third picture mean, by the name of their style.
        means: columns of the table of cases, titles and measures; the last one is the one that counts.
        tiles: measures at the head of the page that stand alone.
        ledger: whether changes are listed piece by piece; else the third view shows in full what is new.
    """

    heading: str
    reading: str
    order_scored: str
    order_unscored: str
    spot: str
    slices: tuple[str, str, str]
    views: tuple[str, str, str]
    keys: Mapping[str, str]
    means: Mapping[str, str]
    tiles: tuple[str, ...] = ()
    ledger: bool = True


REPAIR = ReportTexts(
    heading="Before and after",
    reading=(
        'Means over all cases. A click on a heading sorts. <b class="better">Better</b> and <b class="worse">worse</b> '
        "compare after with before."
    ),
    order_scored="Worst first: by the lowest Dice of any structure after the repair.",
    order_unscored=(
        "Worst first: by the volume that changed. There is no reference, so nothing is said of right and wrong."
    ),
    spot="Each slice is the one where before and after differ most, a voxel counted as a share of its structure.",
    slices=("before", "after", "change"),
    views=("Before", "After", "Changes"),
    keys={"removed": "removed", "added": "added", "renamed": "renamed"},
    means={"mean Dice before": "dice_before", "mean Dice after": "dice_after"},
)

COMPLETION = ReportTexts(
    heading="Given and completed",
    reading=(
        "Means over all cases, of the structures that were given and of those that were completed apart. "
        "A click on a heading sorts."
    ),
    order_scored="Worst first: by the lowest Dice of any completed structure.",
    order_unscored=(
        "First those of which most was completed. There is no reference, so nothing is said of right and wrong: "
        "a completed structure is a plausible one, not the patient's own."
    ),
    spot="Each slice is the one where most was completed, a voxel counted as a share of its structure.",
    slices=("given", "whole", "completed"),
    views=("Given", "Whole", "Completed"),
    keys={"added": "completed", "removed": "given and not drawn", "renamed": "given and drawn otherwise"},
    means={"mean Dice given": "dice_given", "mean Dice completed": "dice_completed"},
    tiles=("dice_completed", "surface_dice_completed", "hd95_completed_mm"),
    ledger=False,
)
