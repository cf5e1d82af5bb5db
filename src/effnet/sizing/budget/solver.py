"""The search for the largest network within limits: by arithmetic first, then by measuring near the limit."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import partial

from effnet.errors import EffnetError
from effnet.sizing.budget.boundary import last_within
from effnet.sizing.budget.limits import LATENCY, MEASURED, MEMORY, Kind, Limits
from effnet.sizing.budget.measures import Measures
from effnet.sizing.budget.sized import Row
from effnet.spec.solve import Scaled

NEAR = 0.9  # share of a limit from which on a training is timed again
MOST_MOVES = 6  # after that, noise is larger than what distinguishes neighbours
STEPS = (-1.0, -0.5, 0.5, 1.0)  # of φ, from the chosen network to those shown beside it


class Solver:
    """Finds the last of ever larger networks that keeps all limits."""

    def __init__(self, rungs: Sequence[Scaled], limits: Limits, measures: Measures) -> None:
        self.rungs = rungs
        self.limits = limits
        self.measures = measures
        self.limited = tuple(kind for kind in MEASURED if kind in limits.given)

    def solve(self) -> int:
        """Return the place of the largest network within the limits.

        Raises:
            EffnetError: there is none; says what the smallest one costs.

        """
        place = self._last_counted()
        for kind in self.limited:
            value, guess = partial(self._value, kind), partial(self._guess, kind)
            place = self._reached(last_within(self._limit(kind), value, guess, range(place + 1)), kind)
        return self._settled(place)

    def pair(self, place: int) -> list[Row]:
        """Return the network at a place and the next one, with the costs that are limited, and latency."""
        return self._rows([self.rungs[at] for at in self._pair(place)], (LATENCY, *self.limited))

    def around(self, place: int) -> list[Row]:
        """Return these two and some a φ away, smallest first; of training time only if it is limited."""
        phi = self.rungs[place].phi
        away = (self._nearest(phi + step) for step in STEPS)
        shown = [self.rungs[at] for at in sorted({*away, *self._pair(place)})]
        kinds = {*self.limited, LATENCY, MEMORY}
        return self._rows(shown, [kind for kind in kinds if self.measures.can_measure(kind)])

    def _rows(self, rungs: Sequence[Scaled], kinds: Sequence[Kind]) -> list[Row]:
        running = [rung for rung in rungs if self.measures.runs(rung)]
        self.measures.repeat(LATENCY, [rung for rung in running if not self.measures.is_timed(rung)])
        return [self._row(rung, kinds) for rung in running]

    def _row(self, rung: Scaled, kinds: Sequence[Kind]) -> Row:
        costs = self.measures.costs(rung, kinds)
        latency = self.measures.timer.latency(rung.spec)
        return Row(rung.phi, rung.spec, costs, latency, self.limits.broken_by(costs))

    def _nearest(self, phi: float) -> int:
        return min(range(len(self.rungs)), key=lambda place: abs(self.rungs[place].phi - phi))

    def _pair(self, place: int) -> range:
        """Return a place and the next one, where there is one."""
        return range(place, min(place + 2, len(self.rungs)))

    def _limit(self, kind: Kind) -> float:
        limit = self.limits.of(kind)
        assert limit is not None  # it is one of those given
        return limit

    def _value(self, kind: Kind, place: int) -> float:
        return self.measures.value(kind, self.rungs[place])

    def _guess(self, kind: Kind, place: int) -> float:
        return self.measures.guess(kind, self.rungs[place])

    def _broken(self, place: int) -> tuple[Kind, ...]:
        """Return the limits that a network exceeds by arithmetic alone."""
        return self.limits.broken_by(self.measures.counts(self.rungs[place]))

    def _last_counted(self) -> int:
        """Return the last place within the limits that need no measuring: these costs only ever rise."""
        places = range(len(self.rungs))
        broken = bisect_left(places, True, key=lambda place: bool(self._broken(place)))
        return self._reached(broken - 1 if broken else None, *self._broken(0))

    def _reached(self, place: int | None, *kinds: Kind) -> int:
        """Return the place.

        Raises:
            EffnetError: there is none, since not even the smallest network keeps limits of these kinds.

        """
        if place is not None:
            return place
        smallest = self.rungs[0]
        costs = self.measures.costs(smallest, [kind for kind in kinds if kind.measured])
        spent = " and ".join(kind.write(costs[kind.cost] or 0.0) for kind in kinds)
        limits = " and ".join(f"{kind.flag} {self._limit(kind):g}" for kind in kinds)
        side = smallest.spec.resolution
        raise EffnetError(
            f"{limits} cannot be reached: the smallest network, φ = {smallest.phi:g} at {side}×{side} "
            f"pixels, takes {spent}; raise the limit, or start from another base or resolution"
        )

    def _settled(self, place: int) -> int:
        """Decide between neighbours by measuring them in turns, so that a mood of the machine does not."""
        for _ in range(MOST_MOVES):
            pair = self._pair(place)
            for kind in self.limited:
                if kind is LATENCY or self._value(kind, place) > NEAR * self._limit(kind):
                    self.measures.repeat(kind, [self.rungs[at] for at in pair])
            if len(pair) > 1 and self._keeps(place + 1):
                place += 1
            elif self._keeps(place):
                return place
            else:
                place = self._below(place)
        self.measures.say(
            "warning: times vary more than neighbouring networks differ; a free machine decides more surely"
        )
        while not self._keeps(place):
            place = self._below(place)
        return place

    def _below(self, place: int) -> int:
        """Return the place before one whose measured costs break limits."""
        return self._reached(place - 1 if place else None, *self._exceeded(place))

    def _exceeded(self, place: int) -> Iterator[Kind]:
        return (kind for kind in self.limited if self._value(kind, place) > self._limit(kind))

    def _keeps(self, place: int) -> bool:
        """Tell whether a network keeps all limits; no more is measured than that needs."""
        return not self._broken(place) and not any(self._exceeded(place))
