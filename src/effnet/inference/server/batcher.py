"""Dynamic batching: what waits is computed together, in a thread of its own."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

J = TypeVar("J")
R = TypeVar("R")


@dataclass(frozen=True)
class Work(Generic[J, R]):
    """How jobs are computed."""

    compute: Callable[[Sequence[J]], Sequence[R]]
    """Computes jobs of one kind together; runs in a thread."""
    kind: Callable[[J], Hashable]
    """Only jobs of the same kind are computed together."""
    most: Callable[[J], int]
    """How many jobs like this one are computed together at most."""
    coming: Callable[[], int]
    """How many jobs are on their way, so that it is worth to wait for them."""
    done: Callable[[int, float], None]
    """Told of each batch: jobs and seconds."""


@dataclass
class _Entry(Generic[J, R]):
    job: J
    answer: asyncio.Future[R]


class Batcher(Generic[J, R]):
    """Takes jobs one by one and answers each, computing several of them together.

    While a batch is computed the next jobs gather. A batch that is not full waits for jobs that are coming,
    for `max_wait` seconds at most; a job that is alone goes at once. A batch that fails is tried again job by
    job, so that only the job that fails is told so.
    """

    def __init__(self, work: Work[J, R], *, max_wait: float) -> None:
        self._work = work
        self._max_wait = max_wait
        self._queue: deque[_Entry[J, R]] = deque()
        self._changed = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compute")

    async def submit(self, job: J) -> R:
        """Wait for the answer to a job; cancelled, it is not computed unless that has begun."""
        entry = _Entry[J, R](job, asyncio.get_running_loop().create_future())
        self._queue.append(entry)
        self._changed.set()
        return await entry.answer

    async def run(self) -> None:
        """Compute what is submitted, until cancelled."""
        try:
            while True:
                batch = await self._next_batch()
                if batch:
                    await self._compute(batch)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _next_batch(self) -> list[_Entry[J, R]]:
        while not self._queue:
            self._changed.clear()
            await self._changed.wait()
        most = self._work.most(self._queue[0].job)
        await self._gather(most)
        batch: list[_Entry[J, R]] = []
        while self._queue and len(batch) < most:
            if batch and self._work.kind(self._queue[0].job) != self._work.kind(batch[0].job):
                break
            entry = self._queue.popleft()
            if not entry.answer.done():  # else its client is gone
                batch.append(entry)
        return batch

    async def _gather(self, most: int) -> None:
        """Wait for a full batch as long as it may still come about."""
        deadline = asyncio.get_running_loop().time() + self._max_wait
        while len(self._queue) < most and self._work.coming() > 0:
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return

    async def _compute(self, batch: list[_Entry[J, R]]) -> None:
        loop, jobs = asyncio.get_running_loop(), [entry.job for entry in batch]
        started = perf_counter()
        try:
            results = await loop.run_in_executor(self._thread, self._work.compute, jobs)
        except Exception as error:
            if len(batch) > 1:
                for entry in batch:
                    await self._compute([entry])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        self._work.done(len(batch), perf_counter() - started)
        for entry, result in zip(batch, results, strict=True):
            if not entry.answer.done():
                entry.answer.set_result(result)
