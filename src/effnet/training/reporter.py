"""What a training tells whoever started it: a terminal, a notebook, a search."""

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Protocol


@dataclass(frozen=True)
class StepRecord:
    """State of the training after some optimizer step."""

    epoch: int
    epochs: int
    step: int
    """Optimizer steps done since the start of the training."""
    total_steps: int
    loss: float
    top1: float
    """Accuracy on the last training batches, 0 to 1."""
    lr: float
    images_per_second: float


@dataclass(frozen=True)
class EpochRecord:
    """Result of an epoch; `ema_` is the moving average of the weights, None when it is off."""

    epoch: int
    step: int
    lr: float
    train_loss: float
    train_top1: float
    val_loss: float
    val_top1: float
    ema_val_loss: float | None
    ema_val_top1: float | None
    images_per_second: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; a loss that is no number becomes null."""
        values = asdict(self)
        return {name: value if value is None or isfinite(value) else None for name, value in values.items()}


class Reporter(Protocol):
    """Receives the progress of a training; raising from a method stops it."""

    def message(self, text: str) -> None:
        """Receive one line worth reading."""

    def downloading(self, done: int, total: int | None) -> None:
        """Follow the bytes of a data set that is downloaded; the total may not be known."""

    def reading(self, split: str, done: int, total: int) -> None:
        """Follow the decoding of images."""

    def step(self, record: StepRecord) -> None:
        """Follow the optimizer, a few times a second at most."""

    def epoch(self, record: EpochRecord) -> None:
        """Receive the result of an epoch."""


class Silent:
    """A reporter that says nothing."""

    def message(self, text: str) -> None:
        """Drop the line."""

    def downloading(self, done: int, total: int | None) -> None:
        """Drop the count."""

    def reading(self, split: str, done: int, total: int) -> None:
        """Drop the count."""

    def step(self, record: StepRecord) -> None:
        """Drop the record."""

    def epoch(self, record: EpochRecord) -> None:
        """Drop the record."""
