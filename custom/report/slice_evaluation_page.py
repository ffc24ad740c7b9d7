"""The page of an evaluation: methods side by side, and pictures of what was drawn from one slice (C4, C5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from .page_template import png_source, render
from .slice_evaluation_pictures import grid_picture, overlay_picture
from .table_rows import Cell, Heading, Row, Table, number

METRICS, PREDICTIONS, PICTURES = "metrics.json", "predictions", "pictures"
CACHE = "cache_dir"
"""The setting of an evaluation that holds the folder of its slices; a page does not name folders."""


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
    """The page as HTML; it holds its pictures and loads nothing."""
    settings = {name: value for name, value in content["settings"].items() if name != CACHE}
    return render(
        "slice_evaluation.html",
        banner=content["banner"],
        settings={str(name).replace("_", " "): _written(value) for name, value in settings.items()},
        spacing=f"{float(content['settings'].get('spacing_mm', 1.0)):g}",
        methods=_methods(content),
        about=content["methods"],
        structures=_structures(content),
        shown=[_section(row, pictures) for row, pictures in shown],
    )


def _written(value: Any) -> str:
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


def _section(row: Mapping[str, Any], pictures: Sequence[bytes]) -> dict[str, Any]:
    titled = zip(("the slice and its mask", "slice by slice"), pictures, strict=True)
    return {
        "name": question_name(row),
        "brief": f"Dice {row['dice']:.3f} · HD95 {row['hd95_mm']:.1f} mm · Chamfer {row['chamfer_mm']:.1f} mm",
        "pictures": [{"title": title, "source": png_source(picture)} for title, picture in titled],
    }


def _methods(content: Mapping[str, Any]) -> Table:
    measures = [name for name in next(iter(content["overall"].values())) if name not in ("asked", "empty")]
    titles = [TITLES.get(name, name.replace("_", " ").replace("mm", " mm")) for name in measures]
    head = [Heading("method"), *(Heading(title, "", "num") for title in titles)]
    head += [Heading("empty answers", "", "num"), Heading("Dice gained on it", "Mean over patients.", "num")]
    head += [Heading("better in patients", "", "num")]
    rows = []
    for method, means in content["overall"].items():
        against = content["against"].get(method, {})
        patients = f"{against['better_in']} of {against['patients']}" if against else ""
        cells = [Cell(method), *(number(means[name], 3) for name in measures), number(means["empty"], 0)]
        rows.append(Row([*cells, number(against.get("dice_gain"), 3), Cell(patients, "num")]))
    return Table("", head, rows)


def _structures(content: Mapping[str, Any]) -> Table:
    methods = list(content["overall"])
    head = [Heading("structure"), *(Heading(method, "", "num") for method in methods)]
    rows = [
        Row([Cell(structure), *(number(means.get(method, {}).get("dice"), 3) for method in methods)])
        for structure, means in content["structures"].items()
    ]
    return Table("", head, rows)
