"""One case's section of the page: slices, the 3-D view's data, measures, ledger."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from html import escape
from typing import Any

from ..anatomy import StructureTable
from ..rules.ledger import Addition, Change, Removal
from .measure_columns import counted, written
from .report_case import Difference, ReportCase
from .report_tables import case_table, count_of, kind_of, ledger_table, rgb
from .report_texts import REPAIR, ReportTexts
from .slice_pictures import Plane, informative_planes, painted, png
from .surfaces3d import Mesh, case_meshes, packed

SPOTS = 400
"""Changes that are marked by a spot in the 3-D view, the largest first."""

SPOTS_TIP = "A spot at each entry of the ledger"

_LETTERS = {"axial": ("A", "R"), "coronal": ("S", "R"), "sagittal": ("S", "A")}
"""What lies at the top and at the left of each plane: anterior, superior, right."""


def section(row: int, case: ReportCase, found: Difference, table: StructureTable, story: ReportTexts = REPAIR) -> str:
    """The section as HTML; the first one is open.

    Raises:
        InputError: a label map that cannot be read.
    """
    before, after, affine = case.read(table)
    truth = case.read_truth(table)
    ledger = f"\n<h4>Ledger</h4>\n{ledger_table(case.changes, table)}" if story.ledger else ""
    measures = case_table(case, table)
    if measures:
        measures = f"<h4>Measures</h4>{measures}"
    return f"""<details class="case" id="case-{row}"{" open" if row == 0 else ""}>
<summary><h3>{escape(case.name)}</h3><span class="brief">{_brief(case, found, story)}</span></summary>
<div class="views">
<div class="slices">{_slices(informative_planes(before, after, affine, truth), table, case.name, story)}</div>
{_viewer(case_meshes(before, after, affine, table, truth), table, case, story)}
</div>
{measures}{ledger}
</details>"""


def _brief(case: ReportCase, found: Difference, story: ReportTexts) -> str:
    parts = [f"changed {written(found.changed_mm3, 0)} mm³"]
    if found.changed_share is not None:
        parts[0] += f" ({written(found.changed_share, 1, 100.0)} %)"
    kinds = ((Removal, "removal"), (Addition, "addition")) if story.ledger else ()
    parts += [counted(count_of(case.changes, kind), name) for kind, name in kinds]
    if case.lowest_dice:
        parts.append(f"lowest Dice {written(case.lowest_dice[0], 3)} ({escape(case.lowest_dice[1])})")
    return " · ".join(parts)


def _slices(planes: Sequence[Plane], table: StructureTable, name: str, story: ReportTexts) -> str:
    titles = [*story.slices, *(["truth"] if planes[0].truth is not None else [])]
    four = " four" if len(titles) == 4 else ""
    heads = "".join(f"<b>{title}</b>" for title in titles)
    rows = "".join(_slice_row(plane, table, name, titles, four) for plane in planes)
    return f'<div class="heads{four}"><b></b>{heads}</div>{rows}'


def _slice_row(plane: Plane, table: StructureTable, name: str, titles: Sequence[str], four: str) -> str:
    top, left = _LETTERS[plane.name]
    pictures = "".join(
        f'<span class="stage"><img alt="{escape(f"{name}, {plane.name} slice, {version}")}" '
        f'src="data:image/png;base64,{base64.b64encode(png(picture)).decode("ascii")}">'
        f'<u class="top">{top}</u><u class="left">{left}</u></span>'
        for version, picture in zip(titles, painted(plane, table), strict=True)
    )
    place = f'<span class="place">{plane.name}<br><small>{plane.place}</small></span>'
    return f'<div class="plane{four}">{place}{pictures}</div>'


def _viewer(meshes: Sequence[Mesh], table: StructureTable, case: ReportCase, story: ReportTexts) -> str:
    scene = packed(meshes if story.ledger else [mesh for mesh in meshes if mesh.name])
    if not story.ledger:
        given = {mesh.name for mesh in meshes if mesh.version in ("before", "both")}
        scene["fresh"] = sorted({mesh.name for mesh in meshes if mesh.version == "after"} - given)
    scene["colors"] = {structure.name: rgb(structure) for structure in table}
    scene["spots"] = spots(case.changes)
    shown = {part["name"] for part in scene["parts"]}
    chips = "".join(
        f'<button type="button" class="chip" aria-pressed="true" data-structure="{escape(structure.name)}">'
        f'<i class="swatch" style="background:{rgb(structure)}"></i>{escape(structure.name)}</button>'
        for structure in table
        if structure.name in shown
    )
    names = ("before", "after", "change", *(["truth"] if case.truth is not None else []))
    versions = "".join(
        f'<button type="button" data-version="{name}" aria-pressed="{"true" if name == "change" else "false"}">'
        f"{title}</button>"
        for name, title in zip(names, (*story.views, "Truth"), strict=False)
    )
    hidden = "" if story.ledger else " hidden"
    # Within a script no "<" may start a tag.
    data = json.dumps(scene, ensure_ascii=False, separators=(",", ":"), sort_keys=True).replace("<", "\\u003c")
    return f"""<div class="viewer">
<div class="bar"><span class="switch" role="group" aria-label="version">{versions}</span>
<button type="button" class="spots" aria-pressed="true"{hidden} title="{SPOTS_TIP}">spots</button></div>
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
