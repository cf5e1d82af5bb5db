"""Work for the tests on a cluster: what workers do, how they are killed, who is told of it."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Listener:
    """Keeps what it is told."""

    def __init__(self, stop: Callable[[], bool] = lambda: False) -> None:
        self.lines: list[str] = []
        self.most = 0
        self.stop = stop

    def message(self, text: str) -> None:
        self.lines.append(text)

    def at_work(self, done: int, running: int) -> None:
        self.most = max(self.most, running)

    def heed(self) -> None:
        if self.stop():
            raise StoppedError


class StoppedError(Exception):
    """Stops the work in a test."""


def worker_processes() -> list[int]:
    """Return the processes of Ray that work on an item."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::_attempt"):
                found.append(int(path.parent.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


@contextmanager
def killed_when(is_time: Callable[[], bool]) -> Iterator[list[int]]:
    """Kill a worker in the middle of its item, once, as soon as it is time; say which."""
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        while not over.is_set() and not killed:
            found = worker_processes() if is_time() else []
            for process in found[:1]:
                os.kill(process, signal.SIGKILL)
                killed.append(process)
            time.sleep(0.01)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()
