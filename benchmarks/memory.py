"""Memory of a training step: what is foreseen before the start, beside what a training then takes.

    python benchmarks/memory.py [--only "b0, 224², batch 16" …]

Each figure comes from a fresh process. One foresees by small pieces, as `effnet train` does; the other trains
for a few steps of the whole batch, and its peak is read off. Both are bytes beyond weights and their average.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import torch

import recording
from effnet.benching.machine import cpu_name
from effnet.benching.steps import parts_of, ready
from effnet.config import TrainConfig, load_recipe, override
from effnet.data.pixels import Pixels
from effnet.device import kept_memory
from effnet.training.gauge import Gauge, gauge_of
from effnet.training.loop import Trainer
from effnet.training.probe import Probe
from effnet.training.setup import build_spec

BOUND = 0.15
STEPS = 5
NUM_CLASSES = 1000
RECIPE = "paper"


@dataclass(frozen=True)
class Case:
    """A training whose memory is foreseen and measured."""

    network: str
    resolution: int
    batch_size: int
    settings: dict[str, Any] = field(default_factory=dict)
    """Others of the configuration."""

    @property
    def name(self) -> str:
        """How it is called."""
        extra = "".join(f", {key} {value}" for key, value in flat(self.settings).items())
        return f"{self.network}, {self.resolution}², batch {self.batch_size}{extra}"

    def config(self) -> TrainConfig:
        """Return the configuration of the training."""
        channels = {"channels": 3, "mean": (0.5,) * 3, "std": (0.5,) * 3}
        own = {"model": self.network, "resolution": self.resolution, "batch_size": self.batch_size}
        return override(load_recipe(RECIPE), {**own, "device": "cpu", "input": channels, **self.settings})


CASES = (
    Case("b0", 224, 16),
    Case("b2", 260, 8),
    Case("b4", 380, 3),
    Case("b0-cifar", 32, 64),
    Case("lite0", 224, 16),
    Case("v2-s", 224, 8),
    Case("mobilenet-v2", 224, 16),
    Case("resnet-18", 224, 32),
    Case("resnet-50", 224, 8),
    Case("b0", 224, 32, {"optim": {"accumulate": 4}}),
    Case("b0", 224, 32, {"checkpoint_stages": True}),
    Case("b2", 260, 16, {"checkpoint_stages": True, "optim": {"accumulate": 2}}),
    Case("b0", 224, 16, {"native": False, "precision": "float32"}),
    Case("b0-cifar", 32, 128, {"optim": {"name": "adamw", "lr": 0.001}}),
    Case("b0-cifar", 32, 32),
    Case("mobilenet-v2", 128, 24),
    Case("resnet-18", 128, 48),
)


class EnoughError(Exception):
    """Ends a training that has shown what it takes."""


def flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings without the names of their groups."""
    inner = {
        key: value for group in settings.values() if isinstance(group, dict) for key, value in group.items()
    }
    return {key: value for key, value in settings.items() if not isinstance(value, dict)} | inner


def built(case: Case) -> tuple[Trainer, Gauge]:
    """Build the trainer of a case on random pixels, and the gauge of its device."""
    config = case.config()
    trainer = ready(parts_of(config, build_spec(config), NUM_CLASSES))
    gauge = gauge_of(torch.device("cpu"))
    if gauge is None:
        raise SystemExit("this system does not let a process read its peak")
    return trainer, gauge


def foreseen(case: Case) -> float:
    """Return what a step is said to take, in bytes."""
    trainer, gauge = built(case)
    probe = Probe(trainer, gauge)
    return probe.need.of(ceil(probe.batch_size / trainer.config.optim.accumulate))


def taken(case: Case) -> float:
    """Return what the first steps of a training take, in bytes."""
    trainer, gauge = built(case)

    def stop(end_of_epoch: bool) -> None:
        if trainer.step == STEPS or end_of_epoch:
            raise EnoughError

    trainer.train.pixels = repeated(trainer, STEPS + 1)
    gauge.reset()
    before = gauge.used()
    try:
        trainer.fit(lambda record: None, lambda record: None, checkpoint=stop)
    except EnoughError:
        return gauge.peak() - before
    raise AssertionError("the training ended by itself")


def repeated(trainer: Trainer, batches: int) -> Any:
    """Return the pixels often enough for so many batches."""
    pixels = trainer.train.pixels
    assert isinstance(pixels, Pixels)
    times = ceil(batches * trainer.train.batch_size / len(pixels))
    names = tuple(f"{time}/{name}" for time in range(times) for name in pixels.names)
    return Pixels(pixels.images.repeat(times, 1, 1, 1), pixels.labels.repeat(times), names)


QUESTIONS: dict[str, Callable[[Case], float]] = {"foreseen": foreseen, "taken": taken}


def answered(case: Case, question: str) -> float:
    """Ask a question about a case in a process of its own."""
    command = [sys.executable, __file__, "--ask", question, str(CASES.index(case))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    arguments = parser().parse_args()
    if arguments.ask:
        question, number = arguments.ask
        with kept_memory(torch.device("cpu")):
            print(QUESTIONS[question](CASES[int(number)]))
        return
    rows: list[dict[str, Any]] = []
    for case in [case for case in CASES if not arguments.only or case.name in arguments.only]:
        figures = {question: answered(case, question) for question in QUESTIONS}
        error = figures["foreseen"] / figures["taken"] - 1
        megabytes = {question: round(value / 1e6, 1) for question, value in figures.items()}
        rows.append({"case": case.name, **megabytes, "error": round(error, 3)})
        print(
            f"{case.name:60} {megabytes['foreseen']:9.1f} {megabytes['taken']:9.1f} {error:+7.1%}", flush=True
        )
    worst = max(abs(row["error"]) for row in rows)
    row = {**recording.stamp(), "machine": cpu_name(), "threads": torch.get_num_threads(), "megabytes": rows}
    if arguments.record:
        recording.append("memory", {**row, "worst": worst, "passed": worst <= BOUND}, arguments.results)
    raise SystemExit(0 if worst <= BOUND else 1)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--only", nargs="*", choices=[case.name for case in CASES])
    made.add_argument("--ask", nargs=2, metavar=("QUESTION", "CASE"), help="what a process of its own does")
    made.add_argument("--results", type=Path, default=recording.RESULTS, help="folder of the record")
    made.add_argument("--no-record", dest="record", action="store_false")
    return made


if __name__ == "__main__":
    main()
