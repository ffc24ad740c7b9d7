"""``corfield clouds``: a cloud of every label map, in parallel, and the lists of who learns from which (B1)."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..anatomy import PUBLIC_CARDIAC_CT, table
from ..data.label_maps import read_label_map
from ..data.split_cases import split_cases
from ..errors import InputError
from ..output_record import writing_as
from ..surfaces.cloud_datalist import LISTING, TABLE, write_listing
from ..surfaces.cloud_frame import data_scale_mm, frame_centre_mm, frame_in_words
from ..surfaces.make_cloud import case_seed, make_cloud
from ..surfaces.mesh_distance import mesh_queries
from ..surfaces.point_cloud import SCHEMA
from ..surfaces.quality_gate import CLOUDS, GATE
from ..surfaces.surface_sampling import Counts
from .check_label_map import CheckedCase, reaches_mm
from .input_cases import CHECKED, read_input_cases, refuse_covered_inputs
from .json_records import digest, read_record, write_record
from .output_lock import only_run_in
from .process_pool import ProcessPool
from .task import Task, stop_if_full

LOGGER = logging.getLogger(__name__)

MADE = "clouds.json"
"""What each cloud was made of: those that are up to date are not made again."""


@dataclass(frozen=True)
class CloudRequest:
    """Clouds of a data set.

    Attributes:
        labels: a folder of label maps, one label map, or a MONAI data list.
        output: folder of the clouds.
        label_table: which number is which structure.
        counts: how many points.
        validation, test: shares of the cases.
        scale_mm: the frame's unit, which must hold every labelled box; 0 for the least that does, and 100 at least.
        centre: the frame's centre in world mm; empty for that of each grid.
        device: where distances are computed; each worker uses it.
        workers: processes; 0 for as many as there are cores.
        seed: of points and splits.
    """

    labels: Path
    output: Path
    label_table: str = PUBLIC_CARDIAC_CT.name
    counts: Counts = field(default_factory=Counts)
    validation: float = 0.1
    test: float = 0.1
    scale_mm: float | int = 0.0
    centre: Sequence[float] = ()
    device: str = "cpu"
    workers: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Clouds:
    """What became of it: a text to show, the files, and what is wrong with the cases left out, a line each."""

    text: str
    paths: tuple[Path, ...]
    faults: tuple[str, ...]


def run_clouds(request: CloudRequest) -> Clouds:
    """Make the cloud of every label map; a faulty one is named and left out.

    Each worker holds one case at a time. Stopped at any moment, the same call goes on where it stopped: a cloud is made
    again only if its label map or a setting changed. The split counts the cases whose cloud is there.

    Raises:
        InputError: nothing there, no usable label map, an unusable setting, a scale that does not hold some cases, an
            output that cannot be written or is full, warp-lang or the device missing.
    """
    table(request.label_table)
    cores = len(os.sched_getaffinity(0))
    _check(request)
    centre_mm = frame_centre_mm((1, 1, 1), np.eye(4), request.centre).tolist() if request.centre else []
    mesh_queries().check_device(request.device)
    with writing_as(CLOUDS):
        refuse_covered_inputs(request.labels, request.output, (), (*CHECKED, MADE, LISTING, TABLE, GATE))
    with writing_as(CLOUDS), only_run_in(request.output), ProcessPool(request.workers or cores) as crew:
        intake = read_input_cases(request.labels, request.output, request.label_table, crew)
        split_cases([case.name for case in intake.cases], request.validation, request.test, request.seed)
        reaches = reaches_mm(intake.cases, centre_mm)
        request = replace(request, scale_mm=data_scale_mm(reaches, request.scale_mm))
        LOGGER.info("%s", frame_in_words(reaches, request.scale_mm))
        made, faults = _make_all(request, intake.cases, crew, max(cores // max(crew.workers, 1), 1))
        faults = [*intake.faults, *faults]
        if not made:
            found = f"no label map a cloud can be made of, among {len(faults)} [{' | '.join(faults)}]"
            raise InputError(request.labels, found, "at least one", "Mend these files, or give others.")
        splits = split_cases(list(made), request.validation, request.test, request.seed)
        labels = {case.name: case.path for case in intake.cases if case.name in made}
        write_listing(request.output, labels, splits, request.scale_mm)
    sizes = ", ".join(f"{list(splits.values()).count(name)} {name}" for name in ("training", "validation", "test"))
    text = f"{len(made)} clouds in {request.output}: {sizes}; lists: {request.output / LISTING} and .csv"
    text += "".join(f"\n{line}" for line in (frame_in_words(reaches, request.scale_mm), *intake.doubts))
    text += f"\nnext: corfield check-clouds {request.output} (training wants its {GATE})"
    return Clouds(text, tuple(made.values()), tuple(faults))


def _make_all(
    request: CloudRequest, cases: Sequence[CheckedCase], crew: ProcessPool, threads: int
) -> tuple[dict[str, Path], list[str]]:
    record = read_record(request.output / MADE)
    settings = {**asdict(request.counts), "scale_mm": request.scale_mm, "centre": list(request.centre)}
    signs = {case.name: digest(SCHEMA, settings, request.seed, request.label_table, case.fingerprint) for case in cases}
    paths = {case.name: request.output / f"{case.name}.npz" for case in cases}
    due = [case for case in cases if record.get(case.name) != signs[case.name] or not paths[case.name].is_file()]
    tasks = [
        Task(case.name, write_cloud, _arguments(request, case, paths[case.name], threads), float(case.voxels))
        for case in due
    ]
    failed: dict[str, str] = {}
    for answer in crew.run(tasks, f"making {len(tasks)} clouds"):
        stop_if_full(answer, request.output)
        if answer.fault:
            failed[answer.name] = answer.fault
        else:
            record[answer.name] = signs[answer.name]
            write_record(request.output / MADE, record)
    return {name: path for name, path in paths.items() if name not in failed}, list(failed.values())


def _arguments(request: CloudRequest, case: CheckedCase, path: Path, threads: int) -> dict[str, Any]:
    return {
        "label": Path(case.path),
        "path": path,
        "label_table": request.label_table,
        "counts": request.counts,
        "seed": case_seed(request.seed, case.name),
        "scale_mm": request.scale_mm,
        "centre": tuple(request.centre),
        "device": request.device,
        "threads": threads,
    }


def write_cloud(label: Path, path: Path, **settings: Any) -> None:
    """Read one label map and write its cloud.

    Raises:
        InputError: as :func:`custom.surfaces.make_cloud.make_cloud`, naming the label map; or the file cannot be
            written.
    """
    volume = read_label_map(label, settings["label_table"])
    refused: InputError | None = None
    try:
        make_cloud(volume.labels, volume.affine, **settings).write(path)
    except InputError as error:
        refused = error
    if refused is not None:  # not while it is handled: the first cause of an error is what is shown
        where, found, wanted, remedy = refused.parts
        if where == "labels":
            raise InputError(label, found, wanted, remedy)
        raise refused


def _check(request: CloudRequest) -> None:
    if isinstance(request.workers, bool) or not isinstance(request.workers, int) or request.workers < 0:
        raise InputError("--workers", repr(request.workers), "a whole number from 0", "Correct it.")
    if isinstance(request.seed, bool) or not isinstance(request.seed, int) or request.seed < 0:
        raise InputError("--seed", repr(request.seed), "a whole number from 0", "Correct it.")
    scale = request.scale_mm
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 <= scale < 1e4:
        raise InputError("--scale_mm", repr(scale), "a length in mm, or 0", "0 takes one that holds every case.")
