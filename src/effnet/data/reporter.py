"""Who follows work on a data set."""

from typing import Protocol


class WorkReporter(Protocol):
    """Receives the progress; raising from a method stops the work."""

    def message(self, text: str) -> None:
        """Receive one line worth reading."""

    def downloading(self, done: int, total: int | None) -> None:
        """Follow the bytes of a data set that is downloaded; the total may not be known."""

    def working(self, what: str, done: int, total: int) -> None:
        """Follow a piece of work, such as the reading of images."""


class Quiet:
    """A reporter that says nothing."""

    def message(self, text: str) -> None:
        """Drop the line."""

    def downloading(self, done: int, total: int | None) -> None:
        """Drop the count."""

    def working(self, what: str, done: int, total: int) -> None:
        """Drop the count."""
