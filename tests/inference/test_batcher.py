"""What waits is computed together; what fails fails alone."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from effnet.inference.server.batcher import Batcher, Work


class Doubler:
    """Doubles numbers, refuses negative ones, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go = threading.Event()
        self.may_go.set()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.may_go.wait(10)
        self.batches.append(list(numbers))
        if min(numbers) < 0:
            raise ValueError("negative")
        return [2 * number for number in numbers]


Scenario = Callable[[Batcher[int, int], Doubler], Coroutine[Any, Any, None]]


def play(scenario: Scenario, *, coming: int = 0, max_batch: int = 4, max_wait: float = 0.0) -> Doubler:
    """Run a scenario with a batcher that doubles; odd and even numbers are of different kinds."""
    doubler = Doubler()

    async def run() -> None:
        work = Work[int, int](
            compute=doubler,
            kind=lambda number: number % 2,
            most=lambda number: max_batch,
            coming=lambda: coming,
            done=lambda count, seconds: None,
        )
        batcher = Batcher(work, max_wait=max_wait)
        running = asyncio.create_task(batcher.run())
        try:
            await asyncio.wait_for(scenario(batcher, doubler), 20)
        finally:
            running.cancel()

    asyncio.run(run())
    return doubler


async def submit_all(batcher: Batcher[int, int], *numbers: int) -> list[Any]:
    return await asyncio.gather(*map(batcher.submit, numbers), return_exceptions=True)


def test_each_job_gets_its_own_answer() -> None:
    async def scenario(batcher: Batcher[int, int], _: Doubler) -> None:
        assert await submit_all(batcher, 2, 4, 6) == [4, 8, 12]

    assert play(scenario).batches == [[2, 4, 6]]


def test_no_batch_is_larger_than_allowed() -> None:
    async def scenario(batcher: Batcher[int, int], _: Doubler) -> None:
        assert await submit_all(batcher, *range(0, 20, 2)) == list(range(0, 40, 4))

    assert [len(batch) for batch in play(scenario, max_batch=4).batches] == [4, 4, 2]


def test_kinds_are_not_mixed_and_nobody_is_overtaken() -> None:
    async def scenario(batcher: Batcher[int, int], _: Doubler) -> None:
        assert await submit_all(batcher, 2, 4, 1, 6) == [4, 8, 2, 12]

    assert play(scenario).batches == [[2, 4], [1], [6]]


def test_what_comes_while_a_batch_is_computed_gathers() -> None:
    async def scenario(batcher: Batcher[int, int], doubler: Doubler) -> None:
        doubler.may_go.clear()
        first = asyncio.create_task(batcher.submit(2))
        await asyncio.sleep(0.05)
        others = asyncio.gather(*map(batcher.submit, [4, 6, 8]))
        await asyncio.sleep(0.05)
        doubler.may_go.set()
        assert [await first, *await others] == [4, 8, 12, 16]

    assert play(scenario).batches == [[2], [4, 6, 8]]


def test_a_batch_waits_for_jobs_that_are_coming() -> None:
    async def scenario(batcher: Batcher[int, int], _: Doubler) -> None:
        first = asyncio.create_task(batcher.submit(2))
        await asyncio.sleep(0.05)
        assert [await batcher.submit(4), await first] == [8, 4]

    assert play(scenario, coming=1, max_batch=2, max_wait=10.0).batches == [[2, 4]]


def test_it_waits_no_longer_than_allowed() -> None:
    async def scenario(batcher: Batcher[int, int], _: Doubler) -> None:
        assert await batcher.submit(2) == 4

    assert play(scenario, coming=1, max_wait=0.01).batches == [[2]]


def test_a_job_that_fails_does_not_hurt_the_others_of_its_batch() -> None:
    async def scenario(batcher: Batcher[int, int], _: Doubler) -> None:
        good, bad, other = await submit_all(batcher, 2, -4, 6)
        assert (good, other) == (4, 12)
        assert isinstance(bad, ValueError)

    assert play(scenario).batches == [[2, -4, 6], [2], [-4], [6]]


def test_a_job_that_nobody_waits_for_is_not_computed() -> None:
    async def scenario(batcher: Batcher[int, int], doubler: Doubler) -> None:
        doubler.may_go.clear()
        first = asyncio.create_task(batcher.submit(2))
        await asyncio.sleep(0.05)
        gone, stays = asyncio.create_task(batcher.submit(4)), asyncio.create_task(batcher.submit(6))
        await asyncio.sleep(0.05)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        doubler.may_go.set()
        assert (await first, await stays) == (4, 12)

    assert play(scenario).batches == [[2], [6]]
