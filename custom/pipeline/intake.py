"""The cases of a repair: every file is read before anything costs time; the faulty ones are named, the others go on."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..anatomy import StructureTable, table
from ..cohort.cases import case_name, label_map_paths
from ..errors import InputError
from .checking import CheckedCase, check_files
from .crew import Crew
from .records import read_record, write_record
from .task import Task

LOGGER = logging.getLogger(__name__)

OWN = ("repaired", "fused", "unified", "stage1", "unified_run")
"""Folders of a repair's output that hold label maps or masks."""

FORMAT = 1
AT_ONCE = 8
"""Files per task: what a kill costs of the checking."""


@dataclass(frozen=True)
class Intake:
    """The good cases, by name, and what is wrong with the others, a line each."""

    cases: tuple[CheckedCase, ...]
    faults: tuple[str, ...]

    def present(self, labels_of: StructureTable) -> tuple[str, ...]:
        """Names of the structures that at least one case holds, in the table's order."""
        return tuple(name for name in labels_of.names if any(name in case.structures for case in self.cases))


def take_in(labels: Path, output: Path, label_table: str | StructureTable, crew: Crew) -> Intake:
    """Find and check the cases of a data set; write the good ones to ``output/cases.json``, a MONAI data list.

    A file that was found good before and has not changed since is not read again: ``output/checked.json`` remembers.

    Args:
        labels: a folder, one label map, or a MONAI data list.
        output: folder of the run.
        label_table: the table, or its name.
        crew: reads the files.

    Raises:
        InputError: nothing there, no label map among what is there, a data list that is none; or no good case at all,
            with the faults of all.
    """
    labels_of = table(label_table)
    paths = sorted((str(path.absolute()) for path in label_map_paths(labels)), key=case_name)
    paths, faults = _without_shared_names(paths)
    known = _remembered(output / "checked.json", labels_of)
    good = {path: known[path] for path in paths if path in known and _fingerprint(path) == known[path].fingerprint}
    unread = [path for path in paths if path not in good]
    chunks = [unread[first : first + AT_ONCE] for first in range(0, len(unread), AT_ONCE)]
    tasks = [
        Task(f"{chunk[0]} ...", check_files, {"paths": chunk, "label_table": labels_of}, float(len(chunk)))
        for chunk in chunks
    ]
    for answer in crew.run(tasks, f"checking {len(unread)} label maps"):
        for found in answer.result or [answer.fault]:
            if isinstance(found, str):
                faults.append(found)
            else:
                good[found.path] = found
        _remember(output / "checked.json", labels_of, good)
    cases = tuple(good[path] for path in paths if path in good)
    for fault in faults:
        LOGGER.error("%s", fault)
    if not cases:
        found = f"no usable label map among {len(faults)} [{' | '.join(faults)}]"
        raise InputError(labels, found, "at least one", "Mend these files, or give others.")
    write_record(output / "cases.json", {"training": [{"label": case.path} for case in cases]})
    return Intake(cases, tuple(faults))


def _without_shared_names(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The paths whose case name is theirs alone, and what to say of the others."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_name[case_name(path)].append(path)
    alone = [path for path in paths if len(by_name[case_name(path)]) == 1]
    faults = [
        f"{' and '.join(same)}: found one case name, {name!r}; wanted one file per case name. Rename or remove one."
        for name, same in by_name.items()
        if len(same) > 1
    ]
    return alone, faults


def _fingerprint(path: str) -> str:
    try:
        stat = Path(path).stat()
    except OSError:
        return ""
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def _remembered(path: Path, labels_of: StructureTable) -> dict[str, CheckedCase]:
    record: dict[str, Any] = read_record(path)
    if (record.get("format"), record.get("label_table")) != (FORMAT, _signature(labels_of)):
        return {}
    cases = (
        CheckedCase(**(item | {"shape": tuple(item["shape"]), "spacing_mm": tuple(item["spacing_mm"])}))
        for item in record["cases"]
    )
    return {case.path: case for case in cases}


def _remember(path: Path, labels_of: StructureTable, good: dict[str, CheckedCase]) -> None:
    cases = [asdict(case) for case in good.values()]
    write_record(path, {"format": FORMAT, "label_table": _signature(labels_of), "cases": cases})


def _signature(labels_of: StructureTable) -> list[Any]:
    return [labels_of.name, [[structure.index, structure.name] for structure in labels_of]]


def refuse_own_outputs(intake: Intake, output: Path, folders: Sequence[str] = OWN, work: str = "repair") -> None:
    """Refuse to read what this very folder's run has written: it would be overwritten while it is read."""
    own = [(output / folder).resolve() for folder in folders]
    for case in intake.cases:
        if any(folder in Path(case.path).resolve().parents for folder in own):
            found, wanted = f"an output of an earlier {work} into the same folder", "label maps from elsewhere"
            raise InputError(case.path, found, wanted, "Choose another --output.")
