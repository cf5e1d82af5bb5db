"""How long something takes that is done again and again: timed one by one, told by median and quartiles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

Run = Callable[[], Any]
"""Predicts one batch, and returns when that is done."""
Clock = Callable[[], float]
"""Seconds since some moment."""

WARM_RUNS, WARM_SECONDS = 2, 0.05  # the first runs choose algorithms and take memory
LEAST_RUNS, MOST_RUNS = 1, 200


@dataclass(frozen=True)
class Latency:
    """Seconds that a batch took, over several runs."""

    median: float
    low: float
    """A quarter of the runs were faster."""
    high: float
    """A quarter of the runs were slower."""
    num_runs: int

    @property
    def spread(self) -> float:
        """Distance between the quarters, as a share of the median."""
        return (self.high - self.low) / self.median


def summarise(seconds: Sequence[float]) -> Latency:
    """Return median and quartiles of some runs."""
    low, median, high = np.quantile(seconds, (0.25, 0.5, 0.75)).tolist()
    return Latency(median, low, high, len(seconds))


def times(run: Run, seconds: float, clock: Clock = perf_counter) -> list[float]:
    """Time runs one by one until so many seconds have passed: one at least, at most 200."""
    taken: list[float] = []
    started = clock()
    while len(taken) < LEAST_RUNS or (clock() - started < seconds and len(taken) < MOST_RUNS):
        before = clock()
        run()
        taken.append(clock() - before)
    return taken


def warm_up(run: Run, clock: Clock = perf_counter) -> None:
    """Run until there is nothing left to be done only once."""
    started, runs = clock(), 0
    while runs < WARM_RUNS or clock() - started < WARM_SECONDS:
        run()
        runs += 1
