"""What comes of a task, and how far it is."""

from __future__ import annotations

import errno
import logging

import pytest
from tqdm import tqdm

from custom.errors import InputError
from custom.run.task import Answer, Task, attempt, is_full_disk, phase, share_done


def twice(number: int) -> int:
    return 2 * number


def refuse() -> None:
    try:
        raise InputError("there", "a cat", "a dog", "Swap them.")
    except InputError as error:
        raise RuntimeError("wrapped") from error


def fill() -> None:
    try:
        raise OSError(errno.ENOSPC, "No space left on device")
    except OSError as error:
        raise InputError("there", "no room", "room", "Make some.") from error


def test_a_task_gives_its_result() -> None:
    assert attempt(Task("t", twice, {"number": 21})) == Answer("t", 42)


def test_a_users_fault_is_its_one_line_however_wrapped() -> None:
    assert attempt(Task("t", refuse)) == Answer("t", None, "there: found a cat; wanted a dog. Swap them.")


def test_another_error_is_named_and_its_trace_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = attempt(Task("t", twice, {"number": None}))
    assert answer.fault.startswith("t: TypeError: unsupported operand")
    assert "Traceback" in caplog.text


def test_a_full_disk_is_seen_through_what_is_wrapped_around_it() -> None:
    assert attempt(Task("t", fill)).disk_full
    assert is_full_disk(OSError(errno.EDQUOT, "Disk quota exceeded"))
    assert is_full_disk(RuntimeError("basic_ios::clear: No space left on device"))
    assert not is_full_disk(OSError(errno.EACCES, "Permission denied"))


def test_progress_is_the_outermost_bars_share_of_its_phase() -> None:
    attempt(Task("t", twice, {"number": 1}))
    assert share_done() == (0.0, "")
    with tqdm(total=4, desc="LA", unit="epoch") as outer:
        outer.update(1)
        with tqdm(total=10, desc="inner") as inner:
            inner.update(9)
            assert share_done() == (0.25, "LA 1/4 epochs")
    with tqdm(total=4, desc="LA: cutting out", unit="case") as outer:
        outer.update(3)
        assert share_done() == (0.0, "LA: cutting out 3/4 cases")
    phase(0.5, 0.9)
    with tqdm(total=4, desc="LA", unit="case") as outer:
        outer.update(2)
        share, words = share_done()
    assert (share, words) == (pytest.approx(0.7), "LA 2/4 cases")
    attempt(Task("t", twice, {"number": 1}))
    assert share_done() == (0.0, "")
