"""How long many trials will take, foreseen from a few timed steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

from effnet.config import TrainConfig
from effnet.data.datasets import DataSet
from effnet.data.stream import released
from effnet.device import kept_memory
from effnet.spec.cost import cost
from effnet.spec.netspec import NetSpec
from effnet.training.duration import measure
from effnet.training.parts import Parts, assemble, build_trainer
from effnet.training.reporter import Reporter

MEASURE_SECONDS = 1.0
START_SECONDS = 2.0  # of each training: reading, the first steps, measuring memory


@dataclass(frozen=True)
class Load:
    """What a training will have to do."""

    macs: int
    """Multiply-adds of one image."""
    steps: int
    judged: int
    """Images that are evaluated, over all epochs."""
    limit: float
    """Seconds that it may take; infinite without `max_minutes`."""


@dataclass(frozen=True)
class Pace:
    """How long a network takes on this machine, measured."""

    macs: int
    step_seconds: float
    image_seconds: float
    """Of evaluating one image."""

    def seconds(self, load: Load) -> float:
        """Return the time of a training of this very network."""
        needed = START_SECONDS + load.steps * self.step_seconds + load.judged * self.image_seconds
        return min(needed, load.limit)


def load_of(parts: Parts) -> Load:
    """Count what a training will have to do."""
    config, num_train = parts.config, len(parts.splits.train)
    validations = config.epochs * (2 if config.optim.ema_decay else 1)
    return Load(
        macs=cost(parts.spec, len(parts.dataset.class_names)).macs,
        steps=config.epochs * (num_train // min(config.batch_size, num_train)),
        judged=validations * len(parts.splits.val),
        limit=inf if config.max_minutes is None else 60 * config.max_minutes,
    )


def time_network(dataset: DataSet, config: TrainConfig, spec: NetSpec, reporter: Reporter) -> Pace:
    """Measure a training step and an evaluation; nothing of it is kept."""
    parts = assemble(dataset, config, spec)
    with kept_memory(parts.device):
        trainer = build_trainer(parts, reporter)
        with released(trainer.train.pixels, trainer.val.pixels):
            step_seconds, image_seconds = measure(trainer, MEASURE_SECONDS)
    return Pace(load_of(parts).macs, step_seconds, image_seconds)


def forecast_seconds(loads: Sequence[Load], paces: Sequence[Pace]) -> float:
    """Return the seconds that trainings will take one after the other.

    Args:
        loads: one a training.
        paces: of one network at least, better of the cheapest and the dearest: in between time is taken to
            follow a power of the MACs, and beyond them to be proportional.

    """
    return sum(pace_at(load.macs, paces).seconds(load) for load in loads)


def pace_at(macs: int, paces: Sequence[Pace]) -> Pace:
    """Return how long a network of so many MACs is expected to take."""
    ordered = sorted(paces, key=lambda pace: pace.macs)
    least, most = ordered[0], ordered[-1]
    if macs <= least.macs or least.macs == most.macs:
        return _proportional(least, macs)
    if macs >= most.macs:
        return _proportional(most, macs)
    share = log(macs / least.macs) / log(most.macs / least.macs)

    def between(low: float, high: float) -> float:
        return float(low ** (1 - share) * high**share)

    return Pace(
        macs,
        between(least.step_seconds, most.step_seconds),
        between(least.image_seconds, most.image_seconds),
    )


def _proportional(pace: Pace, macs: int) -> Pace:
    factor = macs / pace.macs
    return Pace(macs, pace.step_seconds * factor, pace.image_seconds * factor)
