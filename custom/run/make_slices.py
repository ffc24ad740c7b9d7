"""``corfield slices``: a cache of slices of every scan, in parallel, and the lists of who learns from which (C1)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..anatomy import TOTALSEGMENTATOR_HEART, table
from ..data.plausible_size import Size, doubts
from ..data.scans import ScanCase, find_scans
from ..data.split_cases import split_cases
from ..errors import InputError
from ..files import is_part
from ..fingerprints import FileState
from ..output_checks import refuse_covering, refuse_foreign_files
from ..output_record import writing_as
from ..sam3d.write_slices import FORMAT, write_case
from ..slices.cut_slices import WINDOW_HU
from ..slices.scan_cube import CENTRES, SIZE, SPACING_MM
from ..slices.slice_datalist import LISTING, SPLITS, TABLE, CachedCase, write_listing
from .json_records import digest, read_record, write_record
from .output_lock import only_run_in
from .patient_groups import patients_of
from .process_pool import ProcessPool
from .task import Task, stop_if_full

MADE = "slices.json"
"""What each case was made of and what came of it: those that are up to date are not made again."""


@dataclass(frozen=True)
class SliceRequest:
    """Slices of a data set.

    Attributes:
        dataset: a folder of cases, ``NAME/NAME-image.nii.gz`` and ``NAME/NAME-label.nii.gz``.
        output: folder of the cache.
        label_table: which number is which structure.
        size, spacing_mm, centre: of the cube (:func:`custom.slices.scan_cube.make_cube`).
        window_hu: Hounsfield units that become 0 and 1.
        least_pixels: a slice is kept if one structure has as many.
        meshes: whether to write each structure's surface too.
        patients: a table (.csv) with the columns ``case`` and ``patient``; each case is a patient's only one without.
        validation, test: shares of the patients.
        workers: processes; 0 for as many as there are cores.
        seed: of the split.
    """

    dataset: Path
    output: Path
    label_table: str = TOTALSEGMENTATOR_HEART.name
    size: int = SIZE
    spacing_mm: float = SPACING_MM
    centre: str = "grid"
    window_hu: Sequence[float] = WINDOW_HU
    least_pixels: int = 16
    meshes: bool = True
    patients: Path | None = None
    validation: float = 0.1
    test: float = 0.1
    workers: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Slices:
    """What became of it: a text to show, the cases, and what is wrong with those left out, a line each."""

    text: str
    cases: tuple[CachedCase, ...]
    faults: tuple[str, ...]


def run_slices(request: SliceRequest) -> Slices:
    """Make the slices of every case; a faulty one is named and left out.

    Each worker holds one case at a time and writes its folder whole or not at all. Stopped at any moment, the same call
    goes on where it stopped: a case is made again only if a file of it or a setting changed. The split counts the
    patients that have a case.

    Raises:
        InputError: nothing there, no usable case, an unusable setting, an output that cannot be written or is full.
    """
    table(request.label_table)
    _check(request)
    with writing_as("slices"):
        _check_places(request)
    workers = request.workers or len(os.sched_getaffinity(0))
    with writing_as("slices"), only_run_in(request.output), ProcessPool(workers) as crew:
        for left in request.output.glob(".*"):
            if left.is_dir() and is_part(left):
                shutil.rmtree(left)
        found, unpaired = find_scans(request.dataset)
        owners = patients_of([case.name for case in found], request.patients)
        made, faults = _make_all(request, found, crew)
        made, twins = _without_twins(made)
        faults = [*unpaired, *faults, *twins]
        if not made:
            what = f"no case slices can be made of, among {len(faults)} [{' | '.join(faults)}]"
            raise InputError(request.dataset, what, "at least one", "Mend these files, or give others.")
        cases = [_cached(name, owners[name], outcome) for name, outcome in made.items()]
        owned = sorted({case.patient for case in cases})
        splits = split_cases(owned, request.validation, request.test, request.seed)
        write_listing(request.output, cases, splits, table(request.label_table))
    doubtful = doubts({name: Size(*outcome.get("size", ())) for name, outcome in made.items()})
    return Slices("\n".join([_text(request, cases, splits), *doubtful]), tuple(cases), tuple(faults))


def _check_places(request: SliceRequest) -> None:
    """Refuse an output in which a case's folder would take the place of a scan's. Raises ``InputError``."""
    found, _ = find_scans(request.dataset)
    inputs = [path for case in found for path in (case.image, case.label)]
    tables = [request.output / name for name in (MADE, LISTING, TABLE)]
    refuse_covering([*(request.output / case.name for case in found), *tables], [*inputs, request.patients or ""])
    refuse_foreign_files(tables)


def _make_all(
    request: SliceRequest, cases: Sequence[ScanCase], crew: ProcessPool
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What came of each case, by name, and what is wrong with the others."""
    record = read_record(request.output / MADE)
    settings = _settings(request)
    sign = digest(FORMAT, settings)
    due = [case for case in cases if not _up_to_date(request.output, record.get(case.name), case, sign)]
    if record:
        write_record(request.output / MADE, record)
    tasks = [Task(case.name, slice_case, _arguments(request, case, settings)) for case in due]
    failed: dict[str, str] = {}
    for answer in crew.run(tasks, f"slicing {len(tasks)} cases"):
        stop_if_full(answer, request.output)
        if answer.fault:
            failed[answer.name] = answer.fault
            record.pop(answer.name, None)
        else:
            record[answer.name] = {"sign": sign, **answer.result}
        write_record(request.output / MADE, record)
    return {case.name: record[case.name] for case in cases if case.name not in failed}, list(failed.values())


