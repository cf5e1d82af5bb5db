"""Measure what the loop of `effnet train` costs beside its bare step, on real data, in turns, in one process.

    python benchmarks/loop_overhead.py DATA
    python benchmarks/loop_overhead.py DATA --phi -6 --resolution 32

Other flags go to `effnet train`. A turn of the loop is the whole of it: order, augmentation, step, means of
loss and accuracy, reports, the question whether to save. A turn of the bare step is the same trainer's
`update` on one batch that is ready. What happens between epochs belongs to neither.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import recording
from effnet.cli.main import SPIN_COUNT
from effnet.training.reporter import EpochRecord, Silent, StepRecord

MAX_EPOCHS = 100_000  # more than all rounds take: the referee ends the training


class EnoughError(Exception):
    """All rounds are done; ends the training."""


class Referee(Silent):
    """Listens to a training, and lets the bare step have every other turn."""

    def __init__(self, bare: Callable[[float], float], rounds: int, seconds: float) -> None:
        """Ask for some rounds; `bare` takes bare steps for some seconds and returns steps per second."""
        self.bare = bare
        self.rounds = rounds
        self.seconds = seconds
        self.pairs: list[tuple[float, float]] = []
        """Steps per second of loop and bare step."""
        self.last: tuple[float, int] | None = None
        """Moment and step of the last report of this turn and epoch."""
        self.spent, self.steps = 0.0, 0
        """Seconds and steps of the loop's turn so far."""

    def step(self, record: StepRecord) -> None:
        """Count what the loop did since the last report; when its turn is over, the bare step has one."""
        now = perf_counter()
        if self.last is not None:
            self.spent += now - self.last[0]
            self.steps += record.step - self.last[1]
        if self.spent >= self.seconds:
            self.pairs.append((self.steps / self.spent, self.bare(self.seconds)))
            self.spent, self.steps = 0.0, 0
        if len(self.pairs) == self.rounds:
            raise EnoughError
        self.last = perf_counter(), record.step

    def epoch(self, record: EpochRecord) -> None:
        """Stop the clock until the next epoch's first report."""
        self.last = None


def main() -> None:
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # as the command line does, before torch is imported
    arguments, flags = parser().parse_known_args()
    row = measure(arguments, flags)
    ratios, rates = row["ratios"], row["images_per_second"]
    print(
        f"{row['network']}: the loop has {median(ratios):.1%} of the bare step's speed "
        f"({min(ratios):.1%} to {max(ratios):.1%} in {len(ratios)} rounds); "
        f"{median(rates['loop']):.1f} and {median(rates['bare']):.1f} images/s"
    )
    if arguments.record:
        recording.append("loop_overhead", row, arguments.results)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("data")
    made.add_argument("--recipe", help="chosen by the data when not given")
    made.add_argument("--rounds", type=int, default=9)
    made.add_argument("--seconds", type=float, default=3.0, help="least time of a turn")
    made.add_argument("--threads", type=int, help="of torch; its own choice when not given")
    recording.add_flags(made)
    return made


def measure(arguments: argparse.Namespace, flags: Sequence[str]) -> dict[str, Any]:
    """Measure; return the row to record."""
    import torch

    from assembly import configure, describe
    from effnet.benching.steps import bare_step, ready
    from effnet.data.datasets import open_dataset
    from effnet.device import kept_memory
    from effnet.training.fitting import Job, loop
    from effnet.training.parts import assemble
    from effnet.training.setup import default_recipe
    from timing import steps_per_second

    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    dataset = open_dataset(arguments.data)
    config = configure(arguments.recipe or default_recipe(dataset), [*flags, f"--epochs={MAX_EPOCHS}"])
    parts = assemble(dataset, config)
    trainer = ready(parts)
    bare = partial(steps_per_second, bare_step(trainer, next(trainer.train.epoch(0))))
    referee = Referee(bare, arguments.rounds, arguments.seconds)
    with tempfile.TemporaryDirectory() as folder, kept_memory(parts.device), suppress(EnoughError):
        loop(trainer, Job(parts, Path(folder), referee, perf_counter(), num_test=0))
    loop_rates, bare_rates = (
        [speed * trainer.train.batch_size for speed in side] for side in zip(*referee.pairs, strict=True)
    )
    return {
        **recording.stamp(),
        "data": dataset.name,
        **describe(parts),
        "augment": vars(config.augment),
        "ratios": [round(loop / bare, 4) for loop, bare in referee.pairs],
        "images_per_second": {
            "loop": [round(r, 2) for r in loop_rates],
            "bare": [round(r, 2) for r in bare_rates],
        },
    }


if __name__ == "__main__":
    main()
