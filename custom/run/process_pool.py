"""Worker processes: tasks in parallel, one progress bar over all of them, and nothing left behind."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

import torch
from tqdm import tqdm

from .task import Answer, Task, attempt
from .worker_process import serve

LOGGER = logging.getLogger(__name__)

BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
TERMINAL_SECONDS, FILE_SECONDS = 0.2, 15.0
"""Between two lines of the bar, on a terminal and in a file."""


@dataclass(eq=False)
class Worker:
    """A worker process, its pipe, and what it is at."""

    process: BaseProcess
    pipe: Connection
    task: Task | None = None
    share: float = 0.0
    words: str = ""


class ProcessPool:
    """A few worker processes, started when first needed and ended on leaving the ``with`` block, however it is left.

    With one worker the tasks run in this process, one after the other: their own bars show, and nothing is started. So
    does a single task as long as no worker has been started: to start one takes seconds.

    Args:
        workers: how many, at least 1.
        threads: of torch in each: small networks lose more to waiting for each other than they gain.
    """

    def __init__(self, workers: int, threads: int = 1) -> None:
        self.workers, self.threads = workers, threads
        self.members: list[Worker] = []

    def __enter__(self) -> ProcessPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for member in self.members:
            member.process.terminate()
        for member in self.members:
            member.process.join(2.0)
            if member.process.is_alive():
                member.process.kill()
                member.process.join()
            member.pipe.close()
        self.members = []

    def run(
        self, tasks: Sequence[Task], description: str, split: Callable[[Task], Sequence[Task]] | None = None
    ) -> Iterator[Answer]:
        """Do the tasks in their order, as many at once as there are workers; yields results as they come.

        What one task does to its process is not the loss of others. One whose process was killed is done once more when
        all others are done and none is beside it: the memory it lacked may have been theirs. One of several cases that
        fails of an error nobody has foreseen is done case by case, likewise, and these answer in its place.

        After a task that found the disk full none is begun: the others would find it so too. The bar is closed with the
        last result: take them all before you raise an error that should stand below it.

        Args:
            tasks: each with a name of its own.
            description: of the bar.
            split: the tasks of the single cases of one. With it even a lone task gets a process of its own, if there is
                more than one worker.
        """
        named, again, full = {task.name: task for task in tasks}, list[Task](), False
        for answer in self._run(tasks, description, self.workers, lone_here=split is None):
            full = full or answer.disk_full
            if answer.unforeseen and not answer.disk_full and (split is not None or answer.killed):
                LOGGER.warning("%s; done again by itself", answer.fault)
                again += [named[answer.name]] if split is None else split(named[answer.name])
            else:
                yield answer
        if not full:
            yield from self._run(again, f"{description}, again", 1, lone_here=False)

    def _run(self, tasks: Sequence[Task], description: str, at_once: int, lone_here: bool) -> Iterator[Answer]:
        if not tasks:
            return
        tell = TERMINAL_SECONDS if sys.stderr.isatty() else FILE_SECONDS
        total = sum(task.weight for task in tasks)
        with tqdm(total=total, desc=description, bar_format=BAR, mininterval=tell, maxinterval=max(10.0, tell)) as bar:
            here = self.workers == 1 or (lone_here and len(tasks) == 1 and not self.members)
            yield from self._here(tasks, bar) if here else self._apart(tasks, bar, at_once)

    def _here(self, tasks: Sequence[Task], bar: tqdm[Any]) -> Iterator[Answer]:
        torch.set_num_threads(self.threads)
        for task in tasks:
            with also_logged(task):
                answer = attempt(task)
            bar.update(task.weight)
            yield answer
            if answer.disk_full:
                return

    def _apart(self, tasks: Sequence[Task], bar: tqdm[Any], at_once: int) -> Iterator[Answer]:
        waiting, finished = deque(tasks), 0.0
        while True:
            self._hand_out(waiting, at_once)
            busy = [member for member in self.members if member.task is not None]
            if not busy:
                return
            for member in self._heard(busy):
                answer = self._listen(member)
                if answer is not None:
                    finished += member.task.weight if member.task is not None else 0.0
                    member.task, member.share, member.words = None, 0.0, ""
                    if answer.disk_full:
                        waiting.clear()
                    yield answer
            self._show(bar, finished)

    def _hand_out(self, waiting: deque[Task], at_once: int) -> None:
        """Give idle workers a task, until so many are at work, and start as many workers as have something to do."""
        while waiting and sum(member.task is not None for member in self.members) < at_once:
            idle = next((member for member in self.members if member.task is None), None)
            if idle is None:
                idle = self._hire()
            idle.task = waiting.popleft()
            try:
                idle.pipe.send(idle.task)
            except OSError:
                continue  # it has died, which reading its pipe will show

    def _hire(self) -> Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, self.threads), daemon=True)
        # Inherited: a Ctrl-C is the parent's business from the worker's first moment, before it can set that itself.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with environment(TQDM_MININTERVAL=str(FILE_SECONDS), TQDM_MAXINTERVAL=str(FILE_SECONDS)):
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()
        self.members.append(Worker(process, ours))
        return self.members[-1]

    @staticmethod
    def _heard(busy: Sequence[Worker]) -> list[Worker]:
        """The workers that have something to say, waited for a moment; a dead one counts."""
        ready = set(connection.wait([member.pipe for member in busy], timeout=1.0))
        return [member for member in busy if member.pipe in ready]

    def _listen(self, member: Worker) -> Answer | None:
        """A worker's message: a result or its progress; a dead worker yields a failed result."""
        assert member.task is not None
        try:
            message: Any = member.pipe.recv()
        except (EOFError, OSError):
            member.process.join()
            self.members.remove(member)
            code = member.process.exitcode
            why = f"signal {-code}; perhaps memory was short" if code is not None and code < 0 else f"exit code {code}"
            fault, killed = f"{member.task.name}: its worker process ended by {why}", code is not None and code < 0
            return Answer(member.task.name, fault=fault, unforeseen=True, killed=killed)
        if isinstance(message, Answer):
            return message
        share, member.words = message
        member.share = max(member.share, share)
        return None

    def _show(self, bar: tqdm[Any], finished: float) -> None:
        busy = [(member, member.task) for member in self.members if member.task is not None]
        now = finished + sum(member.share * task.weight for member, task in busy)
        bar.set_postfix_str("; ".join(member.words for member, _ in busy if member.words), refresh=False)
        if not bar.update(max(0.0, now - bar.n)) and sys.stderr.isatty():
            bar.refresh()  # the clock goes on where nothing else does


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set variables for what is started inside."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def also_logged(task: Task) -> Iterator[None]:
    """Let what the package logs during a task go to the task's own log too."""
    if task.log is None:
        yield
        return
    task.log.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(task.log, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    package = logging.getLogger(__package__.split(".")[0])
    package.addHandler(handler)
    try:
        yield
    finally:
        package.removeHandler(handler)
        handler.close()
