"""Processes that decode images for a stream: torch's DataLoader, in our own order."""

import atexit
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch.utils.data import DataLoader

from effnet.data.tasks import CHUNKS_AHEAD, Decoded, Decoder, Sent, Task, Tasks
from effnet.errors import EffnetError

MAX_WORKERS = 16
MAX_DEATHS = 3  # in a pass over the images: so often their work is given to others
DIED, RAISED = "DataLoader worker (pid", "in DataLoader worker process"  # what torch says of a worker
# What a training hears itself: it saves, then ends its workers. SIGUSR1 is a scheduler's warning.
SIGNALS = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))


class WorkerDiedError(Exception):
    """A worker has died; what it was to do can be given to others."""


class Workers:
    """Processes that live from the first task until they are released; without any, this process decodes.

    When one dies, all are replaced, and do what was left to do: the results are the same.
    """

    def __init__(self, decoder: Decoder, count: int, say: Callable[[str], None]) -> None:
        """Let `count` processes decode; `say` is told of the death of one."""
        self.decoder = decoder
        self.count = count
        self.say = say
        self._tasks = Tasks()
        self._loader: DataLoader[Sent] | None = None
        self._running: Any = None
        self._children: set[BaseProcess] = set()
        self._pass = 0

    def run(self, tasks: Iterable[Task]) -> Iterator[Decoded]:
        """Yield the result of each task, in order; a few tasks are taken ahead. Ends any pass before.

        Raises:
            EffnetError: workers cannot be started, or die again and again.

        """
        self._pass += 1
        own, deaths = self._pass, 0
        self._tasks.begin(tasks)
        self._running = None
        while True:
            try:
                sent = self._next()
            except WorkerDiedError as error:
                deaths += 1
                self.release()
                if deaths > MAX_DEATHS:
                    raise death(str(error)) from error
                self.say(f"warning: {died(str(error))}; others take over its work")
                continue
            if sent is None:
                return
            rows, _ = self._tasks.waiting.popleft()
            yield rows, *sent
            if own != self._pass:
                raise RuntimeError("a pass over a stream cannot go on after another one has begun")

    def _next(self) -> Sent | None:
        """Return what comes next, None at the end."""
        with self._watched():
            if self._running is None:
                self._running = self._start() if self._loader is None else iter(self._loader)
            sent: Sent | None = next(self._running, None)
            return sent

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Notice the death of a worker: at once between two tasks, else within the 5 seconds of torch.

        An error raised in a worker is none: it comes through, with the traceback of the worker in its text.

        Raises:
            WorkerDiedError: says how.

        """
        dead = self._dead()
        if dead:
            raise WorkerDiedError(reason_of(dead))
        try:
            yield
        except (EOFError, ConnectionError, FileNotFoundError) as error:  # while it handed over images
            if not self.count or RAISED in str(error):
                raise
            wait([child.sentinel for child in self._children], timeout=1.0)  # its end comes a moment later
            raise WorkerDiedError(reason_of(self._dead()) or type(error).__name__) from error
        except RuntimeError as error:
            if DIED not in str(error):
                raise
            raise WorkerDiedError(reason_of(self._dead()) or str(error)) from error

    def _start(self) -> Any:
        before = set(active_children())
        with signals_held(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)  # as asked for
            # A fork of a process with threads is safe here: workers touch neither locks nor torch's threads.
            warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
            self._loader = self._build()
            try:
                running = iter(self._loader)
            except OSError as error:
                for begun in set(active_children()) - before:  # torch leaves those behind
                    begun.kill()
                    begun.join()
                raise EffnetError(
                    f"cannot start {self.count} workers: {error.strerror}; take fewer --data.workers"
                ) from error
        self._children = set(active_children()) - before if self.count else set()
        if self.count:
            forget_pids(running)
        return running

    def _build(self) -> DataLoader[Sent]:
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
            if self._dead():
                abandon(self._running, self._children)
            else:
                self._running._shutdown_workers()  # what its destructor calls; it must not wait for that
        self._loader = self._running = None
        self._children = set()

    def _dead(self) -> list[BaseProcess]:
        return [child for child in self._children if not child.is_alive()]


def abandon(running: Any, children: Iterable[BaseProcess]) -> None:
    """Kill the workers of a loader one of which has died.

    It may have held a lock that all share, so that an orderly end would wait for ever.
    """
    running._shutdown = True
    for child in children:
        child.kill()
        child.join()
    for queue in (*running._index_queues, running._worker_result_queue):
        queue.cancel_join_thread()
        queue.close()


def forget_pids(running: Any) -> None:
    """Let torch's handler of SIGCHLD forget the workers of a loader.

    It would raise RuntimeError wherever this process is at that moment: in the middle of a step, say. We look
    between two tasks instead.
    """
    torch._C._remove_worker_pids(id(running))
    running._worker_pids_set = False


def reason_of(dead: Iterable[BaseProcess]) -> str:
    """Say what ended processes."""
    codes = sorted({child.exitcode or 0 for child in dead})
    return ", ".join(signal.Signals(-code).name if code < 0 else f"exit code {code}" for code in codes)


def died(reason: str) -> str:
    """Say that a worker has died."""
    return f"a process that decodes images has died ({reason})"


def death(reason: str) -> EffnetError:
    """Return the error of workers that die again and again."""
    return EffnetError(
        f"{died(reason)}, the {MAX_DEATHS + 1}th in this epoch; if memory is short, take fewer --data.workers"
    )


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
