"""How fast exported files are here, measured in turns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter, sleep
from typing import Any

from effnet.exporting.parity import random_pixels
from effnet.inference.runtime import OnnxClassifier

BATCH_SIZE = 16
ROUNDS, SECONDS, MOST_RUNS = 5, 0.3, 100
REST = (
    0.05  # threads of a file that had its turn wait in a busy loop for a while, and would slow the next one
)


@dataclass(frozen=True)
class Speed:
    """How fast a file answers."""

    milliseconds: float
    """Median for a single image."""
    images_per_second: float
    """Median in batches of 16."""


def measure(files: Sequence[OnnxClassifier]) -> list[Speed]:
    """Time files in turns, with one image and with batches: what disturbs the machine disturbs all."""
    pixels = random_pixels(files[0].header.preprocess, BATCH_SIZE, seed=0)
    single = turns([lambda file=file: file.logits(pixels[:1]) for file in files])  # type: ignore[misc]
    batches = turns([lambda file=file: file.logits(pixels) for file in files])  # type: ignore[misc]
    return [
        Speed(1e3 * median(one), BATCH_SIZE / median(several))
        for one, several in zip(single, batches, strict=True)
    ]


def turns(runs: Sequence[Callable[[], Any]]) -> list[list[float]]:
    """Return the seconds of each call: of one at least in each of five turns."""
    taken: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, times in zip(runs, taken, strict=True):
            sleep(REST)
            run()
            times.extend(turn(run))
    return taken


def turn(run: Callable[[], Any]) -> list[float]:
    """Return the seconds of each call of one turn."""
    times: list[float] = []
    started = perf_counter()
    while not times or (perf_counter() - started < SECONDS and len(times) < MOST_RUNS):
        before = perf_counter()
        run()
        times.append(perf_counter() - before)
    return times
