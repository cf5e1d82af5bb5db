"""From parts to a trained network: read, fit into memory and time, loop. No test image is read."""

from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from effnet import config as configuration
from effnet.data.pixels import PixelFormat
from effnet.data.stream import released
from effnet.errors import UsageError
from effnet.spec import netspec
from effnet.spec.netspec import NetSpec
from effnet.training.compute import announce_compute
from effnet.training.duration import decode_seconds, limit
from effnet.training.duration import describe as describe_limit
from effnet.training.forecast import Forecast
from effnet.training.group import ALONE
from effnet.training.interrupt import Checkpointer, Interrupts
from effnet.training.loop import Trainer
from effnet.training.memory import MemoryGuard
from effnet.training.parts import Parts, announce, build_trainer
from effnet.training.record import NO_LOG, MetricsLog
from effnet.training.reporter import EpochRecord, Reporter
from effnet.training.snapshot import restore
from effnet.training.state import State


@dataclass(frozen=True)
class Job:
    """A training to do: of what, where, and who is told."""

    parts: Parts
    folder: Path
    reporter: Reporter
    started: float
    """Moment, by `perf_counter`, at which it began, less the time before a resume."""
    num_test: int
    """Images that will be tested after it, within `max_minutes`."""


def fit(job: Job, state: State | None) -> Trainer:
    """Train to the end, from the start or from a state; the trainer holds the best weights and the records.

    Raises:
        InterruptedTrainingError: stopped by a signal; the state is saved.

    """
    parts, reporter = job.parts, job.reporter
    announce(reporter, parts)
    if state is not None:
        reporter.message(f"going on after step {state.info['step']}")
    trainer = build_trainer(parts, reporter, {} if state is None else state.info["storage"])
    announce_compute(reporter, trainer.compute, None if state is None else state.info.get("compute"))
    pixels = trainer.train.pixels, trainer.val.pixels
    with trainer.group.watched(), released(*pixels), MemoryGuard(trainer, job.folder) as guard:
        config = guard.prepare(reporter, may_choose=state is None)
        check_pieces(trainer, parts.spec)
        if state is not None:
            restore(trainer, state)
        elif config.max_minutes is not None:
            read_seconds = decode_seconds(
                parts.splits.val, PixelFormat(parts.preprocess, parts.spec.resolution)
            )
            fits = limit(
                trainer, job.started, config.max_minutes, num_test=job.num_test, read_seconds=read_seconds
            )
            reporter.message(describe_limit(trainer.horizon, config.max_minutes, fits=fits))
        loop(trainer, replace(job, parts=replace(parts, config=config)))
    return trainer


def check_pieces(trainer: Trainer, spec: NetSpec) -> None:
    """Refuse pieces that batch normalisation cannot learn from.

    Raises:
        UsageError: a piece is one image, and its last feature map one cell: one value has no variance.

    """
    batch_size, pieces = trainer.train.batch_size, trainer.config.optim.accumulate
    batch_size //= trainer.group.share.size
    if spec.feature_size == 1 and batch_size // pieces <= 1:
        raise UsageError(
            f"batch_size = {batch_size} and optim.accumulate = {pieces} leave a piece of one image, with "
            f"a last feature map of 1×1 at {spec.resolution} pixels: batch normalisation cannot learn from "
            f"one value; take a larger batch_size, a smaller optim.accumulate or a larger resolution"
        )


def loop(trainer: Trainer, job: Job) -> None:
    """Run the loop, saving states; of several processes, only the first one writes and reports."""
    parts, reporter = job.parts, job.reporter
    about = {
        "config": configuration.to_dict(parts.config),
        "source": parts.dataset.source,
        "fingerprint": parts.dataset.fingerprint(),
        "spec": netspec.to_dict(parts.spec),
        "asked": dict(parts.asked),
        "sizing": dict(parts.sizing),
        "ancestry": dict(parts.ancestry),
        "storage": {"train": trainer.train.pixels.storage, "val": trainer.val.pixels.storage},
    }
    log = MetricsLog(job.folder, trainer.records) if trainer.group.is_first else NO_LOG

    def on_epoch(record: EpochRecord) -> None:
        log.append(record)
        reporter.epoch(record)

    def work(step: int) -> float:
        return trainer.course.work(step, trainer.horizon, [lesson.pixels for lesson in trainer.lessons])

    with Interrupts(repeated=trainer.group is not ALONE) as interrupts:
        checkpointer = Checkpointer(
            trainer, job.folder, interrupts, lambda: {**about, "seconds": perf_counter() - job.started}
        )
        trainer.fit(Forecast(reporter, work).step, on_epoch, checkpoint=checkpointer)
        checkpointer.heed()
