"""How far a measurement of several passes is."""

from collections.abc import Callable
from dataclasses import dataclass

Follow = Callable[[str, int, int], None]
"""Told the condition, how many images are measured in all conditions together, of how many."""


def ignore(title: str, done: int, total: int) -> None:
    """Follow no progress."""


@dataclass(frozen=True)
class Part:
    """Follows one pass of several over the same images."""

    follow: Follow
    title: str
    number: int
    """From 0."""
    num_parts: int

    def __call__(self, done: int, total: int) -> None:
        """Take note of how many images of this pass are measured."""
        self.follow(self.title, self.number * total + done, self.num_parts * total)
