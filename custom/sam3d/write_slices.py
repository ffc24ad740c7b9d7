"""One case of a cache of slices: its scan read, its cube, truth, slices and meshes written (C1)."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nibabel.affines import voxel_sizes

from ..anatomy import table
from ..data.plausible_size import checked_size
from ..data.scans import Scan, read_scan
from ..errors import InputError
from ..files import part_of
from ..output_checks import refuse_foreign_tree
from ..slices.case_volume import CaseVolume
from ..slices.cut_slices import slices_worth
from ..slices.obj_io import write_obj
from ..slices.scan_cube import Cube, make_cube
from ..slices.slice_file import Slice
from ..surfaces.structure_surface import surfaces_of

FORMAT = 1
"""Of what is written; another number makes every case again."""


def write_case(case: str, image: Path, label: Path, cache: Path, **settings: Any) -> dict[str, Any]:
    """Read one case and write ``cache/CASE``: ``CASE-sdf.npz``, ``CASE-axA-KKK.npz``, ``meshes/STRUCTURE.obj``.

    The folder appears whole: it is written under another name beside its place.

    Args:
        case: its name.
        image, label: its files.
        cache: folder of all cases.
        settings: ``label_table``, ``size``, ``spacing_mm``, ``centre``, ``window_hu``, ``least_pixels``, ``meshes``.

    Returns:
        ``sdf`` and ``meshes``, files relative to the cache; ``rows``, of each slice its file, axis, index and pixels
        per structure; ``content``, a digest of the labels; ``size``, how large what is labelled is.

    Raises:
        InputError: as :func:`~custom.data.scans.read_scan`, :func:`~custom.slices.scan_cube.make_cube` and
            :func:`~custom.data.plausible_size.checked_size`; no slice worth keeping; a place that cannot be written.
    """
    scan = read_scan(image, label, settings["label_table"])
    size = checked_size(label, scan.labels, voxel_sizes(scan.affine).tolist(), table(settings["label_table"]))
    volume = _volume(case, scan, label, settings)
    place = cache / case
    refuse_foreign_tree(place)
    part = part_of(place)
    try:
        written = _write(volume, part, label, settings)
        _replace(part, place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return {
        "content": hashlib.blake2b(volume.labels.tobytes(), digest_size=16).hexdigest(),
        "size": list(size),
        **written,
    }


def _volume(case: str, scan: Scan, label: Path, settings: dict[str, Any]) -> CaseVolume:
    grid = {name: settings[name] for name in ("size", "spacing_mm", "centre")}
    cube: Cube = _named(label, make_cube, scan.image_hu, scan.labels, scan.affine, **grid)
    return CaseVolume.of(case, cube, settings["label_table"])


def _write(volume: CaseVolume, folder: Path, label: Path, settings: dict[str, Any]) -> dict[str, Any]:
    case, truth = volume.case, f"{volume.case}-sdf.npz"
    kept: Sequence[tuple[int, int, list[int]]] = _named(
        label, lambda: list(slices_worth(volume.labels, volume.table, settings["least_pixels"]))
    )
    volume.write(folder / truth)
    rows = []
    for axis, index, pixels in kept:
        name = f"{case}-ax{axis}-{index:03d}.npz"
        Slice.of(volume, axis, index, truth, settings["window_hu"]).write(folder / name)
        rows.append([f"{case}/{name}", axis, index, pixels])
    meshes = []
    surfaces = surfaces_of(volume.labels, volume.affine, volume.table) if settings["meshes"] else {}
    for number, surface in surfaces.items():
        structure = table(volume.label_table)[number].name
        write_obj(folder / "meshes" / f"{structure}.obj", surface.vertices_mm, surface.faces, structure)
        meshes.append(f"{case}/meshes/{structure}.obj")
    return {"sdf": f"{case}/{truth}", "rows": rows, "meshes": meshes}


def _named(label: Path, call: Any, *arguments: Any, **more: Any) -> Any:
    """What a call returns; what it says of ``labels`` is said of their file."""
    refused: InputError | None = None
    try:
        return call(*arguments, **more)
    except InputError as error:
        refused = error
    where, found, wanted, remedy = (
        refused.parts
    )  # not while it is handled: the first cause of an error is what is shown
    raise InputError(label if where == "labels" else where, found, wanted, remedy)


def _replace(part: Path, place: Path) -> None:
    """Put a folder in its place, over the one that an earlier run has left there."""
    try:
        if place.exists():
            old = part_of(place.with_name(f"{place.name}.old"))
            place.rename(old)
            shutil.rmtree(old)
        part.rename(place)
    except OSError as error:
        found = f"a place that cannot be written ({error.strerror or error})"
        raise InputError(
            place, found, "a writable folder", "Choose another output folder or free some space."
        ) from error
