"""The other way round: not what a φ costs, but which φ comes to a cost."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from math import log

from effnet.errors import UsageError
from effnet.spec.cost import cost
from effnet.spec.families import get_spec
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import MAX_PHI, Coefficients, scale

STEPS_PER_PHI = 100


@dataclass(frozen=True)
class Scaled:
    """A network and the φ that makes it of its base."""

    phi: float
    spec: NetSpec


def ladder(
    network: str | NetSpec, coefficients: Coefficients, low: float = -MAX_PHI, high: float = MAX_PHI
) -> tuple[Scaled, ...]:
    """Return every network that scaling makes between two φ, smallest first, in steps of 0.01.

    Rounding gives many φ the same network: each comes once, at the φ nearest to 0 that makes it. They differ
    in depth, width or resolution, not in dropout alone.

    Raises:
        UsageError: unknown network, or `low` and `high` are not -12 ≤ low ≤ high ≤ 12.

    """
    base = get_spec(network)
    if not -MAX_PHI <= low <= high <= MAX_PHI:
        raise UsageError(
            f"phi from {low:g} to {high:g}: must be two numbers from {-MAX_PHI:g} to {MAX_PHI:g}"
        )
    steps = range(round(low * STEPS_PER_PHI), round(high * STEPS_PER_PHI) + 1)
    every = (Scaled(step / STEPS_PER_PHI, scale(base, step / STEPS_PER_PHI, coefficients)) for step in steps)
    return tuple(_distinct(every))


def _distinct(every: Iterator[Scaled]) -> Iterator[Scaled]:
    for _, same in groupby(every, key=lambda scaled: shape(scaled.spec)):
        yield min(same, key=lambda scaled: abs(scaled.phi))


def shape(spec: NetSpec) -> NetSpec:
    """Return what of a network decides its cost: all but name and regularisation."""
    return replace(spec, name="shape", dropout=0.0, drop_path=0.0)


def nearest(rungs: tuple[Scaled, ...], macs: float, num_classes: int) -> Scaled:
    """Return the network of a ladder whose MACs come nearest to a number, as a ratio."""
    return min(rungs, key=lambda rung: abs(log(cost(rung.spec, num_classes).macs / macs)))
