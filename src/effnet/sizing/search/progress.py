"""What a search tells whoever started it: how far it is, and all that its trainings tell."""

from dataclasses import dataclass
from typing import Protocol

from effnet.training.reporter import Reporter, Silent


@dataclass(frozen=True)
class Progress:
    """How far a search is."""

    done: int
    """Trials that need no more work."""
    total: int
    others: int
    """Trials that other workers have."""
    seconds_left: float | None
    """None before the first trial is done."""
    now: str
    """What this worker does."""


class SearchReporter(Reporter, Protocol):
    """Receives the progress of a search, and of the training that runs."""

    def trials(self, progress: Progress) -> None:
        """Follow the trials."""


class SilentSearch(Silent):
    """A reporter that says nothing."""

    def trials(self, progress: Progress) -> None:
        """Drop the progress."""
