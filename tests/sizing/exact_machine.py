"""A machine whose clock moves only when a network runs on it, by as much as its MACs say: times are exact."""

from collections.abc import Callable, Iterator

import torch

from effnet.sizing.budget.latency import Conditions, Timer
from effnet.sizing.budget.timing import Run
from effnet.spec.cost import cost
from effnet.spec.netspec import NetSpec

NUM_CLASSES = 10
CONDITIONS = Conditions(torch.device("cpu"), "torch", batch=1, num_classes=NUM_CLASSES)

MACS_PER_SECOND = 1e9


def exact_seconds(spec: NetSpec) -> float:
    return cost(spec, NUM_CLASSES).macs / MACS_PER_SECOND


class Machine:
    """Runs networks in no real time."""

    def __init__(
        self, mood: Callable[[NetSpec], Iterator[float]] = lambda spec: iter(lambda: 1.0, 0.0)
    ) -> None:
        """Run networks; `mood` gives the factors by which the runs of one are slower than they should be."""
        self.now = 0.0
        self.mood = mood
        self.built: list[NetSpec] = []

    def clock(self) -> float:
        return self.now

    def prepare(self, spec: NetSpec) -> Run:
        self.built.append(spec)
        mood = self.mood(spec)

        def run() -> None:
            self.now += exact_seconds(spec) * next(mood)

        return run

    def timer(self) -> Timer:
        return Timer(self.prepare, self.clock)
