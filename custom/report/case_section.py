"""One case's section of the page: slices, the 3-D view's data, measures, ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..anatomy import StructureTable
from ..rules.ledger import Addition, Change, Removal
from .measure_columns import counted, written
from .page_template import png_source
from .report_case import Difference, ReportCase
from .report_texts import REPAIR, ReportTexts
from .slice_pictures import Plane, informative_planes, painted, png
from .surfaces3d import Mesh, case_meshes, packed
from .table_rows import case_table, count_of, kind_of, ledger_table, rgb

SPOTS = 400
"""Changes that are marked by a spot in the 3-D view, the largest first."""

_LETTERS = {"axial": ("A", "R"), "coronal": ("S", "R"), "sagittal": ("S", "A")}
"""What lies at the top and at the left of each plane: anterior, superior, right."""


def section(
    row: int, case: ReportCase, found: Difference, table: StructureTable, texts: ReportTexts = REPAIR
) -> dict[str, Any]:
    """The values of the template ``case.html``.

    Raises:
        InputError: a label map that cannot be read.
    """
    before, after, affine = case.read(table)
    truth = case.read_truth(table)
    meshes = case_meshes(before, after, affine, table, truth)
    known = truth is not None
    titles = [*texts.slices, *(["truth"] if known else [])]
    scene = _scene(meshes, table, case, texts)
    drawn = {part["name"] for part in scene["parts"]}
    versions = zip(("before", "after", "change", "truth"), (*texts.views, "Truth"), strict=True)
    return {
        "row": row,
        "name": case.name,
        "brief": _brief(case, found, texts),
        "titles": titles,
        "planes": [_plane(plane, table, titles) for plane in informative_planes(before, after, affine, truth)],
        "versions": [{"name": name, "title": title} for name, title in versions if known or name != "truth"],
        "structures": [{"name": one.name, "color": rgb(one)} for one in table if one.name in drawn],
        # Within a script no "<" may start a tag.
        "scene": json.dumps(scene, ensure_ascii=False, separators=(",", ":"), sort_keys=True).replace("<", "\\u003c"),
        "measures": case_table(case, table),
        "ledger": ledger_table(case.changes, table) if texts.ledger else None,
    }


def _brief(case: ReportCase, found: Difference, texts: ReportTexts) -> str:
    parts = [f"changed {written(found.changed_mm3, 0)} mm³"]
    if found.changed_share is not None:
        parts[0] += f" ({written(found.changed_share, 1, 100.0)} %)"
    kinds = ((Removal, "removal"), (Addition, "addition")) if texts.ledger else ()
    parts += [counted(count_of(case.changes, kind), name) for kind, name in kinds]
    if case.lowest_dice:
        parts.append(f"lowest Dice {written(case.lowest_dice[0], 3)} ({case.lowest_dice[1]})")
    return " · ".join(parts)


def _plane(plane: Plane, table: StructureTable, titles: Sequence[str]) -> dict[str, Any]:
    top, left = _LETTERS[plane.name]
    pictures = zip(titles, painted(plane, table), strict=True)
    return {
        "name": plane.name,
        "place": plane.place,
        "top": top,
        "left": left,
        "pictures": [{"title": title, "source": png_source(png(picture))} for title, picture in pictures],
    }


def _scene(meshes: Sequence[Mesh], table: StructureTable, case: ReportCase, texts: ReportTexts) -> dict[str, Any]:
    scene = packed(meshes if texts.ledger else [mesh for mesh in meshes if mesh.name])
    if not texts.ledger:
        given = {mesh.name for mesh in meshes if mesh.version in ("before", "both")}
        scene["fresh"] = sorted({mesh.name for mesh in meshes if mesh.version == "after"} - given)
    scene["colors"] = {structure.name: rgb(structure) for structure in table}
    scene["spots"] = spots(case.changes)
    return scene


def spots(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Places and texts of the largest changes, for the 3-D view."""
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
