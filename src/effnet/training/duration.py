"""Fitting a training into a time: how many steps it allows, measured here and now."""

from collections.abc import Iterator
from itertools import count, islice
from math import floor
from time import perf_counter

import numpy as np

from effnet.data.datasets import Samples
from effnet.data.loaders import Batch
from effnet.data.pixels import PixelFormat, decode_into, ignore
from effnet.evaluation.metrics import predict_logits
from effnet.training.loop import Trainer
from effnet.training.optim import Horizon
from effnet.training.rehearsal import rehearsal

MEASURE_SHARE = 0.02  # of the time, for measuring
MEASURE_SECONDS = (2.0, 20.0)
WARM_STEPS = 2  # the first steps choose algorithms and fill caches
RESERVE = 0.03  # of the time, for the machine's moods
FINISH_SECONDS = 5.0  # pictures and files
NUM_VAL_BATCHES = 4
NUM_DECODED = 128
TINY_LR = 1e-6


def limit(trainer: Trainer, started: float, minutes: float, *, num_test: int, read_seconds: float) -> bool:
    """Lower the trainer's number of steps to what fits, and set the deadline that holds in any case.

    Returns:
        Whether at least one step fits; one is taken in any case.

    Args:
        trainer: not yet started; it is left as it was, but for `total_steps` and `deadline`.
        started: moment, by `perf_counter`, at which the run began.
        minutes: wall time of the whole run.
        num_test: images that will be tested at the end.
        read_seconds: time to read one of them.

    """
    end = started + minutes * 60 * (1 - RESERVE) - FINISH_SECONDS
    least, most = MEASURE_SECONDS
    step_seconds, image_seconds = measure(trainer, min(most, max(least, minutes * 60 * MEASURE_SHARE)))
    val_seconds = image_seconds * len(trainer.val.pixels) * (1 if trainer.average is None else 2)
    val_seconds /= trainer.group.share.size
    trainer.deadline = end - num_test * (read_seconds + image_seconds) - val_seconds
    left = trainer.deadline - perf_counter()
    fitting = trainer.group.from_first(
        lambda: floor(left / (step_seconds + val_seconds / trainer.train.num_steps))
    )
    trainer.total_steps = max(1, min(trainer.total_steps, fitting))
    return fitting >= 1


def decode_seconds(samples: Samples, form: PixelFormat) -> float:
    """Return the seconds that reading an image takes, measured on a few; what a cache may save is extra."""
    rows = np.linspace(0, len(samples) - 1, min(NUM_DECODED, len(samples))).astype(np.int64)
    images = np.empty((len(rows), *form.shape), np.uint8)
    started = perf_counter()
    decode_into(images, samples.take(rows), np.arange(len(rows)), form=form, on_read=ignore)
    return (perf_counter() - started) / len(rows)


def describe(horizon: Horizon, minutes: float, *, fits: bool) -> str:
    """Say whether the whole training fits into the time, or what of it."""
    allowed = f"{minutes:g} minutes"
    if not fits:
        return f"warning: not even one step fits into {allowed}, with all that surrounds it; one is taken"
    if horizon.total == horizon.planned:
        return f"all {horizon.planned:,} steps fit into {allowed}"
    epochs = horizon.total / horizon.steps_per_epoch
    return (
        f"{horizon.total:,} of {horizon.planned:,} steps fit into {allowed}: {epochs:.1f} epochs, and the "
        f"schedule is fitted to them"
    )


def seconds_of_step(probe: Trainer, batches: Iterator[Batch], seconds: float) -> float:
    """Return the seconds of a training step, measured for about so many seconds.

    Processes of a group take the same steps: as many as the one whose time lasts longest.
    """
    for _ in range(WARM_STEPS):
        probe.update(next(batches), TINY_LR)
    steps, started = 0, perf_counter()
    while steps == 0 or probe.group.most(perf_counter() - started < seconds):
        loss, _ = probe.update(next(batches), TINY_LR)
        loss.item()  # waits for the device
        steps += 1
    return (perf_counter() - started) / steps


def measure(trainer: Trainer, seconds: float) -> tuple[float, float]:
    """Return the seconds of a training step and of evaluating one image, measured on a copy.

    Where phases of the training differ, each is measured, and counts as much as it is of the whole.
    """
    probe = rehearsal(trainer, trainer.config, trainer.compute, group=trainer.group)
    batches = (batch for epoch in count() for batch in trainer.train.epoch(epoch))
    step_seconds, shares = 0.0, probe.course.shares()
    for phase, share in shares.items():
        probe.enter(phase)
        step_seconds += share * seconds_of_step(probe, batches, seconds / len(shares))
    probe.enter(probe.course.last)
    started = perf_counter()
    with probe.compute.autocast():
        logits, _ = predict_logits(probe.network, islice(trainer.val, NUM_VAL_BATCHES))
    return step_seconds, (perf_counter() - started) / len(logits)
