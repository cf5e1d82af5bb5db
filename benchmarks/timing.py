"""How fast something can be done again and again."""

from collections.abc import Callable
from time import perf_counter


def steps_per_second(step: Callable[[], object], seconds: float) -> float:
    """Take one step at least, and more until the time is over; return the speed."""
    steps, started = 0, perf_counter()
    while steps == 0 or perf_counter() - started < seconds:
        step()
        steps += 1
    return steps / (perf_counter() - started)
