"""Images a second of each corruption: ours, and `imagecorruptions`, the authors' code as a package.

    python benchmarks/corruptions.py
    python benchmarks/corruptions.py --side 224 --images 64 --threads 1 --cpu-time

Severities 1, 3 and 5, on random images; ours in batches of 64 as an evaluation has them, theirs one by one.
At the end the time that all 75 passes over 10,000 images take for corruption alone. The package works from 32
pixels on and always by the constants for 224; without it ours are measured alone. Other work on the machine
spoils the times; --cpu-time with one thread least: the processor's seconds instead of the clock's.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor

import recording
from effnet.benching.machine import cpu_name
from effnet.cli.output import console, table
from effnet.device import environment, kept_memory
from effnet.evaluation.corruptions.catalogue import CORRUPTIONS, corrupt
from effnet.evaluation.corruptions.severities import NUM_SEVERITIES

BATCH = 64
SEVERITIES = (1, 3, 5)
PACKAGE = "imagecorruptions"

Clock = Callable[[], float]
Change = Callable[[str, int], object]
"""Corrupts all images, by name and severity."""


@dataclass(frozen=True)
class Speed:
    """Images a second, of ours and of the package."""

    name: str
    ours: tuple[float, ...]
    """At each of `SEVERITIES`."""
    theirs: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Of ours, for an image at all five severities."""
        return NUM_SEVERITIES * sum(1 / speed for speed in self.ours) / len(self.ours)


def main() -> None:
    arguments = parser().parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    shape = (arguments.images, arguments.channels, arguments.side, arguments.side)
    images = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    clock = process_time if arguments.cpu_time else perf_counter
    peer = theirs(images) if find_spec(PACKAGE) and arguments.peer and arguments.side >= 32 else None
    with kept_memory(torch.device("cpu")):
        speeds = [measure(name, (ours(images), peer), len(images), clock) for name in CORRUPTIONS]
    total = sum(speed.seconds for speed in speeds) * 10_000
    show(speeds, total)
    if arguments.record:
        recording.append("corruptions", to_row(arguments, speeds, total), arguments.results)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--side", type=int, default=32)
    made.add_argument("--channels", type=int, choices=(1, 3), default=3)
    made.add_argument("--images", type=int, default=512)
    made.add_argument("--threads", type=int, help="of torch; its own choice when not given")
    made.add_argument("--cpu-time", action="store_true", help="count the processor's seconds")
    made.add_argument("--no-peer", dest="peer", action="store_false", help="measure ours alone")
    recording.add_flags(made)
    return made


def ours(images: Tensor) -> Change:
    """Corrupt in batches, as an evaluation does."""

    def change(name: str, severity: int) -> None:
        for start in range(0, len(images), BATCH):
            part = images[start : start + BATCH]
            corrupt(part, name, severity, seed=0, indices=np.arange(start, start + len(part)))

    return change


def theirs(images: Tensor) -> Change:
    """Corrupt one by one, as the package does; grey images in three channels, which is its way."""
    import imagecorruptions

    arrays = images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().numpy()

    def change(name: str, severity: int) -> None:
        for array in arrays:
            imagecorruptions.corrupt(array, severity=severity, corruption_name=name)

    return change


def measure(name: str, sides: tuple[Change, Change | None], count: int, clock: Clock) -> Speed:
    """Measure a corruption, of ours and of the package if it is there."""
    ours, theirs = (() if change is None else _speeds(change, name, count, clock) for change in sides)
    return Speed(name, ours, theirs)


def _speeds(change: Change, name: str, count: int, clock: Clock) -> tuple[float, ...]:
    speeds = []
    for severity in SEVERITIES:
        change(name, severity)  # warms up: matrices, panes of frost, compiled loops
        started = clock()
        change(name, severity)
        speeds.append(count / (clock() - started))
    return tuple(speeds)


def show(speeds: list[Speed], total: float) -> None:
    made = table("images a second at severity 1, 3, 5", ["corruption", "ours", "imagecorruptions"])
    for speed in speeds:
        made.add_row(CORRUPTIONS[speed.name].title, *(_listed(side) for side in (speed.ours, speed.theirs)))
    console().print(made)
    console().print(f"all 75 passes over 10,000 images: {total:.0f} s for corruption alone")


def _listed(speeds: tuple[float, ...]) -> str:
    return " ".join(f"{speed:8,.0f}" for speed in speeds) or "–"


def to_row(arguments: argparse.Namespace, speeds: list[Speed], total: float) -> dict[str, Any]:
    return {
        **recording.stamp(),
        **environment(torch.device("cpu")),
        "cpu": cpu_name(),
        **{name: getattr(arguments, name) for name in ("side", "channels", "images", "cpu_time")},
        "severities": SEVERITIES,
        "images_per_second": {
            speed.name: {side: [round(s, 1) for s in getattr(speed, side)] for side in ("ours", "theirs")}
            for speed in speeds
        },
        "seconds_of_75_passes_over_10000_images": round(total, 1),
    }


if __name__ == "__main__":
    main()
