"""The last of ever larger networks that keeps a limit, found with few measurements."""

from bisect import bisect_right
from collections.abc import Callable
from math import isfinite


def last_within(
    limit: float, measure: Callable[[int], float], estimate: Callable[[int], float], places: range
) -> int | None:
    """Return the place of the last network that keeps a limit; None if not even the first does.

    The first one measured is the one that the estimates take for the last within. Then, between what is known
    to keep the limit and what is known to break it, the estimates say where to measure next, corrected by the
    last measurement; every third time it is the middle, so that wrong ones cost no more than bisection would.

    Args:
        limit: the most that a measurement may be.
        measure: measures the network at a place; infinite where it cannot run at all.
        estimate: guesses the same, above 0.
        places: of the networks, smallest first; at least one.

    """

    def guess(correction: float) -> int:
        return places[0] - 1 + bisect_right(places, limit, key=lambda place: correction * estimate(place))

    low, high, tries = places[0] - 1, places[-1] + 1, 0
    place = guess(1.0)
    while high - low > 1:
        place = min(max(place, low + 1), high - 1)
        value, tries = measure(place), tries + 1
        low, high = (place, high) if value <= limit else (low, place)
        trusted = isfinite(value) and tries % 3 != 0
        place = guess(value / estimate(place)) if trusted else (low + high) // 2
    return low if low in places else None
