"""The part of a whole that one of several processes works on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """One of `size` parts that lie behind one another and differ by one at most; `rank` counts from 0."""

    rank: int = 0
    size: int = 1

    def of(self, count: int) -> slice:
        """Return which of `count` things are in this part; none may be."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)


WHOLE = Share()
