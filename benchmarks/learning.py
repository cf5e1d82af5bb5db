"""One contender learns until its minutes or its images are over; then, and only then, it is measured."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from math import isfinite
from time import monotonic
from typing import Any, Protocol

import torch
from torch import Tensor

from effnet.benching.machine import cpu_name
from effnet.benching.programs import Program
from effnet.cli.progress import TerminalReporter
from effnet.data.datasets import DataSet, Samples, open_dataset
from effnet.data.loaders import Batch, TrainLoader
from effnet.data.randomness import step_seed
from effnet.device import environment, kept_memory
from effnet.evaluation.metrics import predict_logits, top1_and_loss
from effnet.training.guard import diverged
from effnet.training.parts import Parts
from effnet.training.reporter import StepRecord
from learners import Learner, eval_loader, put_together

UNKNOWN = 1_000_000  # steps of a training before its first one is timed: all rates begin at their lowest
REPORT_SECONDS = 0.5
LINES = 10  # of progress, where there is no terminal for a bar


@dataclass(frozen=True)
class Task:
    """What learns."""

    contender: str
    data: str
    flags: tuple[str, ...]
    """Of `effnet train`, over the contender's settings."""
    seed: int
    threads: int
    tested: bool
    """Whether the test part is read, after training."""


class Clock(Protocol):
    """Says how long a training is, and when it is over."""

    def total(self, step: int) -> int:
        """Return how many steps the whole training has, as far as is known before this step."""

    def is_over(self, step: int) -> bool:
        """Tell whether the training has ended, so many steps done."""


@dataclass(frozen=True)
class Counted:
    """A number of steps, however long they take."""

    steps: int

    def total(self, step: int) -> int:
        """Return the number."""
        return self.steps

    def is_over(self, step: int) -> bool:
        """Tell whether all are taken."""
        return step >= self.steps


class Timed:
    """As many steps as fit in before a moment: the share of the training that is done is that of its time."""

    def __init__(self, end: float, now: Callable[[], float] = monotonic) -> None:
        self.now, self.began, self.end = now, now(), end

    def total(self, step: int) -> int:
        """Return how many steps there will be if the others take as long as those done."""
        if step == 0:
            return UNKNOWN
        share = (self.now() - self.began) / (self.end - self.began)
        return max(step + 1, round(step / share))

    def is_over(self, step: int) -> bool:
        """Tell whether another step, as long as those done, would end too late; one is taken in any case."""
        now = self.now()
        return step > 0 and now + (now - self.began) / step > self.end


def batches(loader: TrainLoader) -> Iterator[Batch]:
    """Yield batches, epoch after epoch."""
    return (batch for epoch in count() for batch in loader.epoch(epoch))


def train(learner: Learner, clock: Clock, seed: int, follow: Callable[[StepRecord], None]) -> int:
    """Let a contender learn; return the number of its steps.

    Raises:
        DivergedError: the loss is not finite.

    """
    step, began, told = 0, monotonic(), 0.0
    for batch in batches(learner.loader):
        total = clock.total(step)
        torch.manual_seed(step_seed(seed, step))
        loss, logits = learner.update(batch, step, total)
        step += 1
        is_over = clock.is_over(step)
        if is_over or monotonic() - told > REPORT_SECONDS:
            told = monotonic()
            follow(record_of(learner, (loss, logits, batch[1]), step, total, told - began))
        if is_over:
            break
    learner.finish()
    return step


def record_of(
    learner: Learner, outcome: tuple[Tensor, Tensor, Tensor], step: int, total: int, seconds: float
) -> StepRecord:
    """Describe the moment after a step, by the loss, logits and labels of its batch.

    Raises:
        DivergedError: the loss is not finite.

    """
    loss, rate, size = outcome[0].item(), learner.lr_at(step - 1, total), learner.loader.batch_size
    if not isfinite(loss):
        raise diverged("loss", loss, step, rate)
    steps = learner.loader.num_steps
    top1 = (outcome[1].argmax(1) == outcome[2]).float().mean().item()
    return StepRecord(
        (step - 1) // steps, -(-total // steps), step, total, loss, top1, rate, step * size / seconds
    )


def accuracy(learner: Learner, samples: Samples, parts: Parts) -> float:
    """Return the share of images whose class is found, each seen once, as it is."""
    with learner.autocast():
        return top1_and_loss(*predict_logits(learner.network, eval_loader(samples, parts)))[0]


def learn(task: Task, images: int | None, end: float) -> dict[str, Any]:
    """Train on so many images, or, without a number, until the moment `end`; return what was measured.

    Raises:
        DivergedError: the loss is not finite.

    """
    torch.set_num_threads(task.threads)
    entered = monotonic()
    dataset = open_dataset(task.data)
    with kept_memory(torch.device("cpu")), TerminalReporter(quiet=False) as reporter:
        parts, learner = put_together(dataset, task.contender, task.flags, task.seed)
        size, began = learner.loader.batch_size, monotonic()
        clock = Timed(end) if images is None else Counted(max(1, images // size))
        steps = train(learner, clock, task.seed, follower(reporter))
        seconds = monotonic() - began
        val = accuracy(learner, parts.splits.val, parts)
        test = accuracy(learner, parts.splits.test, parts) if task.tested and parts.splits.test else None
    return {
        "val_top1": val,
        "test_top1": test,
        "images": steps * size,
        "epochs": round(steps / learner.loader.num_steps, 2),
        "steps": steps,
        "batch_size": size,
        "ready_seconds": round(began - entered, 1),
        "step_seconds": round(seconds, 1),
        "images_per_second": round(steps * size / seconds, 1),
        **about(learner),
    }


def about(learner: Learner) -> dict[str, Any]:
    """Say what a contender costs and where it was."""
    made = environment(torch.device("cpu")) | {"cpu": cpu_name()}
    return {"params": learner.params, "macs": learner.macs, "environment": made}


def follower(reporter: TerminalReporter) -> Callable[[StepRecord], None]:
    """Return what shows progress: a bar in a terminal, elsewhere a line now and then."""
    if reporter.console.is_terminal:
        return reporter.step
    shown = set[int]()

    def follow(record: StepRecord) -> None:
        part = LINES * record.step // record.total_steps
        if part not in shown:
            shown.add(part)
            reporter.message(
                f"  step {record.step:,} of {record.total_steps:,}: loss {record.loss:.3f}, "
                f"train {record.top1:.1%}, {record.images_per_second:,.0f} images/s"
            )

    return follow


def warm(data: str) -> None:
    """Let images be decoded into the cache, and kernels be compiled, where that was never done."""
    put_together(open_dataset(data), "ours", (), 0)


def prepare(task: Task) -> tuple[Task, DataSet]:
    """Open the data for a contender whose steps are only timed."""
    torch.set_num_threads(task.threads)
    return task, open_dataset(task.data)


@contextmanager
def stepping(prepared: tuple[Task, DataSet]) -> Iterator[Program]:
    """Take step after step, each on a new batch, at the low rates that a training begins with."""
    task, dataset = prepared
    with kept_memory(torch.device("cpu")):
        _, learner = put_together(dataset, task.contender, task.flags, task.seed)
        given = batches(learner.loader)

        def run() -> int:
            learner.update(next(given), 0, UNKNOWN)[0].item()
            return learner.loader.batch_size

        yield Program(run, lambda images: images)  # nobody asks for logits
