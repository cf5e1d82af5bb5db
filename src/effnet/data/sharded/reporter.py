"""Who follows a set of shards as it is written or verified."""

from typing import Protocol


class ShardReporter(Protocol):
    """Receives the progress; raising from a method stops it."""

    def message(self, text: str) -> None:
        """Receive one line worth reading."""

    def downloading(self, done: int, total: int | None) -> None:
        """Follow the bytes of a data set that is downloaded."""

    def working(self, what: str, done: int, total: int) -> None:
        """Follow a piece of work."""


class Quiet:
    """A reporter that says nothing."""

    def message(self, text: str) -> None:
        """Drop the line."""

    def downloading(self, done: int, total: int | None) -> None:
        """Drop the count."""

    def working(self, what: str, done: int, total: int) -> None:
        """Drop the count."""
