"""What a budget comes to: the network that was chosen, and the ones around it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from effnet.sizing.budget.limits import KINDS, Costs, Kind, Limits
from effnet.sizing.budget.timing import Latency
from effnet.spec import netspec
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import Coefficients


@dataclass(frozen=True)
class Row:
    """A network and what it costs."""

    phi: float
    spec: NetSpec
    costs: Costs
    latency: Latency
    breaks: tuple[Kind, ...]
    """Limits that it exceeds."""

    def throughput(self, batch: int) -> float:
        """Return images per second, in batches of this size."""
        return batch / self.latency.median

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; latencies in milliseconds."""
        quartiles = {f"{name}_ms": 1e3 * getattr(self.latency, name) for name in ("median", "low", "high")}
        return {
            "name": self.spec.name,
            "phi": self.phi,
            "resolution": self.spec.resolution,
            **{
                name: value if value is None or isfinite(value) else None
                for name, value in self.costs.items()
            },
            "latency": quartiles | {"num_runs": self.latency.num_runs},
            "breaks": [kind.limit for kind in self.breaks],
        }


@dataclass(frozen=True)
class Sized:
    """The largest network within a budget."""

    base: NetSpec
    coefficients: Coefficients
    limits: Limits
    chosen: Row
    following: Row | None
    """The next larger network; None where φ ends."""
    table: tuple[Row, ...]
    """Networks around the chosen one, itself among them, smallest first."""
    conditions: Mapping[str, Any]
    """Under which all was measured: device, runtime, batch, threads, versions."""

    @property
    def spec(self) -> NetSpec:
        """The network."""
        return self.chosen.spec

    @property
    def phi(self) -> float:
        """The φ that makes it of the base; of several that make the same, the one nearest to 0."""
        return self.chosen.phi

    @property
    def measured(self) -> Costs:
        """What the network costs."""
        return self.chosen.costs

    @property
    def binding(self) -> tuple[Kind, ...]:
        """The limits that stand in the way of the next larger network."""
        return () if self.following is None else self.following.breaks

    def words(self) -> str:
        """Say in one line what was chosen and what stands in the way of more."""
        kinds = [kind for kind in KINDS if self.measured.get(kind.cost) is not None]
        spent = ", ".join(kind.write(self.measured[kind.cost] or 0.0) for kind in kinds)
        side = self.spec.resolution
        return f"{self.base.name} at φ = {self.phi:g}, {side}×{side} pixels: {spent}; {self._end()}"

    def _end(self) -> str:
        """Say why the next larger network is too large."""
        if self.following is None:
            return f"no limit binds: φ ends at {self.phi:g}"
        costs = self.following.costs
        reasons = " and ".join(
            f"{kind.flag} {self.limits.of(kind):g} binds: the next larger network, "
            f"φ = {self.following.phi:g}, takes {kind.write(costs[kind.cost] or 0.0)}"
            for kind in self.binding
        )
        return reasons or "the machine is too restless to tell it from the next larger network"

    def record(self) -> dict[str, Any]:
        """Return how the network was chosen, for the training record of a model file."""
        return {
            "base": self.base.name,
            "phi": self.phi,
            "coefficients": asdict(self.coefficients),
            "limits": self.limits.to_dict(),
            "binding": [kind.limit for kind in self.binding],
            "measured": self.chosen.to_dict(),
            "conditions": dict(self.conditions),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        rows = [row.to_dict() for row in self.table]
        return self.record() | {"spec": netspec.to_dict(self.spec), "table": rows}
