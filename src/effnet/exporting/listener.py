"""What an export tells whoever started it."""

from typing import Protocol


class Listener(Protocol):
    """Receives the progress of an export; raising from a method stops it, and no file is written."""

    def message(self, text: str) -> None:
        """Receive one line worth reading."""

    def downloading(self, done: int, total: int | None) -> None:
        """Follow the bytes of a data set that is downloaded; the total may not be known."""

    def reading(self, split: str, done: int, total: int) -> None:
        """Follow the decoding of images."""

    def working(self, what: str, done: int, total: int) -> None:
        """Follow a piece of work, in steps of about equal length."""


class Quiet:
    """A listener that says nothing."""

    def message(self, text: str) -> None:
        """Drop the line."""

    def downloading(self, done: int, total: int | None) -> None:
        """Drop the count."""

    def reading(self, split: str, done: int, total: int) -> None:
        """Drop the count."""

    def working(self, what: str, done: int, total: int) -> None:
        """Drop the count."""
