"""The page of an evaluation: methods side by side, and pictures of what was drawn from one slice (C4, C5)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ..anatomy import StructureTable
from ..data.label_maps import read_label_map
from ..errors import InputError
from ..files import write_file
from ..metrics.slice_evaluation import TITLES, question_name, read_answers
from ..slices.case_volume import CaseVolume
from ..slices.slice_datalist import SPLITS, read_listing
from ..slices.slice_file import Slice
from .report_tables import heading, number, text
from .slice_evaluation_pictures import grid_picture, overlay_picture

METRICS, PREDICTIONS, PICTURES = "metrics.json", "predictions", "pictures"
CACHE = "cache_dir"
"""Where the settings of an evaluation say which slices were asked about; a page does not name places."""

_NOTE = (
    "Every measure is of whole volumes of the patients of the split named above; means over structures. Distances run "
    "between centres of surface voxels: on voxels of {spacing:g} mm a surface Dice at less than {spacing:g} mm asks "
    "for the very voxels. Chamfer mm is the mean of both directions; Chamfer squared the sum of both mean squares, as "
    "is often meant by the name."
)


def write_drawn_report(
    folder: str | Path, cache_dir: str | Path = "", pictures: int = 12, page: Path | None = None
) -> Path:
    """Write ``pictures/NAME-overlay.png`` and ``NAME-grid.png`` of some questions, and a page with them.

    The questions are spread evenly from the worst Dice of the first method to its best, the worst first.

    Args:
        folder: of an evaluation: ``metrics.json`` and ``predictions/NAME.nii.gz``.
        cache_dir: the slices that were asked about; those that the evaluation has noted if empty.
        pictures: how many questions are shown; 0 for none.
        page: the HTML file; ``index.html`` in the folder if left out.

    Returns:
        The page's path.

    Raises:
        InputError: no evaluation there, no cache known, a question whose slice is not in it, or a place that cannot be
            written.
    """
    folder = Path(folder)
    content = read_answers(folder / METRICS)
    cache_dir = str(cache_dir) or str(content["settings"].get(CACHE, ""))
    if not cache_dir:
        remedy = "Say with --reference where they are."
        raise InputError(folder / METRICS, "no word of the slices asked about", "their folder", remedy)
    label_table, lists = read_listing(cache_dir)
    items = {(one["case"], one["axis"], one["slice_idx"]): one for split in SPLITS for one in lists[split]}
    shown = []
    for row in chosen_rows(content, pictures):
        key = row["case"], row["axis"], row["slice_idx"]
        if key not in items:
            remedy = "Give the cache that was evaluated."
            raise InputError(cache_dir, f"no slice {row['slice_idx']} of {row['case']}", "every slice asked", remedy)
        shown.append((row, _drawn(folder, row, items[key], label_table)))
    page = folder / "index.html" if page is None else page
    write_file(page, page_text(content, shown))
    return page


def chosen_rows(content: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Rows of the first method, evenly spread from the lowest Dice to the highest."""
    first = next(iter(content["overall"]))
    rows = sorted((row for row in content["rows"] if row["method"] == first), key=lambda row: row["dice"])
    places = np.unique(np.rint(np.linspace(0, len(rows) - 1, min(count, len(rows)))).astype(int))
    return [rows[int(place)] for place in places]


def page_text(content: Mapping[str, Any], shown: Sequence[tuple[Mapping[str, Any], Sequence[bytes]]]) -> str:
    """The page as HTML; it holds its pictures and asks for nothing."""
    style = (resources.files(__package__) / "page.css").read_text(encoding="utf-8")
    banner = f'<p class="worse">{escape(content["banner"])}</p>' if content["banner"] else ""
    facts = "".join(
        f"<div><dt>{escape(str(name).replace('_', ' '))}</dt><dd>{escape(_told(value))}</dd></div>"
        for name, value in content["settings"].items()
        if name != CACHE
    )
    about = "".join(f"<li><b>{escape(name)}</b>: {escape(what)}</li>" for name, what in content["methods"].items())
    spacing = float(content["settings"].get("spacing_mm", 1.0))
    sections = "\n".join(_section(place, row, pictures) for place, (row, pictures) in enumerate(shown))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="generator" content="CorField">
