"""A piece of work for a worker process, and what comes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..errors import InputError, in_one_line
from ..files import is_full_disk
from ..training.preflight import root_cause

LOGGER = logging.getLogger(__name__)

PREPARING = "cutting out"
"""In the description of a bar that comes before the one that counts."""


@dataclass(frozen=True)
class Task:
    """A call for another process.

    Attributes:
        name: unique among the tasks run together.
        call: a function of a module, so that another process can import it; what it returns must be picklable.
        arguments: its keyword arguments, picklable.
        weight: its share of the progress bar, such as the seconds it may take.
        log: file that its output goes to; ``None`` for that of the worker.
    """

    name: str
    call: Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    log: Path | None = None


@dataclass(frozen=True)
class Answer:
    """What came of a task.

    Attributes:
        name: of the task.
        result: what it returned; ``None`` if it failed.
        fault: why it failed, one line; empty if it did not.
        disk_full: whether it failed for want of room.
        unforeseen: whether it failed of an error that no ``InputError`` explains, or its process was ended: of several
            cases in it, one may have taken the others along.
        killed: whether its process was ended by a signal: what it did may be sound, and memory taken by its neighbours.
    """

    name: str
    result: Any = None
    fault: str = ""
    disk_full: bool = False
    unforeseen: bool = False
    killed: bool = False


def attempt(task: Task) -> Answer:
    """Do a task; an error becomes one line, and its trace goes to the log unless a user can mend it."""
    Phase.begin, Phase.end = 0.0, 1.0
    try:
        return Answer(task.name, task.call(**task.arguments))
    except Exception as error:
        cause = root_cause(error)
        if isinstance(cause, InputError):
            return Answer(task.name, fault=str(cause), disk_full=is_full_disk(error))
        LOGGER.exception("%s failed", task.name)
        where = f"; see {task.log}" if task.log else ""
        fault = f"{task.name}: {in_one_line(error)}{where}"
        return Answer(task.name, fault=fault, disk_full=is_full_disk(error), unforeseen=True)


def faults_of(cases: Sequence[str], call: Callable[[Sequence[str]], Sequence[str] | None]) -> list[str]:
    """Do something for several cases in this process; what is wrong with which, a line each.

    After an error that nobody has foreseen it is done case by case, so that one case alone is at fault.

    Args:
        cases: their names.
        call: does it for some of them, and gives the faults it knows of; what is done already it does not do again.

    Raises:
        OSError: a full disk.
    """
    try:
        return list(call(cases) or ())
    except Exception as error:
        cause = root_cause(error)
        if isinstance(cause, InputError):
            LOGGER.error("%s", cause)
            return [str(cause)]
        if is_full_disk(error):
            raise
        LOGGER.exception("%s failed", ", ".join(cases))
        if len(cases) == 1:
            return [f"{cases[0]}: {in_one_line(error)}"]
    return [fault for case in cases for fault in faults_of([case], call)]


def full_disk(place: Path) -> InputError:
    """The error of a full disk."""
    remedy = "Free some space there; the same command then goes on where it stopped."
    return InputError(place, "no room left on the disk", "room for the repair", remedy)


def stop_if_full(answer: Answer, place: Path) -> Answer:
    """The result itself, unless the task found the disk full: that is no fault of a single case.

    Raises:
        InputError: it did.
    """
    if answer.disk_full:
        raise full_disk(place)
    return answer


class Phase:
    """Which part of a task, as shares of the whole, the bars shown now stand for."""

    begin: float = 0.0
    end: float = 1.0


def phase(begin: float, end: float) -> None:
    """Said by a task of several steps: the bars from here on go from one share of it to another, both in [0, 1]."""
    Phase.begin, Phase.end = begin, end


def share_done() -> tuple[float, str]:
    """How much of the task at hand is done, in [0, 1], and in words: read off the outermost bar of this process."""
    try:
        bars = [bar for bar in list(tqdm._instances) if bar.total]
    except RuntimeError:  # a bar was opened at this very moment
        return Phase.begin, ""
    if not bars:
        return Phase.begin, ""
    outer = min(bars, key=lambda bar: abs(bar.pos))
    if PREPARING in outer.desc:
        return Phase.begin, f"{outer.desc} {outer.n}/{outer.total} {outer.unit}s"
    inside = min(1.0, outer.n / outer.total)
    return Phase.begin + (Phase.end - Phase.begin) * inside, f"{outer.desc} {outer.n}/{outer.total} {outer.unit}s"
