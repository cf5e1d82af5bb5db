"""How fast something can be done again and again."""

from collections.abc import Callable
from statistics import median
from time import perf_counter

Step = Callable[[], float]
"""Takes one training step and returns its loss, so that the device is done."""


def steps_per_second(step: Step, seconds: float) -> float:
    """Take one step at least, and more until the time is over; return the speed."""
    steps, started = 0, perf_counter()
    while steps == 0 or perf_counter() - started < seconds:
        step()
        steps += 1
    return steps / (perf_counter() - started)


def median_seconds(call: Callable[[], object], seconds: float) -> float:
    """Call once to warm up, then at least once until the time is over; return the median of those calls."""
    call()
    taken: list[float] = []
    started = perf_counter()
    while not taken or perf_counter() - started < seconds:
        before = perf_counter()
        call()
        taken.append(perf_counter() - before)
    return median(taken)
