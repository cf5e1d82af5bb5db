"""Timing of things that take turns, and the speed that a machine's matrix products allow."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import torch

Step = Callable[[], float]
"""Takes one training step and returns its loss, so that the device is done."""

SIDE = 2048  # of the matrices: large enough for full speed, 17 GFLOP a product
# Where compiled code is kept: Inductor's, that of C++ extensions, all other.
CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "XDG_CACHE_HOME")


@dataclass(frozen=True)
class Timing:
    """What was measured of one contender."""

    starts: tuple[float, float]
    """Seconds from nothing to the end of the first step: without compiled code on disk, and with it."""
    speeds: tuple[float, ...]
    """Steps per second, one number a round."""


def contest(builds: Mapping[str, Callable[[], Step]], rounds: int, seconds: float) -> dict[str, Timing]:
    """Start every contender twice, then let them take turns."""
    with empty_caches():
        first = {name: start(name, build)[1] for name, build in builds.items()}
        torch.compiler.reset()  # forget what is compiled, but for the files
        second = {name: start(name, build) for name, build in builds.items()}
        speeds = take_turns({name: step for name, (step, _) in second.items()}, rounds, seconds)
    return {name: Timing((first[name], second[name][1]), tuple(speeds[name])) for name in builds}


@contextmanager
def empty_caches() -> Iterator[None]:
    """Keep compiled code in an empty folder, so that the first start compiles all that it needs."""
    before = {name: os.environ.get(name) for name in CACHES}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ.update({name: os.path.join(folder, name) for name in CACHES})
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                os.environ.update({} if value is None else {name: value})


def start(name: str, build: Callable[[], Step]) -> tuple[Step, float]:
    """Build a contender and take its first step; return it with the seconds that this took."""
    started = perf_counter()
    step = build()
    step()
    seconds = perf_counter() - started
    say(f"{name} started in {seconds:.1f} s")
    return step, seconds


def say(text: str) -> None:
    """Show whoever waits that something happens."""
    print(text, file=sys.stderr, flush=True)


def take_turns(steps: Mapping[str, Step], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Measure each contender once a round, so that the machine's moods meet all alike.

    Returns:
        Steps per second of each, one number a round.

    """
    speeds: dict[str, list[float]] = {name: [] for name in steps}
    started = perf_counter()
    for _ in range(rounds):
        for name, step in steps.items():
            speeds[name].append(steps_per_second(step, seconds))
    say(f"{rounds} rounds took {perf_counter() - started:.0f} s")
    return speeds


def steps_per_second(step: Step, seconds: float) -> float:
    """Take one step at least, and more until the time is over; return the speed."""
    steps, started = 0, perf_counter()
    while steps == 0 or perf_counter() - started < seconds:
        step()
        steps += 1
    return steps / (perf_counter() - started)


def matrix_gflops(dtype: torch.dtype, device: torch.device, seconds: float = 1.0) -> float:
    """Return the speed of the product of two large square matrices, the best of many, in GFLOP/s."""
    one, other = (torch.randn(SIDE, SIDE, device=device).to(dtype) for _ in range(2))

    def product() -> float:
        return torch.mm(one, other)[0, 0].item()

    speeds, started = [steps_per_second(product, 0.0)], perf_counter()
    while perf_counter() - started < seconds:
        speeds.append(steps_per_second(product, 0.0))
    return max(speeds) * 2 * SIDE**3 / 1e9
