"""What waits is computed together; what fails fails alone."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from effnet.inference.server.batcher import Batcher, Work


class Doubler:
    """Doubles numbers, refuses negative ones, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_compute = threading.Event()
        self.may_prepare = threading.Event()
        self.may_compute.set()
        self.may_prepare.set()

    def prepare(self, number: int) -> int:
        if number % 100 == 99:
            self.may_prepare.wait(10)
        if number > 1000:
            raise ValueError("large")
        return number

    def compute(self, numbers: Sequence[int]) -> list[int]:
        self.may_compute.wait(10)
        self.batches.append(list(numbers))
        if min(numbers) < 0:
            raise ValueError("negative")
        return [2 * number for number in numbers]


Scenario = Callable[[Batcher[int, int, int], Doubler], Coroutine[Any, Any, None]]


def play(scenario: Scenario, *, max_batch: int = 4, max_wait: float = 0.5) -> Doubler:
    """Run a scenario with a batcher that doubles; odd and even numbers are of different kinds."""
    doubler = Doubler()

    async def run() -> None:
        work = Work[int, int, int](
            prepare=doubler.prepare,
            compute=doubler.compute,
            kind=lambda number: number % 2,
            most=lambda number: max_batch,
            done=lambda count, seconds: None,
        )
        batcher = Batcher(work, num_threads=1, max_wait=max_wait)
        batcher.start()
        try:
            await asyncio.wait_for(scenario(batcher, doubler), 20)
        finally:
            batcher.close()

    asyncio.run(run())
    return doubler


async def all_of(batcher: Batcher[int, int, int], *numbers: int) -> list[Any]:
    return await asyncio.gather(*map(batcher.submit, numbers), return_exceptions=True)


def test_each_job_gets_its_own_answer() -> None:
    async def scenario(batcher: Batcher[int, int, int], _: Doubler) -> None:
        assert await all_of(batcher, 2, 4, 6, 8) == [4, 8, 12, 16]

    play(scenario)


def test_no_batch_is_larger_than_allowed() -> None:
    async def scenario(batcher: Batcher[int, int, int], _: Doubler) -> None:
        assert await all_of(batcher, *range(0, 40, 2)) == list(range(0, 80, 4))

    assert max(len(batch) for batch in play(scenario, max_batch=4).batches) == 4


def test_kinds_are_not_mixed_and_nobody_is_overtaken() -> None:
    async def scenario(batcher: Batcher[int, int, int], doubler: Doubler) -> None:
        doubler.may_compute.clear()
        waiting = asyncio.gather(*map(batcher.submit, [1000, 2, 4, 1, 6]))
        await asyncio.sleep(0.1)
        doubler.may_compute.set()
        assert await waiting == [2000, 4, 8, 2, 12]

    batches = play(scenario, max_wait=0.0).batches
    assert [number for batch in batches for number in batch] == [1000, 2, 4, 1, 6]
    assert all(len({number % 2 for number in batch}) == 1 for batch in batches)


def test_what_comes_while_a_batch_is_computed_gathers() -> None:
    async def scenario(batcher: Batcher[int, int, int], doubler: Doubler) -> None:
        doubler.may_compute.clear()
        first = batcher.submit(2)
        await asyncio.sleep(0.1)
        others = asyncio.gather(*map(batcher.submit, [4, 6, 8]))
        await asyncio.sleep(0.1)
        doubler.may_compute.set()
        assert [await first, *await others] == [4, 8, 12, 16]

    assert play(scenario).batches == [[2], [4, 6, 8]]


def test_a_job_that_is_alone_does_not_wait() -> None:
    async def scenario(batcher: Batcher[int, int, int], _: Doubler) -> None:
        assert await batcher.submit(2) == 4

    assert play(scenario, max_wait=60.0).batches == [[2]]


def test_a_batch_waits_for_jobs_that_are_being_prepared() -> None:
    async def scenario(batcher: Batcher[int, int, int], doubler: Doubler) -> None:
        doubler.may_prepare.clear()
        waiting = asyncio.gather(*map(batcher.submit, [1, 99]))
        await asyncio.sleep(0.1)
        assert doubler.batches == []
        doubler.may_prepare.set()
        assert await waiting == [2, 198]

    assert play(scenario, max_wait=60.0).batches == [[1, 99]]


def test_it_waits_no_longer_than_allowed() -> None:
    async def scenario(batcher: Batcher[int, int, int], doubler: Doubler) -> None:
        doubler.may_prepare.clear()
        first, second = batcher.submit(1), batcher.submit(99)
        assert await first == 2
        doubler.may_prepare.set()
        assert await second == 198

    assert play(scenario, max_wait=0.01).batches == [[1], [99]]


def test_a_job_that_fails_does_not_hurt_the_others_of_its_batch() -> None:
    async def scenario(batcher: Batcher[int, int, int], doubler: Doubler) -> None:
        doubler.may_compute.clear()
        waiting = asyncio.gather(*map(batcher.submit, [0, 2, -4, 6]), return_exceptions=True)
        await asyncio.sleep(0.1)
        doubler.may_compute.set()
        _, good, bad, other = await waiting
        assert (good, other) == (4, 12)
        assert isinstance(bad, ValueError)

    assert [2] in play(scenario).batches


def test_a_job_that_cannot_be_prepared_is_told_so_and_hurts_nobody() -> None:
    async def scenario(batcher: Batcher[int, int, int], _: Doubler) -> None:
        good, bad, other = await all_of(batcher, 2, 2000, 6)
        assert (good, other) == (4, 12)
        assert str(bad) == "large"

    play(scenario)


def test_a_job_that_nobody_waits_for_is_not_computed() -> None:
    async def scenario(batcher: Batcher[int, int, int], doubler: Doubler) -> None:
        doubler.may_compute.clear()
        first = batcher.submit(2)
        await asyncio.sleep(0.1)
        gone, stays = batcher.submit(4), batcher.submit(6)
        await asyncio.sleep(0.1)
        gone.cancel()
        doubler.may_compute.set()
        assert (await first, await stays) == (4, 12)

    assert play(scenario).batches == [[2], [6]]


def test_threads_end_when_it_is_closed() -> None:
    before = threading.active_count()

    async def scenario(batcher: Batcher[int, int, int], _: Doubler) -> None:
        assert await batcher.submit(2) == 4

    play(scenario)
    assert threading.active_count() == before
