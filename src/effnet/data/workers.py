"""Processes that decode images for a stream: torch's DataLoader, in our own order."""

import atexit
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from effnet.data.pixels import PixelFormat
from effnet.errors import DataError, EffnetError

MAX_WORKERS = 16
CHUNKS_AHEAD = 2  # for each worker
CHUNK_BYTES = 4 << 20
SIGNALS = (signal.SIGINT, signal.SIGTERM)  # that a training hears itself: it saves, then ends its workers
SHARED_MEMORY = Path("/dev/shm")  # where images lie on their way; containers often have 64 MB

Rows = NDArray[np.int64]
Task = tuple[Rows, tuple[str, ...]]
"""Images to decode: their places in the data, and their names."""
Decoded = tuple[Rows, Tensor, list[tuple[int, str]]]
"""Places, `images (N, C, S, S)` uint8, and which of these (0 … N - 1) cannot be read, and why."""


class Decoder(Dataset[Decoded]):
    """What a worker does. Names come with each task, so that no worker holds a copy of a million of them."""

    def __init__(self, read: Callable[[str], Image.Image], form: PixelFormat) -> None:
        self.read = read
        self.form = form

    def __getitem__(self, task: Task) -> Decoded:
        rows, names = task
        images = self.form.room(len(names))
        problems = []
        for place, name in enumerate(names):
            try:
                images.numpy()[place] = self.form.read(self.read, name)
            except DataError as error:
                problems.append((place, str(error)))
        return rows, images, problems


class Tasks:
    """What the workers shall do next; the DataLoader asks for it at the beginning of each pass."""

    def __init__(self) -> None:
        self.next: Iterable[Task] = ()

    def __iter__(self) -> Iterator[Task]:
        return iter(self.next)


class Workers:
    """Processes that live from the first task until they are released; without any, this process decodes."""

    def __init__(self, decoder: Decoder, count: int) -> None:
        self.decoder = decoder
        self.count = count
        self._tasks = Tasks()
        self._loader: DataLoader[Decoded] | None = None
        self._running: Any = None
        self._pass = 0

    def run(self, tasks: Iterable[Task]) -> Iterator[Decoded]:
        """Yield the result of each task, in order; a few tasks are taken ahead. Ends any pass before.

        Raises:
            EffnetError: a worker has died while it handed over images; see also `death`.

        """
        self._pass += 1
        own = self._pass
        self._tasks.next = tasks
        with handing_over():
            self._running = self._start() if self._loader is None else iter(self._loader)
        while True:
            with handing_over():
                decoded = next(self._running, None)
            if decoded is None:
                return
            yield decoded
            if own != self._pass:
                raise RuntimeError("a pass over a stream cannot go on after another one has begun")

    def _start(self) -> Any:
        before = set(active_children())
        with signals_held(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)  # as asked for
            # A fork of a process with threads is safe here: workers touch neither locks nor torch's threads.
            warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
            self._loader = self._build()
            try:
                return iter(self._loader)
            except OSError as error:
                for begun in set(active_children()) - before:  # torch leaves those behind
                    begun.kill()
                    begun.join()
                raise EffnetError(
                    f"cannot start {self.count} workers: {error.strerror}; take fewer --data.workers"
                ) from error

    def _build(self) -> DataLoader[Decoded]:
        processes: dict[str, Any] = {}
        if self.count:
            atexit.register(self.release)
            processes = {
                "num_workers": self.count,
                "prefetch_factor": CHUNKS_AHEAD,
                "persistent_workers": True,
                "worker_init_fn": leave_signals_to_parent,
                # Where it works, a fork: nothing is imported again, and scripts need no `if __name__ == …`.
                "multiprocessing_context": "fork" if sys.platform == "linux" else None,
            }
        return DataLoader(
            self.decoder,
            batch_size=None,
            sampler=self._tasks,
            collate_fn=as_it_is,
            generator=torch.Generator(),  # the global one is not touched
            **processes,
        )

    def release(self) -> None:
        """End the processes; the next task starts new ones."""
        atexit.unregister(self.release)
        if self._running is not None and self.count:
            self._running._shutdown_workers()  # what its destructor calls; here it must not wait for that
        self._loader = self._running = None


def death(error: Exception) -> EffnetError:
    """Return what to say when a worker died; torch raises RuntimeError for that, at any moment."""
    reason = str(error).strip() or type(error).__name__
    return EffnetError(
        f"a process that decodes images has died ({reason}); if memory is short, take fewer --data.workers"
    )


@contextmanager
def handing_over() -> Iterator[None]:
    """Name the death of a worker that breaks its connection."""
    try:
        yield
    except (EOFError, ConnectionError, FileNotFoundError) as error:
        raise death(error) from error


def as_it_is(decoded: Any) -> Any:
    """Collate nothing: a task is a part of a batch already."""
    return decoded


def leave_signals_to_parent(worker: int) -> None:
    """Ignore Ctrl-C and SIGTERM, which may be sent to all: the parent saves, then ends its workers."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def signals_held() -> Iterator[None]:
    """Hear signals only afterwards; processes begun meanwhile do not hear them before they ignore them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def num_workers(asked: int | None) -> int:
    """Return how many processes decode: as asked, else one for each core that this process may use."""
    if asked is not None:
        return asked
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MAX_WORKERS, cores)


def images_per_task(form: PixelFormat, count: int) -> int:
    """Return how many images a worker decodes at a time, so that all that are under way fit."""
    room = CHUNK_BYTES
    if count and SHARED_MEMORY.is_dir():
        room = min(room, shutil.disk_usage(SHARED_MEMORY).free // (2 * count * (CHUNKS_AHEAD + 1)))
    return max(1, room // form.num_bytes)
