"""``corfield check-clouds``: the gate that bad clouds do not pass (requirement B1)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.case_list import label_maps
from ..data.label_maps import read_label_map
from ..errors import InputError
from ..fingerprints import digest_if_there
from ..output_record import writing_as
from ..surfaces.cloud_datalist import LISTING, read_listing
from ..surfaces.cloud_quality import Quality, examine
from ..surfaces.point_cloud import Cloud
from ..surfaces.quality_gate import CLOUDS, GATE, MADE_OF, entry, read_gate, unchanged, write_gate
from .process_pool import ProcessPool
from .task import Task


@dataclass(frozen=True)
class CheckedClouds:
    """The result of the gate: a text to show, and each fault on a line."""

    text: str
    faults: tuple[str, ...]


def run_check_clouds(folder: Path, labels: Path | None = None, workers: int = 0) -> CheckedClouds:
    """Check every cloud of a folder against its label map and write ``gate.json`` beside them.

    Args:
        folder: of the clouds.
        labels: where their label maps are, by name; None for where the folder's data list says.
        workers: processes; 0 for as many as there are cores. Each holds one case at a time.

    Raises:
        InputError: no such folder, no cloud in it, or nothing that says where the label maps are.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
        raise InputError("--workers", repr(workers), "a whole number from 0", "Correct it.")
    paths = sorted(path for path in folder.glob("*.npz") if not path.name.startswith(".")) if folder.is_dir() else []
    if not paths:
        found = "no *.npz" if folder.is_dir() else "no such folder"
        raise InputError(folder, found, "clouds", "Make them with `corfield clouds`.")
    known = _labels_of(folder, labels)
    tasks = [Task(path.name, check_cloud, {"path": path, "label": known.get(path.stem)}) for path in paths]
    before, files = read_gate(folder), dict[str, Any]()
    with ProcessPool(workers or len(os.sched_getaffinity(0))) as crew:
        for answer in crew.run(tasks, f"checking {len(tasks)} clouds"):
            files[answer.name] = answer.result if not answer.fault else {"faults": [answer.fault]}
    for path in paths:
        noted = before.get(path.name, {})
        if MADE_OF in noted and unchanged(path, noted):
            files[path.name][MADE_OF] = noted[MADE_OF]
    with writing_as(CLOUDS):
        write_gate(folder, {name: files[name] for name in sorted(files)})
    return _summary(folder, files)


def check_cloud(path: Path, label: Path | None) -> dict[str, Any]:
    """What the gate keeps of one cloud; a file that cannot be read is one with a fault."""
    try:
        cloud = Cloud.read(path)
    except InputError as error:
        return entry(path, Quality((f"read: {error}",), {}, {}))
    if label is None:
        return entry(path, Quality(("label: no label map of its name to check it against",), {}, {}))
    label_digest = digest_if_there(label)  # as the file is before its voxels are read
    try:
        volume = read_label_map(label, cloud.label_table)
    except InputError as error:
        return entry(path, Quality((f"label: {error}",), {}, {}))
    return entry(path, examine(cloud, volume.labels, np.asarray(volume.affine)), label_digest)


def _labels_of(folder: Path, labels: Path | None) -> dict[str, Path]:
    if labels is not None:
        return label_maps(labels)
    if not (folder / LISTING).is_file():
        remedy = "Give the folder of the label maps with --labels."
        raise InputError(folder, f"no {LISTING}", "one that says where the label maps are", remedy)
    return {item["case"]: Path(item["label"]) for items in read_listing(folder).values() for item in items}


def _summary(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> CheckedClouds:
    bad = {name: known["faults"] for name, known in sorted(files.items()) if known["faults"]}
    faults = []
    for name, found in bad.items():
        shown = "; ".join(found[:4]) + (f"; and {len(found) - 4} more" if len(found) > 4 else "")
        faults.append(f"{folder / name}: {shown}")
    shares: dict[str, list[float]] = {}
    slopes: dict[str, list[float]] = {}
    for known in files.values():
        for kept, name in ((shares, "inside_share"), (slopes, "slope")):
            for structure, value in known.get(name, {}).items():
                kept.setdefault(structure, []).append(value)
    lines = [f"{'structure':<14} {'inside, % of the volume points':>30} {'slope at the surface':>22}"]
    for structure, values in shares.items():
        inside = f"{100 * min(values):.3f} .. {100 * max(values):.3f}"
        slope = f"{min(slopes[structure]):.3f} .. {max(slopes[structure]):.3f}" if structure in slopes else "-"
        lines.append(f"{structure:<14} {inside:>30} {slope:>22}")
    lines.append(f"{len(files) - len(bad)} of {len(files)} clouds passed; {folder / GATE}")
    return CheckedClouds("\n".join(lines), tuple(faults))
