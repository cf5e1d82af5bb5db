"""A model of latency: learned from a few networks, slice by slice, it foretells that of any other.

The time of a slice is a sum of what it has to do (`Slice.work`), times rates that depend on its kind alone.
They are fitted to calibration networks that are run with a clock at every layer, without negative ones, for
the smallest relative error. A network takes the sum of its slices, times a factor that makes up for what the
clocks change. docs/decisions/0010 says why slices and not blocks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from effnet.sizing.budget.slices import Slice, slices
from effnet.spec.cost import cost
from effnet.spec.families import B0, B0_CIFAR, QUICK_CIFAR
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import scale

Floats = NDArray[np.float64]

NUM_CLASSES = 1000  # of the networks that are learned from

CALIBRATION: tuple[NetSpec, ...] = (
    scale(B0_CIFAR, -5),
    scale(B0, -7),
    QUICK_CIFAR,
    scale(B0, -4),
    B0_CIFAR,
    scale(QUICK_CIFAR, 6),
    scale(B0, -1),
    scale(B0, 1),
)
"""Networks to learn from, from cheap to dear: small and large maps, narrow and wide, fused blocks too."""


@dataclass(frozen=True)
class Profile:
    """Seconds of a network, over many runs: of each slice, and of the whole without clocks in it."""

    slices: tuple[float, ...]
    whole: float


@dataclass(frozen=True)
class LatencyModel:
    """Rates of each kind of slice, in seconds for each unit of work."""

    rates: Mapping[str, tuple[float, ...]]
    factor: float
    batch: int
    """Images that are predicted at once."""

    def seconds(self, spec: NetSpec, num_classes: int) -> float:
        """Foretell the seconds that a network takes for a batch."""
        return self.factor * sum(self._slice(part) for part in slices(spec, num_classes))

    def _slice(self, part: Slice) -> float:
        return float(np.dot(self.rates[self._nearest(part.kind)], part.work(self.batch)))

    def _nearest(self, kind: str) -> str:
        """Return a kind that was learned: of an unknown kernel size, the most similar one."""
        if kind in self.rates:
            return kind
        size = int(kind.rpartition(" ")[2])
        known = [name for name in self.rates if name.startswith("depthwise")]
        return min(known, key=lambda name: abs(int(name.rpartition(" ")[2]) - size))


def learn(networks: Sequence[NetSpec], profiles: Sequence[Profile], batch: int) -> LatencyModel:
    """Fit a model to networks that were run."""
    work: dict[str, list[tuple[float, ...]]] = {}
    seconds: dict[str, list[float]] = {}
    for spec, profile in zip(networks, profiles, strict=True):
        for part, taken in zip(slices(spec, NUM_CLASSES), profile.slices, strict=True):
            work.setdefault(part.kind, []).append(part.work(batch))
            seconds.setdefault(part.kind, []).append(taken)
    rates = {kind: fit(np.array(work[kind]), np.array(seconds[kind])) for kind in work}
    raw = LatencyModel(rates, 1.0, batch)
    ratios = [
        profile.whole / raw.seconds(spec, NUM_CLASSES)
        for spec, profile in zip(networks, profiles, strict=True)
    ]
    return LatencyModel(rates, median(ratios), batch)


def fit(work: Floats, seconds: Floats) -> tuple[float, ...]:
    """Return rates ≥ 0 with the smallest squared relative error; `work (N, features)`, `seconds (N,)`."""
    from scipy.optimize import nnls

    scales = work.max(axis=0)
    scales[scales == 0.0] = 1.0
    scaled, _ = nnls(work / scales / seconds[:, None], np.ones_like(seconds))
    return tuple((scaled / scales).tolist())


def by_macs(
    networks: Sequence[NetSpec], profiles: Sequence[Profile], batch: int
) -> Callable[[NetSpec, int], float]:
    """Return what MACs alone foretell: a line through the same networks, fitted the same way."""

    def work(spec: NetSpec, num_classes: int) -> tuple[float, float]:
        return 1.0, float(cost(spec, num_classes).macs * batch)

    wholes = np.array([profile.whole for profile in profiles])
    rates = fit(np.array([work(spec, NUM_CLASSES) for spec in networks]), wholes)
    return lambda spec, num_classes: float(np.dot(rates, work(spec, num_classes)))
