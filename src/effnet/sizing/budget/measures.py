"""What networks cost: counted, foretold, measured; each measurement is made once and told."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import inf
from statistics import median

from effnet.sizing.budget.latency import Conditions, Timer
from effnet.sizing.budget.limits import LATENCY, MEASURED, MEMORY, MINUTES, Kind
from effnet.spec.cost import cost, layers
from effnet.spec.netspec import NetSpec
from effnet.spec.solve import Scaled
from effnet.training.probe import ERRORS, is_shortage

PROBE_SECONDS = 0.2  # of runs, to find the neighbourhood of a limit
ROUNDS, ROUND_SECONDS = 5, 0.1  # of runs in turns
MINUTES_ROUNDS = 2  # of trainings that are timed in turns

LIBRARY_MB = {"torch": 265.0, "onnxruntime": 75.0}  # first guess of a process without a network
MAPS = 5  # first guess of how many of the largest feature maps are in memory at once
FORWARD_AND_BACKWARD = 3.0  # first guess of what a training step is beside a prediction


@dataclass(frozen=True)
class Gauges:
    """What measures; a test brings its own."""

    timer: Timer
    foretell: Callable[[NetSpec], float]
    """Seconds that a model of latency expects for a batch."""
    memory: Callable[[NetSpec], float] | None = None
    """Bytes that a prediction takes; None where that cannot be measured."""
    minutes: Callable[[Scaled], float] | None = None
    """Minutes of a training, infinite if it does not fit into memory; None without data."""
    num_trained: int = 0
    """Images that a training sees in all its epochs."""


class Measures:
    """The costs of the networks of a ladder, as far as they were asked for."""

    def __init__(self, conditions: Conditions, gauges: Gauges, say: Callable[[str], None]) -> None:
        self.conditions = conditions
        self.gauges = gauges
        self.timer = gauges.timer
        self.say = say
        self.known: dict[tuple[Kind, Scaled], list[float]] = {}
        """Memory and minutes as often as measured; latencies are with the timer."""

    def can_measure(self, kind: Kind) -> bool:
        """Tell whether a kind of cost can be measured here."""
        return {LATENCY: True, MEMORY: bool(self.gauges.memory), MINUTES: bool(self.gauges.minutes)}[kind]

    def counts(self, rung: Scaled) -> dict[str, float | None]:
        """Return the costs that need no measuring; the others are None."""
        counted = cost(rung.spec, self.conditions.num_classes)
        return {**asdict(counted), **{kind.cost: None for kind in MEASURED}}

    def costs(self, rung: Scaled, kinds: Sequence[Kind]) -> dict[str, float | None]:
        """Return what is counted, and what is measured of these kinds."""
        return {**self.counts(rung), **{kind.cost: self.value(kind, rung) for kind in kinds}}

    def value(self, kind: Kind, rung: Scaled) -> float:
        """Return a measured cost, as measured before or now; infinite where the network cannot run."""
        if kind is LATENCY:
            return self._latency_ms(rung)
        if (kind, rung) not in self.known:
            self.known[kind, rung] = [self._memory_mb(rung) if kind is MEMORY else self._minutes(rung)]
            self._tell(kind, rung, *self.known[kind, rung])
        return median(self.known[kind, rung])

    def guess(self, kind: Kind, rung: Scaled) -> float:
        """Foretell a measured cost, well or badly."""
        counted, batch = cost(rung.spec, self.conditions.num_classes), self.conditions.batch
        if kind is MEMORY:
            library = LIBRARY_MB[self.conditions.runtime]
            return library + 4e-6 * (counted.params + MAPS * batch * largest_map(rung.spec))
        seconds = self.gauges.foretell(rung.spec)
        if kind is LATENCY:
            return 1e3 * seconds
        return FORWARD_AND_BACKWARD * seconds / batch * self.gauges.num_trained / 60

    def repeat(self, kind: Kind, rungs: list[Scaled]) -> None:
        """Measure networks several times more, in turns: what disturbs the machine disturbs all of them."""
        if kind is LATENCY:
            specs = [rung.spec for rung in rungs if self.runs(rung)]
            self.timer.measure(specs, ROUND_SECONDS, rounds=ROUNDS)
        elif kind is MINUTES:
            for rung in rungs * MINUTES_ROUNDS:
                self.known.setdefault((kind, rung), []).append(self._minutes(rung))

    def is_timed(self, rung: Scaled) -> bool:
        """Tell whether a network was timed in turns."""
        return len(self.timer.taken.get(rung.spec, ())) >= ROUNDS

    def runs(self, rung: Scaled) -> bool:
        """Tell whether a network finds the memory to predict a batch."""
        try:
            self.timer.run_of(rung.spec)
        except ERRORS as error:
            if not is_shortage(error):
                raise
            return False
        return True

    def _latency_ms(self, rung: Scaled) -> float:
        if rung.spec not in self.timer.taken:
            if not self.runs(rung):
                return inf
            self.timer.measure([rung.spec], PROBE_SECONDS, rounds=1)
            self._tell(LATENCY, rung, 1e3 * self.timer.latency(rung.spec).median)
        return 1e3 * self.timer.latency(rung.spec).median

    def _memory_mb(self, rung: Scaled) -> float:
        assert self.gauges.memory is not None  # asked for only where it can be measured
        return self.gauges.memory(rung.spec) / 1e6

    def _minutes(self, rung: Scaled) -> float:
        assert self.gauges.minutes is not None  # the same
        return self.gauges.minutes(rung)

    def _tell(self, kind: Kind, rung: Scaled, value: float) -> None:
        side = rung.spec.resolution
        self.say(f"φ = {rung.phi:g} at {side}×{side} pixels: {kind.write(value)}")


def largest_map(spec: NetSpec) -> int:
    """Return the elements of the largest feature map that a layer writes, for one image."""
    return max(layer.out_channels * layer.out_size**2 for layer in layers(spec, 1))