<title>Hearts from one slice</title>
<style>
{style}.drawn {{ max-width: 100%; border-radius: 8px; margin-top: 10px; display: block; }}
.about {{ margin-top: 12px; }}
</style>
</head>
<body>
<main>
<header><h1>Hearts from one slice</h1>{banner}<dl class="facts">{facts}</dl></header>
<section id="methods">
<h2>Methods</h2>
<p class="quiet">{_NOTE.format(spacing=spacing)}</p>
{_methods(content)}
<ul class="quiet about">{about}</ul>
</section>
<section id="structures">
<h2>Structures</h2>
<p class="quiet">Mean Dice over the cases.</p>
{_structures(content)}
</section>
<section id="details">
<h2>Drawn</h2>
<p class="quiet">From the worst Dice to the best, evenly spread. The framed slice was seen.
<span class="key added">drawn too much</span> <span class="key removed">missing</span></p>
{sections}
</section>
<footer>Written by CorField.</footer>
</main>
</body>
</html>
"""


def _told(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _drawn(folder: Path, row: Mapping[str, Any], item: Mapping[str, Any], table: StructureTable) -> tuple[bytes, bytes]:
    """Both pictures of a question, which are written too."""
    name, structure = question_name(row), table[row["structure"]]
    drawn = read_label_map(folder / PREDICTIONS / f"{name}.nii.gz", table).labels == structure.index
    one, volume = Slice.read(item["slice"]), CaseVolume.read(item["sdf"])
    red, green, blue = (part / 255 for part in structure.color)
    color = red, green, blue
    overlay = overlay_picture(one, structure.name, drawn, color)
    grid = grid_picture(volume.image_hu, drawn, volume.labels == structure.index, one.axis, one.slice_idx, color)
    write_file(folder / PICTURES / f"{name}-overlay.png", overlay)
    write_file(folder / PICTURES / f"{name}-grid.png", grid)
    return overlay, grid


def _section(place: int, row: Mapping[str, Any], pictures: Sequence[bytes]) -> str:
    name = escape(question_name(row))
    brief = f"Dice {row['dice']:.3f} · HD95 {row['hd95_mm']:.1f} mm · Chamfer {row['chamfer_mm']:.1f} mm"
    images = "".join(
        f'<img class="drawn" alt="{name}, {what}" src="data:image/png;base64,{base64.b64encode(one).decode("ascii")}">'
        for what, one in zip(("the slice and its mask", "slice by slice"), pictures, strict=True)
    )
    opened = " open" if place == 0 else ""
    return (
        f'<details class="case"{opened}><summary><h3>{name}</h3><span class="brief">{brief}</span></summary>'
        f"{images}</details>"
    )


def _methods(content: Mapping[str, Any]) -> str:
    measures = [name for name in next(iter(content["overall"].values())) if name not in ("asked", "empty")]
    titles = [TITLES.get(name, name.replace("_", " ").replace("mm", " mm")) for name in measures]
    head = heading("method") + "".join(heading(title, "", "num") for title in titles)
    head += heading("empty answers", "", "num") + heading("Dice gained on it", "Mean over patients.", "num")
    head += heading("better in patients", "", "num")
    rows = []
    for method, means in content["overall"].items():
        against = content["against"].get(method, {})
        cells = [text(method), *(number(means[name], 3) for name in measures), number(means["empty"], 0)]
        patients = f"{against['better_in']} of {against['patients']}" if against else ""
        rows.append("".join(cells) + number(against.get("dice_gain"), 3) + text(patients, "num"))
    return _table(head, rows)


def _structures(content: Mapping[str, Any]) -> str:
    methods = list(content["overall"])
    head = heading("structure") + "".join(heading(method, "", "num") for method in methods)
    rows = [
        text(structure) + "".join(number(means.get(method, {}).get("dice"), 3) for method in methods)
        for structure, means in content["structures"].items()
    ]
    return _table(head, rows)


def _table(head: str, rows: Sequence[str]) -> str:
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
