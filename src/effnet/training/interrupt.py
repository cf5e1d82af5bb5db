"""Stopping in order: Ctrl-C and SIGTERM are heard between two steps, then the state is saved."""

import signal
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from types import FrameType, TracebackType
from typing import Any

from effnet.data.workers import SIGNALS
from effnet.errors import EffnetError
from effnet.training import state
from effnet.training.loop import Trainer
from effnet.training.snapshot import capture


class InterruptedTrainingError(EffnetError):
    """The training was asked to stop; its state is saved. The exit code is 128 + the signal."""

    def __init__(self, number: int, step: int, folder: Path) -> None:
        name = signal.Signals(number).name
        super().__init__(f"stopped by {name} after step {step}; go on with: {state.resume_command(folder)}")
        self.number, self.step = number, step
        self.exit_code = 128 + number


class Interrupts:
    """Turns the first SIGINT or SIGTERM into a wish to stop; the second one stops at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        try:
            self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        except ValueError:  # not in the main thread: whoever started the thread decides how to stop it
            self._before = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number


class Checkpointer:
    """Saves a trainer's state after every epoch, every few minutes in between, and when asked to stop."""

    def __init__(
        self, trainer: Trainer, folder: Path, interrupts: Interrupts, about: Callable[[], dict[str, Any]]
    ) -> None:
        """Save to `folder`; `about` says of which run the state is."""
        self.trainer = trainer
        self.folder = folder
        self.interrupts = interrupts
        self.about = about
        self.save_seconds = trainer.config.save_minutes * 60
        self.saved = perf_counter()

    def __call__(self, end_of_epoch: bool) -> None:
        """Save if it is time; raise if the run was asked to stop.

        Raises:
            InterruptedTrainingError: after a signal; the state is saved.

        """
        asked = self.interrupts.received is not None
        if end_of_epoch or asked or perf_counter() - self.saved > self.save_seconds:
            state.save(self.folder, capture(self.trainer, self.about()))
            self.saved = perf_counter()
        self.heed()

    def heed(self) -> None:
        """Stop if a signal asked for it; the state was saved before."""
        if self.interrupts.received is not None:
            raise InterruptedTrainingError(self.interrupts.received, self.trainer.step, self.folder)
