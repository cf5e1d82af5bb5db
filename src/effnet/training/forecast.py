"""How long a training will take, said early if it is long; how long anything takes, in words."""

from collections.abc import Callable
from math import ceil
from time import perf_counter

from effnet.training.reporter import Reporter, StepRecord

FORECAST_AFTER = 5.0  # seconds
LONG_HOURS = 1.0


class Forecast:
    """Passes steps on, and warns once when the training will take hours.

    `work` is what all steps before one cost, in any unit: they may grow in the course of the training.
    """

    def __init__(self, reporter: Reporter, work: Callable[[int], float] = float) -> None:
        self.reporter = reporter
        self.work = work
        self.started = perf_counter()
        self.first_step: int | None = None
        self.said = False

    def step(self, record: StepRecord) -> None:
        """Pass a record on; after a few seconds, judge by the steps since the first one."""
        self.reporter.step(record)
        if self.first_step is None:  # what came before it was warming up
            self.first_step, self.started = record.step, perf_counter()
        elapsed = perf_counter() - self.started
        if self.said or elapsed <= FORECAST_AFTER:
            return  # work is added up over epochs: too much for every step
        done = self.work(record.step) - self.work(self.first_step)
        if done > 0:
            self.said = True
            left = self.work(record.total_steps) - self.work(record.step)
            self._warn(left * elapsed / done / 3600)

    def _warn(self, hours: float) -> None:
        if hours > LONG_HOURS:
            self.reporter.message(
                f"warning: this will take about {hours:.1f} hours here; for less, take fewer --epochs or a "
                f"smaller network: --phi -2 has about half the cost"
            )


def duration(seconds: float) -> str:
    """Say a time for people: 40 seconds, 12 minutes, 3.5 hours."""
    if seconds < 90:
        return f"{ceil(seconds)} seconds"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
