"""Dynamic batching: jobs are prepared side by side in threads, and computed together in another one."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Condition, Thread
from time import perf_counter
from typing import Generic, TypeVar

J = TypeVar("J")
P = TypeVar("P")
R = TypeVar("R")

JOIN_SECONDS = 5.0


@dataclass(frozen=True)
class Work(Generic[J, P, R]):
    """What is done with jobs, in threads."""

    prepare: Callable[[J], P]
    """Prepares one job, or raises what its waiter gets."""
    compute: Callable[[Sequence[P]], Sequence[R]]
    """Computes what was prepared, of one kind, together."""
    kind: Callable[[P], Hashable]
    """Only jobs of the same kind are computed together."""
    most: Callable[[P], int]
    """How many jobs like this one are computed together at most."""
    done: Callable[[int, float], None]
    """Told of each batch: jobs and seconds."""


class Batcher(Generic[J, P, R]):
    """Takes jobs one by one and answers each, computing several of them together.

    While a batch is computed the next jobs gather. A batch that is not full waits for jobs that are being
    prepared, for `max_wait` seconds at most; a job that is alone goes at once. A batch that fails is tried
    again job by job, so that only the job that fails is told so. From a job to its answer the event loop is
    woken once, however many threads it goes through: on one core each time costs part of a millisecond.
    """

    def __init__(self, work: Work[J, P, R], *, num_threads: int, max_wait: float) -> None:
        self._work = work
        self._max_wait = max_wait
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inbox: SimpleQueue[tuple[J, asyncio.Future[R]] | None] = SimpleQueue()
        self._ready: deque[tuple[P, asyncio.Future[R]]] = deque()
        self._coming = 0
        """Jobs that are not prepared yet."""
        self._changed = Condition()
        """Guards `_ready`, `_coming` and `_is_closed`."""
        self._is_closed = False
        names = [*(("decode", self._prepare_all) for _ in range(num_threads)), ("compute", self._compute_all)]
        self._threads = [Thread(target=target, name=name, daemon=True) for name, target in names]

    def start(self) -> None:
        """Begin to work for the event loop that runs."""
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the threads; what waits is not computed any more."""
        for _ in self._threads[:-1]:
            self._inbox.put(None)
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)

    def submit(self, job: J) -> asyncio.Future[R]:
        """Return what will be the answer to a job; cancelled, it is not computed unless that has begun."""
        assert self._loop is not None, "start() comes first"
        answer: asyncio.Future[R] = self._loop.create_future()
        with self._changed:
            self._coming += 1
        self._inbox.put((job, answer))
        return answer

    def _prepare_all(self) -> None:
        while (entry := self._inbox.get()) is not None:
            job, answer = entry
            prepared: P | None = None
            try:
                prepared = None if answer.done() else self._work.prepare(job)
            except Exception as error:
                self._tell([answer], [error])
            with self._changed:
                self._coming -= 1
                if prepared is not None:
                    self._ready.append((prepared, answer))
                self._changed.notify()

    def _compute_all(self) -> None:
        while batch := self._next_batch():
            waiting = [(prepared, answer) for prepared, answer in batch if not answer.done()]
            if waiting:
                self._compute([prepared for prepared, _ in waiting], [answer for _, answer in waiting])

    def _next_batch(self) -> list[tuple[P, asyncio.Future[R]]]:
        """Wait for jobs; return some of one kind, none when it is closed."""
        with self._changed:
            while not self._ready and not self._is_closed:
                self._changed.wait()
            if self._is_closed:
                return []
            most, kind = self._work.most(self._ready[0][0]), self._work.kind(self._ready[0][0])
            self._gather(most)
            batch = [self._ready.popleft()]
            while self._ready and len(batch) < most and self._work.kind(self._ready[0][0]) == kind:
                batch.append(self._ready.popleft())
            return batch

    def _gather(self, most: int) -> None:
        """Wait for a full batch as long as it may still come about."""
        end = perf_counter() + self._max_wait
        while len(self._ready) < most and self._coming > 0 and not self._is_closed:
            left = end - perf_counter()
            if left <= 0 or not self._changed.wait(left):
                return

    def _compute(self, batch: Sequence[P], answers: Sequence[asyncio.Future[R]]) -> None:
        started = perf_counter()
        try:
            results = self._work.compute(batch)
        except Exception as error:
            if len(batch) == 1:
                self._tell(answers, [error])
                return
            for prepared, answer in zip(batch, answers, strict=True):
                self._compute([prepared], [answer])
            return
        self._work.done(len(batch), perf_counter() - started)
        self._tell(answers, results)

    def _tell(self, answers: Sequence[asyncio.Future[R]], results: Sequence[R | Exception]) -> None:
        """Wake the event loop with results."""
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_set_all, answers, results)


def _set_all(answers: Sequence[asyncio.Future[R]], results: Sequence[R | Exception]) -> None:
    for answer, result in zip(answers, results, strict=True):
        if answer.done():
            continue  # nobody waits any more
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)
