"""The candidates of a search: coefficients whose rounded networks cost the same; none wins by spending."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, dist, log, log2, sqrt

from effnet.errors import UsageError
from effnet.spec.cost import cost
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import Coefficients, scale
from effnet.spec.solve import shape

DOUBLE = 2.0  # equation 3: alpha·beta²·gamma² ≈ 2, so that one unit of φ doubles the cost
NUM_MISSES = 3
DECIMALS = 6
_EXACT = 1e-9

Shares = tuple[float, float, float]
"""How the doubling is shared out between depth, width and resolution; the sum is 1."""


@dataclass(frozen=True)
class Candidate:
    """Coefficients, and the network that they make of the base."""

    coefficients: Coefficients
    spec: NetSpec
    macs: int

    @property
    def name(self) -> str:
        """Its coefficients, as it is called in the study."""
        return name_of(self.coefficients)

    @property
    def label(self) -> str:
        """Its coefficients, for people."""
        by = self.coefficients
        return f"α {by.alpha:g} β {by.beta:g} γ {by.gamma:g}"

    @property
    def shares(self) -> Shares:
        """Its place on the surface alpha·beta²·gamma² = 2, which it is near."""
        by = self.coefficients
        parts = log2(by.alpha), 2 * log2(by.beta), 2 * log2(by.gamma)
        depth, width, resolution = (part / sum(parts) for part in parts)
        return depth, width, resolution


@dataclass(frozen=True)
class Space:
    """What is searched: how the base may be scaled, and what that must cost."""

    base: NetSpec
    phi: float
    num_classes: int
    step: float
    """Distance of two values of a coefficient."""
    tolerance: float
    """How far alpha·beta²·gamma² may be from 2, as a share of it."""
    cost_tolerance: float
    """How far the MACs of the rounded network may be from the target, as a share of it."""

    @cached_property
    def target(self) -> float:
        """MACs that all candidates should have: 2^φ times those of the base.

        It is what φ promises, known before anything is tried, and does not depend on the grid. A candidate
        that rounding made dearer (depth above all: repeats round up) would win by spending.
        """
        return float(DOUBLE**self.phi * cost(self.base, self.num_classes).macs)

    def candidate(self, coefficients: Coefficients) -> Candidate:
        """Scale the base."""
        spec = scale(self.base, self.phi, coefficients)
        return Candidate(coefficients, spec, cost(spec, self.num_classes).macs)

    def ratio(self, candidate: Candidate) -> float:
        """Return the MACs of a candidate over the target."""
        return candidate.macs / self.target


def name_of(coefficients: Coefficients) -> str:
    """Name coefficients, as they are called in the study."""
    return f"{coefficients.alpha:g} {coefficients.beta:g} {coefficients.gamma:g}"


def candidates(space: Space) -> tuple[Candidate, ...]:
    """Return the candidates on a grid, by alpha, beta, gamma.

    Where rounding makes the same network of several points, the one nearest to the surface stands for them.
    The base itself is no candidate.

    Raises:
        UsageError: fewer than two; says which points come nearest, and how to widen the grid.

    """
    check_base(space)
    points = grid(space.step, space.tolerance)
    if len(points) < 2:
        raise _few_points(space, len(points))
    networks = distinct([space.candidate(point) for point in points])
    scaled = [network for network in networks if shape(network.spec) != shape(space.base)]
    if not scaled:
        raise UsageError(
            f"phi = {space.phi:g}: all of the grid rounds to {space.base.name} itself; take a larger --phi"
        )
    fair = tuple(each for each in scaled if abs(space.ratio(each) - 1) <= space.cost_tolerance + _EXACT)
    if len(fair) < 2:
        raise _few_networks(space, len(fair), networks)
    return fair


def check_base(space: Space) -> None:
    """Refuse a base that cannot be searched.

    Raises:
        UsageError: φ is 0, or the images are smaller than the base's total stride.

    """
    base = space.base
    if space.phi == 0:
        raise UsageError("phi = 0 is the base itself, whatever the coefficients; take --phi 1")
    if base.resolution < base.total_stride:
        raise UsageError(
            f"{base.name} at {base.resolution}×{base.resolution} pixels: that is below its total stride of "
            f"{base.total_stride}, and nothing would be left of an image; take a -cifar network as --base, "
            f"or --resolution {base.total_stride} or more"
        )


def grid(step: float, tolerance: float) -> list[Coefficients]:
    """Return the points with coefficients of at least 1 and alpha·beta²·gamma² within a tolerance of 2."""
    most = DOUBLE * (1 + tolerance)
    return [
        Coefficients(alpha, beta, gamma)
        for alpha in values(step, most)
        for beta in values(step, sqrt(most / alpha))
        for gamma in values(step, sqrt(most / alpha) / beta)
        if alpha * beta**2 * gamma**2 >= DOUBLE * (1 - tolerance) - _EXACT
    ]


def values(step: float, most: float) -> Iterator[float]:
    """Return 1, 1 + step, 1 + 2 step … up to a number."""
    for index in range(int((most - 1) / step + _EXACT) + 1):
        yield round(1 + index * step, DECIMALS)


def distinct(networks: Sequence[Candidate]) -> list[Candidate]:
    """Keep one candidate of each network: the one whose coefficients are nearest to the surface."""
    nearest: dict[NetSpec, Candidate] = {}
    for network in networks:
        key = shape(network.spec)
        if key not in nearest or _distance(network) < _distance(nearest[key]) - _EXACT:
            nearest[key] = network
    return sorted(nearest.values(), key=lambda each: tuple(vars(each.coefficients).values()))


def on_surface(u: float, v: float) -> Shares:
    """Return the point of the surface at two numbers from 0 to 1; uniform ones give uniform points.

    The surface is alpha = 2^a, beta = 2^(b/2), gamma = 2^(c/2) with a + b + c = 1 and none below 0.
    """
    root = sqrt(u)
    return 1 - root, root * (1 - v), root * v


def nearest(point: Shares, among: Sequence[Candidate]) -> Candidate:
    """Return the candidate that shares out the cost most like a point of the surface."""
    return min(among, key=lambda candidate: dist(candidate.shares, point))


def _distance(network: Candidate) -> float:
    return abs(log(network.coefficients.cost_factor / DOUBLE))


def _few_points(space: Space, found: int) -> UsageError:
    """Say which points of the grid come nearest to the surface."""
    wide = grid(space.step, 0.5)
    misses = sorted(wide, key=lambda point: abs(point.cost_factor / DOUBLE - 1))[found:]
    shown = ", ".join(f"{name_of(point)} ({point.cost_factor:.3f})" for point in misses[:NUM_MISSES])
    needed = (
        [f" or --tolerance {_up(abs(misses[1 - found].cost_factor / DOUBLE - 1))}"] if len(misses) > 1 else []
    )
    return UsageError(
        f"the grid of step {space.step:g} has {_count(found, 'point')} with alpha·beta²·gamma² within "
        f"{space.tolerance:.0%} of 2, and a search needs two; nearest misses: {shown or 'none'}; "
        f"take a finer --step{''.join(needed)}"
    )


def _few_networks(space: Space, found: int, networks: Sequence[Candidate]) -> UsageError:
    """Say which rounded networks come nearest to the target."""
    scaled = [network for network in networks if shape(network.spec) != shape(space.base)]
    misses = sorted(scaled, key=lambda each: abs(space.ratio(each) - 1))[found:]
    shown = ", ".join(f"{each.name} (× {space.ratio(each):.2f})" for each in misses[:NUM_MISSES])
    remedies = ["a finer --step"]
    if len(scaled) < len(networks):
        remedies.append("a larger --phi (a part of the grid rounds to the base itself)")
    if len(misses) > 1 - found:
        remedies.append(f"--cost-tolerance {_up(abs(space.ratio(misses[1 - found]) - 1))}")
    return UsageError(
        f"of {_count(len(scaled), 'network')} on the grid, rounding leaves {found} within "
        f"{space.cost_tolerance:.0%} of {space.target / 1e6:.3g} M MACs (2^{space.phi:g} times "
        f"{space.base.name}), and a search needs two; nearest misses: {shown or 'none'}; take "
        f"{' or '.join(remedies)}"
    )


def _up(share: float) -> str:
    """Write a tolerance that lets a share in, with two decimals."""
    return f"{ceil(share * 100 - _EXACT) / 100:g}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
