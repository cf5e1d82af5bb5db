"""Many trials one after the other: kept, shared with other processes, and stopped in order."""

import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep

from effnet.config import TrainConfig
from effnet.data.datasets import DataSet
from effnet.errors import DataError, EffnetError, UsageError
from effnet.sizing.trial import OUTCOME_FILE, Outcome, run_trial
from effnet.training.folder import FolderInUseError
from effnet.training.interrupt import InterruptedTrainingError, Interrupts
from effnet.training.reporter import EpochRecord, Reporter, StepRecord

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Trial:
    """A trial to do."""

    key: str
    """Name of its folder; the same key is the same trial."""
    label: str
    config: TrainConfig

    def __str__(self) -> str:
        return self.label


class StoppedError(Exception):
    """Asked to stop, in order: what was done is kept, and a training in the middle can go on."""

    def __init__(self, number: int | None) -> None:
        """Say which signal asked; None if the time was up."""
        super().__init__("stopped")
        self.number = number


class Watch:
    """The reporter of many trainings: passes on what matters of each, and stops them when asked to.

    A signal is heard by the training, which saves its state, and outside of its loop by `interrupts`, which
    passes it on. When the time is up, the training is asked in the same way.
    """

    def __init__(self, reporter: Reporter, interrupts: Interrupts, minutes: float | None) -> None:
        """Stop after so many minutes from now; without them, only when a signal asks."""
        self.reporter = reporter
        self.interrupts = interrupts
        self.deadline = float("inf") if minutes is None else perf_counter() + 60 * minutes
        self.said: set[str] = set()
        self.has_asked = False

    @property
    def is_late(self) -> bool:
        """Whether the time is up."""
        return perf_counter() > self.deadline

    def heed_signal(self) -> None:
        """Stop here if a signal asked for it.

        Raises:
            StoppedError: one did.

        """
        if self.interrupts.received is not None:
            raise StoppedError(self.interrupts.received)

    def heed(self) -> None:
        """Stop here, between two trainings, if a signal or the time asks for it.

        Raises:
            StoppedError: it does.

        """
        self.heed_signal()
        if self.is_late:
            raise StoppedError(None)

    def say(self, text: str) -> None:
        """Print a line about the trials as a whole."""
        self.reporter.message(text)

    def message(self, text: str) -> None:
        """Pass a warning on, once; what each training says of itself is too much."""
        if text.startswith(("warning", "skipped")) and text not in self.said:
            self.said.add(text)
            self.reporter.message(text)

    def downloading(self, done: int, total: int | None) -> None:
        """Follow a download."""
        self.reporter.downloading(done, total)

    def reading(self, split: str, done: int, total: int) -> None:
        """Follow the decoding of images."""
        self.heed_signal()  # a training in its loop hears it first
        self.reporter.reading(split, done, total)

    def step(self, record: StepRecord) -> None:
        """Follow the optimizer."""
        self.reporter.step(record)
        self.ask()

    def epoch(self, record: EpochRecord) -> None:
        """Drop the record: it is kept with the trial. Epochs may be too short for reports of steps."""
        self.ask()

    def ask(self) -> None:
        """Ask the training that is in its loop to save its state and stop, if it should."""
        heard, late = self.interrupts.received, self.is_late
        # The handler of a training stands in the main thread; elsewhere it is stopped after its end.
        if (heard or late) and not self.has_asked and threading.current_thread() is threading.main_thread():
            self.has_asked = True
            signal.raise_signal(heard or signal.SIGINT)

    def stopped(self, error: InterruptedTrainingError) -> StoppedError:
        """Return what stopped a training: a signal, or the time."""
        by_time = self.has_asked and self.interrupts.received is None
        return StoppedError(None if by_time else error.exit_code - 128)


def is_done(trial: Trial, store: Path) -> bool:
    """Tell whether a trial was finished before."""
    return (store / trial.key / OUTCOME_FILE).exists()


def carry_out(
    trials: Sequence[Trial], dataset: DataSet, store: Path, watch: Watch
) -> Iterator[tuple[Trial, Outcome | EffnetError]]:
    """Yield the outcome of each trial, in their order; what another process works on comes when it is done.

    A training that fails on its own, by a loss that is not finite or want of memory, yields its error: others
    may still succeed.

    Raises:
        StoppedError: by a signal, or the time was up.
        UsageError, DataError: what all trials have in common is wrong.

    """
    waiting = list(trials)
    while waiting:
        busy = []
        for trial in waiting:
            watch.heed()
            result = _attempt(trial, dataset, store, watch)
            if isinstance(result, FolderInUseError):
                busy.append(trial)
            else:
                yield trial, result
        if len(busy) == len(waiting):
            sleep(POLL_SECONDS)
        elif busy:
            watch.say(f"waiting for another process: {len(busy)} left")
        waiting = busy


def _attempt(trial: Trial, dataset: DataSet, store: Path, watch: Watch) -> Outcome | EffnetError:
    try:
        return run_trial(dataset, trial.config, store, watch)
    except InterruptedTrainingError as error:
        raise watch.stopped(error) from None
    except (UsageError, DataError):
        raise
    except EffnetError as error:
        return error
