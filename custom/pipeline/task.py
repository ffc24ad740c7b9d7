"""A piece of work for a worker process, and what comes of it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..engines.preflight import root_cause
from ..errors import InputError

LOGGER = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT)
"""No space left on the device; the user's share of it used up."""


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
    """

    name: str
    result: Any = None
    fault: str = ""
    disk_full: bool = False


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
        first = (str(error).splitlines() or [""])[0][:200]
        where = f"; see {task.log}" if task.log else ""
        return Answer(
            task.name, fault=f"{task.name}: {type(error).__name__}: {first}{where}", disk_full=is_full_disk(error)
        )


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that led to it."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def is_full_disk(error: BaseException) -> bool:
    """Whether an error comes of a disk without room. Some libraries keep no more of it than the words."""
    return any(
        isinstance(link, OSError) and link.errno in FULL or "No space left on device" in str(link)
        for link in chain(error)
    )


def full_disk(place: Path) -> InputError:
    """What to say of a disk without room."""
    remedy = "Free some space there; the same command then goes on where it stopped."
    return InputError(place, "no room left on the disk", "room for the repair", remedy)


def stop_if_full(answer: Answer, place: Path) -> Answer:
    """The answer itself, unless the task found the disk full: that is no fault of a single case.

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
