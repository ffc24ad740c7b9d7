"""One case's section of the page: slices, the 3-D view's data, measures, ledger."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from ..anatomy import StructureTable
from ..consistency.ledger import Addition, Change, Removal
from .case import Difference, ReportCase
from .measures import counted, written
from .slices import Plane, painted, png, telling_planes
from .surfaces3d import case_meshes, packed
from .tables import case_table, count_of, kind_of, ledger_table, rgb

SPOTS = 400
"""Changes that are marked by a spot in the 3-D view, the largest first."""

_LETTERS = {"axial": ("A", "R"), "coronal": ("S", "R"), "sagittal": ("S", "A")}
"""What lies at the top and at the left of each plane: anterior, superior, right."""


def section(row: int, case: ReportCase, found: Difference, table: StructureTable) -> str:
    """The section as HTML; the first one is open.

    Raises:
        InputError: a label map that cannot be read.
    """
    before, after, affine = case.read(table)
    measures = case_table(case, table)
    if measures:
        measures = f"<h4>Measures</h4>{measures}"
    return f"""<details class="case" id="case-{row}"{" open" if row == 0 else ""}>
<summary><h3>{escape(case.name)}</h3><span class="brief">{_brief(case, found)}</span></summary>
<div class="views">
<div class="slices">{_slices(before, after, affine, table, case.name)}</div>
{_viewer(before, after, affine, table, case)}
</div>
{measures}
<h4>Ledger</h4>
{ledger_table(case.changes, table)}
</details>"""


def _brief(case: ReportCase, found: Difference) -> str:
    parts = [f"changed {written(found.changed_mm3, 0)} mm³"]
    if found.changed_share is not None:
        parts[0] += f" ({written(found.changed_share, 1, 100.0)} %)"
    parts += [
        counted(count_of(case.changes, Removal), "removal"),
        counted(count_of(case.changes, Addition), "addition"),
    ]
    if case.lowest_dice:
        parts.append(f"lowest Dice {written(case.lowest_dice[0], 3)} ({escape(case.lowest_dice[1])})")
    return " · ".join(parts)


def _slices(
    before: UInt8[np.ndarray, "i j k"],
    after: UInt8[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    table: StructureTable,
    name: str,
) -> str:
    heads = "".join(f"<b>{title}</b>" for title in ("before", "after", "change"))
    rows = "".join(_slice_row(plane, table, name) for plane in telling_planes(before, after, affine))
    return f'<div class="heads"><b></b>{heads}</div>{rows}'


def _slice_row(plane: Plane, table: StructureTable, name: str) -> str:
    top, left = _LETTERS[plane.name]
    pictures = "".join(
        f'<span class="stage"><img alt="{escape(f"{name}, {plane.name} slice, {version}")}" '
        f'src="data:image/png;base64,{base64.b64encode(png(picture)).decode("ascii")}">'
        f'<u class="top">{top}</u><u class="left">{left}</u></span>'
        for version, picture in zip(("before", "after", "change"), painted(plane, table), strict=True)
    )
    return f'<div class="plane"><span class="place">{plane.name}<br><small>{plane.place}</small></span>{pictures}</div>'


def _viewer(
    before: UInt8[np.ndarray, "i j k"],
    after: UInt8[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    table: StructureTable,
    case: ReportCase,
) -> str:
    scene = packed(case_meshes(before, after, affine, table))
    scene["colors"] = {structure.name: rgb(structure) for structure in table}
    scene["spots"] = spots(case.changes)
    shown = {part["name"] for part in scene["parts"]}
    chips = "".join(
        f'<button type="button" class="chip" aria-pressed="true" data-structure="{escape(structure.name)}">'
        f'<i class="swatch" style="background:{rgb(structure)}"></i>{escape(structure.name)}</button>'
        for structure in table
        if structure.name in shown
    )
    versions = "".join(
        f'<button type="button" data-version="{name}" aria-pressed="{"true" if name == "change" else "false"}">'
        f"{title}</button>"
        for name, title in (("before", "Before"), ("after", "After"), ("change", "Changes"))
    )
    # Within a script no "<" may start a tag.
    data = json.dumps(scene, ensure_ascii=False, separators=(",", ":"), sort_keys=True).replace("<", "\\u003c")
    return f"""<div class="viewer">
<div class="bar"><span class="switch" role="group" aria-label="version">{versions}</span>
<button type="button" class="spots" aria-pressed="true" title="A spot at each entry of the ledger">spots</button></div>
<div class="stage scene"><p class="note">The surfaces are drawn when the section is opened.</p></div>
<div class="chips">{chips}</div>
<script type="application/json" class="data">{data}</script>
</div>"""


def spots(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Where the largest changes lie, and what is said of them."""
    largest = sorted(changes, key=lambda change: -change.volume_mm3)[:SPOTS]
    return [
        {
            "kind": kind_of(change),
            "place": [round(value, 1) for value in change.place_mm],
            "mm3": round(change.volume_mm3, 1),
            "structure": change.structure,
            "text": f"{change.rule}: {change.structure}, {written(change.volume_mm3, 1)} mm³. {change.why}",
        }
        for change in largest
    ]
