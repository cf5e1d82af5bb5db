"""Stopping in order: Ctrl-C, SIGTERM and SIGUSR1 are heard between two steps, then the state is saved."""

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

    is_common = True

    def __init__(self, number: int, step: int, folder: Path, seconds: float | None = None) -> None:
        """Say so; `seconds` is how long after the signal the state was saved."""
        name = signal.Signals(number).name
        saved = "" if seconds is None else f" (its state was saved {seconds:.1f} s after the signal)"
        super().__init__(
            f"stopped by {name} after step {step}{saved}; go on with: {state.resume_command(folder)}"
        )
        self.number, self.step = number, step
        self.exit_code = 128 + number


class Interrupts:
    """Turns the first signal into a wish to stop; the second one stops at once.

    Where signals are `repeated`, as a launcher does that passes on what its processes have heard already, the
    second one means nothing: who starts processes ends those that take too long.
    """

    def __init__(self, *, repeated: bool = False) -> None:
        self.repeated = repeated
        self.received: int | None = None
        self.heard = 0.0
        """Moment of the first signal, by `perf_counter`."""
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
        if self.received is None:
            self.received, self.heard = number, perf_counter()
        elif not self.repeated:
            raise KeyboardInterrupt


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
        """Save if it is time; raise if the run, or any process of its group, was asked to stop.

        Raises:
            InterruptedTrainingError: after a signal; the state is saved.

        """
        asked = self.asked()
        if end_of_epoch or asked or perf_counter() - self.saved > self.save_seconds:
            self.save()
        self.stop(asked)

    def heed(self) -> None:
        """Stop if a signal asked for it; the state was saved before."""
        self.stop(self.asked())

    def asked(self) -> int:
        """Return the signal that asks to stop, 0 if none does: for all processes in the same step."""
        return self.trainer.group.most(self.interrupts.received or 0)

    def save(self) -> None:
        """Save the state, which is the same in all processes."""
        if self.trainer.group.is_first:
            state.save(self.folder, capture(self.trainer, self.about()))
        self.saved = perf_counter()

    def stop(self, number: int) -> None:
        """Stop if a signal asked for it."""
        if number:
            heard = self.interrupts.heard
            seconds = perf_counter() - heard if heard else None  # another process may have heard it
            raise InterruptedTrainingError(number, self.trainer.step, self.folder, seconds)