def _settings(request: SliceRequest) -> dict[str, Any]:
    return {
        "label_table": request.label_table,
        "size": request.size,
        "spacing_mm": float(request.spacing_mm),
        "centre": request.centre,
        "window_hu": [float(value) for value in request.window_hu],
        "least_pixels": request.least_pixels,
        "meshes": request.meshes,
    }


def _arguments(request: SliceRequest, case: ScanCase, settings: dict[str, Any]) -> dict[str, Any]:
    return {"case": case, "cache": request.output, "settings": settings}


def slice_case(case: ScanCase, cache: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Make the slices of one case: what came of it, and the states of its two files before they were read.

    Raises:
        InputError: as :func:`custom.sam3d.write_slices.write_case`.
    """
    states = case.states()
    made = write_case(case.name, case.image, case.label, cache, **settings)
    return {**made, "states": [state.plain() for state in states]}


def _up_to_date(cache: Path, known: Any, case: ScanCase, sign: str) -> bool:
    """Whether a case's slices are there, and of what its files hold now; other states of the same content are noted."""
    if not isinstance(known, dict) or known.get("sign") != sign:
        return False
    paths = [known["sdf"], *known["meshes"], *(row[0] for row in known["rows"])]
    before = [FileState.of(state) for state in known["states"]]
    if not all((cache / path).is_file() for path in paths):
        return False
    try:
        now = case.states(before)
    except InputError:
        return False  # said when it is read
    same = [state.digest for state in now] == [state and state.digest for state in before]
    if same:
        known["states"] = [state.plain() for state in now]
    return same


def _without_twins(made: dict[str, dict[str, Any]]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The cases whose labels no case before them has: the same heart twice may be trained on and tested with."""
    first: dict[str, str] = {}
    faults = []
    for name, outcome in made.items():
        twin = first.setdefault(outcome["content"], name)
        if twin != name:
            error = InputError(name, f"the very labels of {twin}", "each heart once", "Take one of them out.")
            faults.append(str(error))
    return {name: outcome for name, outcome in made.items() if first[outcome["content"]] == name}, faults


def _cached(name: str, patient: str, outcome: dict[str, Any]) -> CachedCase:
    rows = tuple((path, axis, index, tuple(pixels)) for path, axis, index, pixels in outcome["rows"])
    return CachedCase(name, patient, outcome["sdf"], rows)


def _text(request: SliceRequest, cases: Sequence[CachedCase], splits: dict[str, str]) -> str:
    total = sum(len(case.slices) for case in cases)
    parts = []
    for split in SPLITS:
        mine = [case for case in cases if splits[case.patient] == split]
        patients = len({case.patient for case in mine})
        parts.append(f"{split} {patients} ({len(mine)} cases, {sum(len(case.slices) for case in mine)} slices)")
    text = f"{total} slices of {len(cases)} cases in {request.output}; lists: {request.output / LISTING} and .csv\n"
    return text + f"patients: {', '.join(parts)}"


def _check(request: SliceRequest) -> None:
    wholes = {"--workers": (request.workers, 0), "--seed": (request.seed, 0), "--size": (request.size, 8)}
    for name, (number, least) in (wholes | {"--least_pixels": (request.least_pixels, 1)}).items():
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise InputError(name, repr(number), f"a whole number from {least}", "Correct it.")
    if request.size > 256:
        raise InputError("--size", repr(request.size), "at most 256 voxels", "64 is what the networks take.")
    spacing: Any = request.spacing_mm
    if isinstance(spacing, bool) or not isinstance(spacing, (int, float)) or not 0 < spacing < 100:
        raise InputError("--spacing_mm", repr(spacing), "a length in mm above 0", f"{SPACING_MM:g} is usual.")
    if request.centre not in CENTRES:
        raise InputError("--centre", repr(request.centre), f"one of {', '.join(CENTRES)}", "Choose one of them.")
    window = tuple(request.window_hu)
    if len(window) != 2 or not -1e5 < window[0] < window[1] < 1e5:
        raise InputError("--window_hu", str(window), "a low and a high HU, such as -200,500", "Correct it.")
    split_cases([str(number) for number in range(1000)], request.validation, request.test, request.seed)
