"""Worker processes: tasks in parallel, one progress bar over all of them, and nothing left behind."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
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
from .worker import serve

LOGGER = logging.getLogger(__name__)

BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
TERMINAL_SECONDS, FILE_SECONDS = 0.2, 15.0
"""Between two lines of the bar, on a terminal and in a file."""


@dataclass(eq=False)
class Member:
    """A worker process, its pipe, and what it is at."""

    process: BaseProcess
    pipe: Connection
    task: Task | None = None
    share: float = 0.0
    words: str = ""


class Crew:
    """A few worker processes, started when first needed and ended on leaving the ``with`` block, however it is left.

    With one worker the tasks run in this process, one after the other: their own bars show, and nothing is started. So
    does a single task as long as no worker has been started: to start one takes seconds.

    Args:
        workers: how many, at least 1.
        threads: of torch in each: small networks lose more to waiting for each other than they gain.
    """

    def __init__(self, workers: int, threads: int = 1) -> None:
        self.workers, self.threads = workers, threads
        self.members: list[Member] = []

    def __enter__(self) -> Crew:
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

    def run(self, tasks: Sequence[Task], description: str) -> Iterator[Answer]:
        """Do the tasks in their order, as many at once as there are workers; the answers as they come.

        After a task that found the disk full none is begun: the others would find it so too. The bar is closed with the
        last answer: take them all before you raise an error that should stand below it.
        """
        if not tasks:
            return
        tell = TERMINAL_SECONDS if sys.stderr.isatty() else FILE_SECONDS
        total = sum(task.weight for task in tasks)
        with tqdm(total=total, desc=description, bar_format=BAR, mininterval=tell, maxinterval=max(10.0, tell)) as bar:
            alone = self.workers == 1 or (len(tasks) == 1 and not self.members)
            yield from self._here(tasks, bar) if alone else self._apart(tasks, bar)

    def _here(self, tasks: Sequence[Task], bar: tqdm[Any]) -> Iterator[Answer]:
        torch.set_num_threads(self.threads)
        for task in tasks:
            with also_logged(task):
                answer = attempt(task)
            bar.update(task.weight)
            yield answer
            if answer.disk_full:
                return

    def _apart(self, tasks: Sequence[Task], bar: tqdm[Any]) -> Iterator[Answer]:
        waiting, finished = deque(tasks), 0.0
        while True:
            self._hand_out(waiting)
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

    def _hand_out(self, waiting: deque[Task]) -> None:
        """Give every idle worker a task, and start as many workers as have something to do."""
        while waiting:
            idle = next((member for member in self.members if member.task is None), None)
            if idle is None:
                if len(self.members) >= self.workers:
                    return
                idle = self._hire()
            idle.task = waiting.popleft()
            try:
                idle.pipe.send(idle.task)
            except OSError:
                continue  # it has died; listening to it says so

    def _hire(self) -> Member:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, self.threads), daemon=True)
        # Inherited: a Ctrl-C is the parent's business from the worker's first moment, before it can say so itself.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with environment(TQDM_MININTERVAL=str(FILE_SECONDS), TQDM_MAXINTERVAL=str(FILE_SECONDS)):
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()
        self.members.append(Member(process, ours))
        return self.members[-1]

    @staticmethod
    def _heard(busy: Sequence[Member]) -> list[Member]:
        """The workers that have something to say, waited for a moment; a dead one counts."""
        ready = set(connection.wait([member.pipe for member in busy], timeout=1.0))
        return [member for member in busy if member.pipe in ready]

    def _listen(self, member: Member) -> Answer | None:
        """What a worker says: an answer, or only how far it is; one that has died answers by its death."""
        assert member.task is not None
        try:
            message: Any = member.pipe.recv()
        except (EOFError, OSError):
            member.process.join()
            self.members.remove(member)
            code = member.process.exitcode
            why = f"signal {-code}; perhaps memory was short" if code is not None and code < 0 else f"exit code {code}"
            return Answer(member.task.name, fault=f"{member.task.name}: its worker process ended by {why}")
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
