"""The inside of a worker process: does one task after the other, and dies with its parent."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .task import Task, attempt, share_done

TICK_SECONDS = 0.5
"""Between two looks at the progress."""


def serve(pipe: Connection, tensor_threads: int) -> None:
    """Do the tasks that come through a pipe until ``None`` comes.

    Back through the pipe go the :class:`Answer` of each, and in between ``(share, words)`` of the one at hand.
    Ctrl-C is the parent's business: it ends its workers itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_the_parent, daemon=True).start()
    import torch  # late, so that the watch above is there from the first moment

    torch.set_num_threads(tensor_threads)
    # By itself it shares a lock among processes, a semaphore that nobody gives back if this process is ended.
    tqdm.set_lock(threading.RLock())
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("custom").setLevel(logging.INFO)
    lock = threading.Lock()
    while (task := _next(pipe)) is not None:
        write_to(task.log)
        with _telling(pipe, lock):
            answer: Any = attempt(task)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with lock:
            _send(pipe, answer)


def _die_with_the_parent() -> None:
    """A parent that was killed cannot end its workers, and they would go on writing beside the next run."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _next(pipe: Connection) -> Task | None:
    try:
        task: Task | None = pipe.recv()
    except EOFError:
        return None
    return task


def _send(pipe: Connection, message: Any) -> None:
    """Send, or end: a parent that does not listen any more has gone."""
    try:
        pipe.send(message)
    except OSError:
        os._exit(1)


def write_to(log: Path | None) -> None:
    """Append all output of this process, C libraries included, to a file."""
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:
            for descriptor in (1, 2):
                os.dup2(stream.fileno(), descriptor)


@contextmanager
def _telling(pipe: Connection, lock: threading.Lock) -> Iterator[None]:
    """Meanwhile send the task's progress to the parent."""
    done = threading.Event()

    def tell() -> None:
        before: Any = None
        while not done.wait(TICK_SECONDS):
            now = share_done()
            if now != before:
                with lock:
                    _send(pipe, now)
            before = now

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
