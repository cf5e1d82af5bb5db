"""The arms of a study: one base, scaled in several ways to the same multiply-adds. Pure arithmetic."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import log, sqrt

from effnet.errors import UsageError
from effnet.sizing.study.design import StudyConfig
from effnet.spec.cost import Cost, cost
from effnet.spec.netspec import NetSpec
from effnet.spec.resize import Multipliers
from effnet.spec.scale import MAX_PHI, Coefficients, multipliers, scale
from effnet.spec.solve import ladder, nearest, shape

BASE = "base"

# One unit of φ doubles the MACs before rounding, as equation 3 has it: all of it in one dimension.
SINGLE = {
    "depth": Coefficients(alpha=2.0, beta=1.0, gamma=1.0),
    "width": Coefficients(alpha=1.0, beta=sqrt(2.0), gamma=1.0),
    "resolution": Coefficients(alpha=1.0, beta=1.0, gamma=sqrt(2.0)),
}

MARGIN = 1.0  # φ beyond the exact one, in which rounding may have put the nearest network


@dataclass(frozen=True)
class Network:
    """A network of a study: what was asked for, and what rounding made of it."""

    arm: str
    """`depth`, `width`, `resolution`, `compound`, or `base`, which belongs to all of them."""
    phi: float
    """What was asked for: 2^phi times the MACs of the base."""
    exponent: float
    """The power of the arm's coefficients that made it; rounding makes it differ from `phi`."""
    spec: NetSpec
    factors: Multipliers
    """On depth, width and resolution of the base, before rounding."""
    cost: Cost
    target: float
    """MACs asked for."""

    @property
    def deviation(self) -> float:
        """How far its MACs are from what was asked for, as a share: 0.05 is 5 % more."""
        return self.cost.macs / self.target - 1

    @property
    def label(self) -> str:
        """Name for people: `depth φ = 1`."""
        return self.arm if self.arm == BASE else f"{self.arm} φ = {self.phi:g}"

    @property
    def words(self) -> str:
        """Say how it is scaled, as Table 7 does: `d = 1.44, w = 1.21, r = 1.32`."""
        by = self.factors
        named = (("d", by.depth), ("w", by.width), ("r", by.resolution))
        return ", ".join(f"{letter} = {factor:.2f}" for letter, factor in named if factor != 1.0) or "–"


def networks(
    base: NetSpec, config: StudyConfig, compound: Coefficients, num_classes: int
) -> tuple[Network, ...]:
    """Return the networks of a study: the base if φ = 0 is asked for, then φ by φ, arm by arm.

    Of all networks that an arm can make, each is the one whose MACs come nearest to what was asked for, as a
    ratio. Dropout and drop-path are the same in all arms at a φ, those of `scale`: arms differ in shape only.

    Raises:
        UsageError: an arm has the same network for two φ, one is too small for its strides, or out of bounds.

    """
    by_arm = [list(_of_arm(name, base, config, (compound, num_classes))) for name in config.arms]
    first = [_base(base, num_classes)] if 0.0 in config.phis else []
    for made in by_arm:
        _check([*first, *made])
    return (*first, *(network for same_phi in zip(*by_arm, strict=True) for network in same_phi))


def line(found: tuple[Network, ...], arm: str) -> tuple[Network, ...]:
    """Return the networks of an arm with the base they start from, the cheapest first."""
    return tuple(sorted((n for n in found if n.arm in (arm, BASE)), key=lambda network: network.cost.macs))


def _base(base: NetSpec, num_classes: int) -> Network:
    counted = cost(base, num_classes)
    return Network(BASE, 0.0, 0.0, base, Multipliers(1.0, 1.0, 1.0), counted, float(counted.macs))


def _of_arm(
    name: str, base: NetSpec, config: StudyConfig, other: tuple[Coefficients, int]
) -> Iterator[Network]:
    compound, num_classes = other
    coefficients = SINGLE.get(name, compound)
    phis = sorted(phi for phi in config.phis if phi != 0.0)
    if coefficients.cost_factor <= 1.0:
        raise UsageError("coefficients: alpha, beta and gamma are all 1, which scales nothing")
    rungs = ladder(base, coefficients, *_reach(phis, coefficients))
    macs = cost(base, num_classes).macs
    for phi in phis:
        found = nearest(rungs, macs * 2**phi, num_classes)
        like = scale(base, phi)  # for its dropout and drop-path
        spec = replace(
            found.spec,
            name=f"{base.name}-{name}-phi{phi:g}",
            dropout=like.dropout,
            drop_path=like.drop_path,
        )
        factors = multipliers(found.phi, coefficients)
        yield Network(name, phi, found.phi, spec, factors, cost(spec, num_classes), macs * 2**phi)


def _reach(phis: list[float], coefficients: Coefficients) -> tuple[float, float]:
    """Return the powers of the coefficients between which the networks must lie.

    Below the base there is no bound: stages of one block keep it, so that depth saves less than it should.
    """
    exact = log(2.0) / log(coefficients.cost_factor)
    low = -MAX_PHI if phis[0] < 0 else 0.0
    return low, min(MAX_PHI, max(0.0, phis[-1] * exact + MARGIN))


def _check(made: list[Network]) -> None:
    """Refuse an arm that repeats itself, or that ends in less than a cell."""
    seen: dict[NetSpec, Network] = {}
    for network in made:
        spec = network.spec
        other = seen.setdefault(shape(spec), network)
        if other is not network:
            raise UsageError(
                f"{network.arm}: phi = {other.phi:g} and {network.phi:g} are the same network, since "
                f"rounding leaves none in between; take phis that are further apart, or leave the arm out"
            )
        if spec.resolution < spec.total_stride:
            raise UsageError(
                f"{network.label}: {spec.resolution} pixels are fewer than the network's total stride of "
                f"{spec.total_stride}; take a larger phi, another base, or leave the arm out"
            )
