"""What a check tells whoever started it."""

from collections.abc import Callable
from typing import Protocol

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


class CheckReporter(Protocol):
    """Receives the progress of a check; raising from a method stops it."""

    def message(self, text: str) -> None:
        """Receive one line worth reading."""

    def downloading(self, done: int, total: int | None) -> None:
        """Follow the bytes of a data set that is downloaded; the total may not be known."""

    def working(self, task: str, done: int, total: int) -> None:
        """Follow a task, such as the reading of images."""


class Quiet:
    """A reporter that says nothing."""

    def message(self, text: str) -> None:
        """Drop the line."""

    def downloading(self, done: int, total: int | None) -> None:
        """Drop the count."""

    def working(self, task: str, done: int, total: int) -> None:
        """Drop the count."""
