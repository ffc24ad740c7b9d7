"""The cases of a repair: every file is read before anything costs time; the faulty ones are named, the others go on."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..anatomy import StructureTable, table
from ..data.case_list import case_name, label_map_paths
from ..data.plausible_size import doubts
from ..errors import InputError
from ..fingerprints import FileState, state_if_there
from ..output_checks import refuse_covering, refuse_foreign_files
from .check_label_map import CheckedCase, check_files
from .json_records import read_record, write_record
from .process_pool import ProcessPool
from .task import Task, stop_if_full

LOGGER = logging.getLogger(__name__)

CHECKED = ("cases.json", "checked.json")
"""Files of any run's output: what :func:`read_input_cases` writes."""

FORMAT = 2
AT_ONCE = 8
"""Files per task: what a kill costs of the checking."""

Known = dict[str, tuple[CheckedCase, FileState | None]]
"""Good files by path: what is in them, and their state when it was read."""


@dataclass(frozen=True)
class InputCases:
    """The good cases, by name, and what is wrong with the others, a line each."""

    cases: tuple[CheckedCase, ...]
    faults: tuple[str, ...]

    def present(self, labels_of: StructureTable) -> tuple[str, ...]:
        """Names of the structures that at least one case holds, in the table's order."""
        return tuple(name for name in labels_of.names if any(name in case.structures for case in self.cases))

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is to be said of sizes that no heart has, a line for each kind."""
        return tuple(doubts({case.name: case.size for case in self.cases}))


def read_input_cases(labels: Path, output: Path, label_table: str | StructureTable, crew: ProcessPool) -> InputCases:
    """Find and check the cases of a data set; write the good ones to ``output/cases.json``, a MONAI data list.

    A file that was found good before and still holds the same is not checked again, and not even read if its size, its
    times and its inode are those that ``output/checked.json`` remembers.

    Args:
        labels: a folder, one label map, or a MONAI data list.
        output: folder of the run.
        label_table: the table, or its name.
        crew: reads the files.

    Raises:
        InputError: a full disk; nothing there, no label map among what is there, a data list that is none; or no good
            case at all, with the faults of all.
    """
    labels_of = table(label_table)
    paths = sorted((str(path.absolute()) for path in label_map_paths(labels)), key=case_name)
    paths, faults = _without_shared_names(paths)
    good = _unchanged(paths, _remembered(output / "checked.json", labels_of))
    unread = [path for path in paths if path not in good]
    chunks = [unread[first : first + AT_ONCE] for first in range(0, len(unread), AT_ONCE)]
    tasks = [_checking(f"{chunk[0]} ...", chunk, labels_of) for chunk in chunks]
    split = _file_by_file if len(unread) > 1 else None
    for answer in crew.run(tasks, f"checking {len(unread)} label maps", split):
        if stop_if_full(answer, output).fault:
            faults.append(answer.fault)
        for path, found, state in answer.result or ():
            if isinstance(found, str):
                faults.append(found)
            else:
                good[path] = found, state
        _remember(output / "checked.json", labels_of, good)
    cases = tuple(good[path][0] for path in paths if path in good)
    if cases:  # the numbers of a file may be others though it holds the same
        _remember(output / "checked.json", labels_of, good)
    for fault in faults:
        LOGGER.error("%s", fault)
    if not cases:
        found = f"no usable label map among {len(faults)} [{' | '.join(faults)}]"
        raise InputError(labels, found, "at least one", "Mend these files, or give others.")
    write_record(output / "cases.json", {"training": [{"label": case.path} for case in cases]})
    intake = InputCases(cases, tuple(faults))
    for doubt in intake.doubts:
        LOGGER.warning("%s", doubt)
    return intake


def _without_shared_names(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The paths whose case name is theirs alone, and faults of the others."""
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


def _checking(name: str, paths: Sequence[str], labels_of: StructureTable) -> Task:
    return Task(name, check_files, {"paths": paths, "label_table": labels_of}, float(len(paths)))


def _file_by_file(task: Task) -> list[Task]:
    return [_checking(path, [path], task.arguments["label_table"]) for path in task.arguments["paths"]]


def _unchanged(paths: Sequence[str], known: Known) -> Known:
    """Those that hold what they held when they were checked, with their states now."""
    good: Known = {}
    for path in paths:
        if path in known:
            case, before = known[path]
            now = state_if_there(path, before)
            if now is not None and now.digest == case.fingerprint:
                good[path] = case, now
    return good


def _remembered(path: Path, labels_of: StructureTable) -> Known:
    record: dict[str, Any] = read_record(path)
    if (record.get("format"), record.get("label_table")) != (FORMAT, _signature(labels_of)):
        return {}
    cases = [CheckedCase.of(item) for item in record["cases"]]
    states = [FileState.of(state) for state in record["states"]]
    return {case.path: (case, state) for case, state in zip(cases, states, strict=True)}


def _remember(path: Path, labels_of: StructureTable, good: Known) -> None:
    cases = [asdict(case) for case, _ in good.values()]
    states = [None if state is None else state.plain() for _, state in good.values()]
    write_record(path, {"format": FORMAT, "label_table": _signature(labels_of), "cases": cases, "states": states})


def _signature(labels_of: StructureTable) -> list[Any]:
    return [labels_of.name, [[structure.index, structure.name] for structure in labels_of]]


def refuse_covered_inputs(
    labels: Path, output: Path, folders: Sequence[str], files: Sequence[str], others: Sequence[Path | None] = ()
) -> None:
    """Refuse an output folder in which a run would overwrite what it reads, or somebody else's tables.

    Args:
        labels: a folder, one label map, or a MONAI data list.
        output: folder of the run; it need not be there.
        folders, files: in it, that the run writes.
        others: what it reads besides, files or folders.

    Raises:
        InputError: naming the input or the foreign file; or as :func:`custom.data.case_list.label_map_paths`.
    """
    inputs = [labels, *label_map_paths(labels)]
    for other in others:
        if other is not None:
            inputs.append(other)
            with suppress(InputError):  # reported by whoever reads it
                inputs += label_map_paths(other)
    tables = [output / name for name in files]
    refuse_covering([*(output / name for name in folders), *tables], inputs)
    refuse_foreign_files(tables)
