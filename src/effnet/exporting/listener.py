"""What an export tells whoever started it."""

from typing import Protocol

from effnet.data import reporter
from effnet.data.reporter import WorkReporter


class Listener(WorkReporter, Protocol):
    """Receives the progress of an export; raising from a method stops it, and no file is written."""

    def reading(self, split: str, done: int, total: int) -> None:
        """Follow the decoding of images."""


class Quiet(reporter.Quiet):
    """A listener that says nothing."""

    def reading(self, split: str, done: int, total: int) -> None:
        """Drop the count."""
