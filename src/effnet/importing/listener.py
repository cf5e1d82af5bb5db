"""What an import tells whoever started it."""

from typing import Protocol


class Listener(Protocol):
    """Receives the progress of an import; raising from a method stops it, and no file is written."""

    def message(self, text: str) -> None:
        """Receive one line worth reading."""

    def downloading(self, done: int, total: int | None) -> None:
        """Follow the bytes of a file that is downloaded; the total may not be known."""


class Quiet:
    """A listener that says nothing."""

    def message(self, text: str) -> None:
        """Drop the line."""

    def downloading(self, done: int, total: int | None) -> None:
        """Drop the count."""
