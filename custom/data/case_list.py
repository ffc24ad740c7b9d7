"""Finding the cases of a data set: a folder of label maps, one label map, or a MONAI data list."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..anatomy import PUBLIC_CARDIAC_CT, StructureTable, table
from ..errors import InputError
from ..fingerprints import digest_of
from .label_maps import SUFFIXES, check_header, is_label_map_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Case:
    """One case on disk.

    Attributes:
        name: the file's name without .nii or .nii.gz; unique in a data set.
        path: the label map.
        fingerprint: digest of the file's bytes; another one means that it holds something else.
    """

    name: str
    path: Path
    fingerprint: str


def case_name(path: str | Path) -> str:
    """The file's name without .nii or .nii.gz; other dots stay."""
    name = Path(path).name
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _in_folder(folder: Path) -> list[Path]:
    """The label maps directly inside a folder, or else inside its sub-folder ``labels``."""
    places = [place for place in (folder, folder / "labels") if place.is_dir()]
    others = 0
    for place in places:
        # A link that leads nowhere is taken along, to be refused by name: the case it stands for must not be lost.
        files = [path for path in place.iterdir() if path.is_file() or (path.is_symlink() and not path.exists())]
        maps = [path for path in files if is_label_map_name(path)]
        if maps:
            return maps
        others += len(files)
    found = f"no *.nii or *.nii.gz in it or in its sub-folder labels, among {others} other files"
    raise InputError(folder, found, "at least one label map", "Give the folder that holds the label maps.")


def _in_data_list(listing: Path) -> list[Path]:
    """The label maps of a MONAI data list, relative to the list's own folder."""
    wanted = '{"training": [{"label": "path"}, ...]} or a plain list of such items'
    try:
        content: Any = json.loads(listing.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(listing, f"no JSON ({error})", wanted, "Correct the file.") from error
    items = content.get("training") if isinstance(content, dict) else content
    if not isinstance(items, list) or not items:
        other_keys = items is None and bool(content)
        found = f"the keys {', '.join(map(repr, content))}" if other_keys else "no case"
        raise InputError(listing, found, wanted, "List the cases in it.")
    paths = []
    for position, item in enumerate(items):
        label = item.get("label") if isinstance(item, dict) else item
        if not isinstance(label, str):
            raise InputError(listing, f"no path of a label in item {position}", wanted, "Give each item a label.")
        paths.append(listing.parent / label)
    return paths


def label_map_paths(dataset_dir: str | Path) -> list[Path]:
    """The label maps of a folder, a data list or a single file, in no order; none of them is opened.

    Raises:
        InputError: nothing there, no permission, no label map among what is there, a data list that is none.
    """
    place = Path(dataset_dir)
    try:
        if place.is_dir():
            return _in_folder(place)
        if not place.exists():
            wanted = "a folder of label maps, one label map, or a data list (.json)"
            raise InputError(place, "no such file or folder", wanted, "Check dataset_dir.")
        return _in_data_list(place) if place.suffix.lower() == ".json" else [place]
    except PermissionError as error:
        where, found = error.filename or place, "no permission to read it"
        raise InputError(where, found, "a readable folder or file", "Check who may read it.") from error


def label_maps(dataset_dir: str | Path) -> dict[str, Path]:
    """The label maps of a data set by their case's name, in its order; no file is opened.

    Raises:
        InputError: as :func:`label_map_paths`, or two of one name.
    """
    paths = label_map_paths(dataset_dir)
    _refuse_shared_names(Path(dataset_dir), paths)
    return {case_name(path): path for path in sorted(paths, key=case_name)}


def _refuse_shared_names(dataset_dir: Path, paths: list[Path]) -> None:
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_name[case_name(path)].append(str(path))
    shared = [f"{name!r}: {' and '.join(sorted(same))}" for name, same in sorted(by_name.items()) if len(same) > 1]
    if shared:
        found = f"{len(shared)} case names used twice ({'; '.join(shared)})"
        raise InputError(dataset_dir, found, "one file per case name", "Rename or remove one of each.")


def _refuse_faulty_headers(dataset_dir: Path, paths: list[Path]) -> None:
    faults = []
    for path in paths:
        try:
            check_header(path)
        except InputError as error:
            faults.append(str(error))
    if faults:
        found = f"{len(faults)} of {len(paths)} files that cannot be used [{' | '.join(faults)}]"
        raise InputError(dataset_dir, found, "readable 3-D NIfTI label maps", "Mend these files or take them out.")


def find_cases(dataset_dir: str | Path, label_table: str | StructureTable = PUBLIC_CARDIAC_CT.name) -> tuple[Case, ...]:
    """The cases of a data set, by name. Of voxels only the bytes are read, for the digest; cases may have different
    grids.

    Args:
        dataset_dir: a folder with label maps in it or in its sub-folder ``labels``; one label map; or a MONAI data
            list (JSON: ``{"training": [{"label": "path"}, ...]}`` or the plain list, relative to the list's folder).
        label_table: the table its labels follow; an unknown one is refused before any file is opened.

    Raises:
        InputError: nothing there or no permission to read it, no label map among what is there, two cases of one name
            (both paths named), a data list that is none, or label maps with faulty headers (all of them named in one
            error).
    """
    labels_of, dataset_dir = table(label_table), Path(dataset_dir)
    found = label_maps(dataset_dir)
    _refuse_faulty_headers(dataset_dir, list(found.values()))
    cases = [Case(name, path, _digest(path)) for name, path in found.items()]
    logger.info("%s: %d cases, label table %s", dataset_dir, len(cases), labels_of.name)
    return tuple(cases)


def _digest(path: Path) -> str:
    try:
        return digest_of(path)
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror or error})"
        raise InputError(path, found, "a label map", "Copy it again, or take it out.") from error


def case_items(cases: tuple[Case, ...]) -> list[dict[str, Any]]:
    """The cases as items of a MONAI data set: ``label`` (path), ``case`` (name), ``index`` and ``fingerprint``."""
    return [
        {"label": str(case.path), "case": case.name, "index": index, "fingerprint": case.fingerprint}
        for index, case in enumerate(cases)
    ]


def find_items(dataset_dir: str | Path, label_table: str = PUBLIC_CARDIAC_CT.name) -> list[dict[str, Any]]:
    """:func:`case_items` of :func:`find_cases`: what a MONAI data set is made of."""
    return case_items(find_cases(dataset_dir, label_table))
