"""A model of latency: learned from a few networks, slice by slice, it foretells that of any other.

The time of a slice is a sum of what it has to do (`Slice.work`), times rates that depend on its kind alone.
Weights count twice: once in any case, and once more as far as they come from memory, since a network with
more weights than a cache holds has lost them by the next run. The rates are fitted to calibration networks
that are run with a clock at every layer, without negative ones, for the smallest relative error. A network
takes the sum of its slices, times a factor that makes up for what the clocks change. docs/decisions/0010 says
why slices and not blocks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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


CACHES: tuple[float, ...] = tuple(2.0**power for power in range(17, 26))
"""Weights that a cache may hold, to choose from: 0.5 MB to 128 MB."""


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
    cache: float
    """Weights that a cache seems to hold from one run to the next."""
    batch: int
    """Images that are predicted at once."""

    def seconds(self, spec: NetSpec, num_classes: int) -> float:
        """Foretell the seconds that a network takes for a batch."""
        parts = tuple(slices(spec, num_classes))
        work = works(parts, self.cache, self.batch)
        rates = [self.rates[self._nearest(part.kind)] for part in parts]
        return self.factor * float(np.sum(np.array(rates) * work))

    def _nearest(self, kind: str) -> str:
        """Return a kind that was learned: of an unknown kernel size, the most similar one."""
        if kind in self.rates:
            return kind
        size = int(kind.rpartition(" ")[2])
        known = [name for name in self.rates if name.startswith("depthwise")]
        return min(known, key=lambda name: abs(int(name.rpartition(" ")[2]) - size))


def works(parts: Sequence[Slice], cache: float, batch: int) -> Floats:
    """Return what the time of each slice of a network depends on, `(slices, 6)`.

    That is `Slice.work`, and the weights that have to come from memory. With weights for several caches each
    run pushes out what the next one needs first; a share of `cache / all weights` is taken to stay.
    """
    every = sum(part.layer.weights for part in parts)
    cold = max(0.0, 1.0 - cache / every)
    return np.array([(*part.work(batch), cold * part.layer.weights) for part in parts])


def learn(networks: Sequence[NetSpec], profiles: Sequence[Profile], batch: int) -> LatencyModel:
    """Fit a model to networks that were run; the size of the cache is the one that fits them best."""
    models = [_learn(networks, profiles, cache, batch) for cache in CACHES]
    return min(models, key=lambda model: _misfit(model, networks, profiles))


def _learn(
    networks: Sequence[NetSpec], profiles: Sequence[Profile], cache: float, batch: int
) -> LatencyModel:
    work: dict[str, list[Floats]] = {}
    seconds: dict[str, list[float]] = {}
    for spec, profile in zip(networks, profiles, strict=True):
        parts = tuple(slices(spec, NUM_CLASSES))
        rows = works(parts, cache, batch)
        for part, row, taken in zip(parts, rows, profile.slices, strict=True):
            work.setdefault(part.kind, []).append(row)
            seconds.setdefault(part.kind, []).append(taken)
    rates = {kind: fit(np.array(work[kind]), np.array(seconds[kind])) for kind in work}
    raw = LatencyModel(rates, 1.0, cache, batch)
    return replace(raw, factor=median(_ratios(raw, networks, profiles)))


def _ratios(model: LatencyModel, networks: Sequence[NetSpec], profiles: Sequence[Profile]) -> list[float]:
    """Return how many times as long each network took as the model says."""
    return [p.whole / model.seconds(spec, NUM_CLASSES) for spec, p in zip(networks, profiles, strict=True)]


def _misfit(model: LatencyModel, networks: Sequence[NetSpec], profiles: Sequence[Profile]) -> float:
    return float(np.mean(np.log(_ratios(model, networks, profiles)) ** 2))


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
