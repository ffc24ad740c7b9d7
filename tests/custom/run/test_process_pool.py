"""Tasks in this process and in others, and what is left of them."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from custom.run.presets import preset_named
from custom.run.process_pool import ProcessPool, environment
from custom.run.task import Answer, Task


def gone(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    return False


def note(text: str) -> str:
    logging.getLogger("custom.test").warning("noted %s", text)
    return text


def test_one_worker_is_this_process_and_keeps_the_order() -> None:
    with ProcessPool(1) as crew:
        answers = list(crew.run([Task(name, os.getpid) for name in "abc"], "test"))
    assert answers == [Answer(name, os.getpid()) for name in "abc"]


def test_a_single_task_starts_no_worker() -> None:
    with ProcessPool(3) as crew:
        assert list(crew.run([Task("a", os.getpid)], "test")) == [Answer("a", os.getpid())]
        assert crew.members == []


def test_no_task_is_no_answer() -> None:
    with ProcessPool(3) as crew:
        assert list(crew.run([], "test")) == []
        assert crew.members == []


def test_a_tasks_log_holds_what_was_logged_during_it(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    with ProcessPool(1) as crew:
        list(crew.run([Task("a", note, {"text": "one"}, log=log), Task("b", note, {"text": "two"})], "test"))
    assert log.read_text().endswith("WARNING noted one\n")


def test_after_a_full_disk_no_other_task_is_begun() -> None:
    def fill() -> None:
        raise OSError(28, "No space left on device")

    with ProcessPool(1) as crew:
        answers = list(crew.run([Task("a", fill), Task("b", os.getpid)], "test"))
    assert [answer.name for answer in answers] == ["a"]
    assert answers[0].disk_full


def test_variables_are_as_before_when_all_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORFIELD_A", "old")
    monkeypatch.delenv("CORFIELD_B", raising=False)
    with environment(CORFIELD_A="new", CORFIELD_B="new"):
        assert (os.environ["CORFIELD_A"], os.environ["CORFIELD_B"]) == ("new", "new")
    assert os.environ["CORFIELD_A"] == "old"
    assert "CORFIELD_B" not in os.environ


def test_workers_answer_fail_and_die_each_for_itself_and_none_is_left(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "told.log"
    tasks = [
        Task("who", os.getpid),
        Task("dies", os._exit, {"status": 7}),
        Task("fault", preset_named, {"name": "fast"}),
        Task("error", json.loads, {"s": "{"}, log=log),
        Task("last", os.getpid),
    ]
    with ProcessPool(2) as crew:
        answers: dict[str, Any] = {answer.name: answer for answer in crew.run(tasks, "test")}
        workers = [member.process.pid for member in crew.members]
    assert set(answers) == {task.name for task in tasks}
    assert os.getpid() not in (answers["who"].result, answers["last"].result)
    assert answers["dies"].fault == "dies: its worker process ended by exit code 7"
    assert answers["fault"].fault.startswith("--preset: found 'fast'; wanted one of")
    assert answers["error"].fault.startswith("error: JSONDecodeError: ")
    assert answers["error"].fault.endswith(f"; see {log}")
    assert "Traceback" in log.read_text()
    assert all(gone(process_id) for process_id in workers if process_id)


@pytest.mark.slow
def test_leaving_early_ends_the_workers_at_once() -> None:
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), ProcessPool(2) as crew:
        for _ in crew.run(
            [Task("short", os.getpid), Task("long", partial(time.sleep, 60)), Task("x", os.getpid)], "test"
        ):
            workers = [member.process.pid for member in crew.members]
            raise KeyboardInterrupt
    assert time.monotonic() - begun < 30
    assert all(gone(process_id) for process_id in workers if process_id)


SCRIPT = """
from tqdm import tqdm
from custom.run.process_pool import ProcessPool
from custom.run.task import Task

def work():
    for _ in tqdm(range(3)):
        pass

if __name__ == "__main__":
    with ProcessPool(2) as crew:
        for answer in crew.run([Task(name, work) for name in "ab"], "test"):
            assert not answer.fault
"""


def test_workers_leave_no_semaphore_behind(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    ended = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "leaked" not in ended.stderr


def test_control_c_does_nothing_to_a_worker_that_is_just_starting() -> None:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with ProcessPool(2) as crew:
        pid = crew._hire().process.pid
        assert pid is not None
        os.kill(pid, signal.SIGINT)
        answers = list(crew.run([Task("a", os.getpid)], "test"))
    assert answers == [Answer("a", pid)]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == blocked
