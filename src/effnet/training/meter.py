"""Means of loss and accuracy over the batches of an epoch."""

from math import nan
from time import perf_counter

import torch
from torch import Tensor

REPORT_SECONDS = 0.25


class Meter:
    """Means of loss and accuracy over an epoch; waits for the device only when asked for numbers."""

    def __init__(
        self, losses: Tensor | None = None, hits: Tensor | None = None, seconds: float = 0.0
    ) -> None:
        """Start an epoch, or go on with one: per batch its loss and accuracy so far, and the time it took."""
        self.losses = [] if losses is None else list(losses.unbind())
        self.hits = [] if hits is None else list(hits.unbind())
        self.seconds_before = seconds
        self.start()

    def start(self) -> None:
        """Start the clock: what was done since the meter was made does not count."""
        self.started = perf_counter() - self.seconds_before
        self.reported = perf_counter()

    def add(self, loss: Tensor, hits: Tensor) -> None:
        """Take in a batch: its `loss ()`, and which share of it was answered rightly, `()`."""
        self.losses.append(loss)
        self.hits.append(hits)

    @property
    def is_due(self) -> bool:
        """Whether it is time for a report; asking restarts the clock when it is."""
        now = perf_counter()
        due = bool(self.losses) and now - self.reported >= REPORT_SECONDS
        self.reported = now if due else self.reported
        return due

    def seconds(self) -> float:
        """Seconds spent on the epoch."""
        return perf_counter() - self.started

    def steps_per_second(self) -> float:
        """Batches per second over the epoch."""
        return len(self.losses) / self.seconds()

    def means(self, last: int = 0) -> tuple[float, float]:
        """Mean loss and accuracy over the last batches, or over all; no numbers where there are none."""
        if not self.losses:
            return nan, nan
        losses, hits = torch.stack(self.losses[-last:]), torch.stack(self.hits[-last:])
        return losses.mean().item(), hits.mean().item()


def share_right(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the accuracy `()` of `logits (N, K)` against `labels (N,)` or `(N, K)`, from 0 to 1."""
    return (logits.argmax(1) == likeliest(labels)).float().mean()


def likeliest(labels: Tensor) -> Tensor:
    """Return class indices `(N,)` of labels that are indices `(N,)` or probabilities `(N, K)`."""
    return labels if labels.ndim == 1 else labels.argmax(1)
