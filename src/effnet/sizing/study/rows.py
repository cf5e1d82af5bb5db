"""A row of a study: a network with the trials that are finished."""

from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from effnet.sizing.statistics import accuracy_interval
from effnet.sizing.study.arms import Network
from effnet.sizing.study.law import share_wrong
from effnet.sizing.trial import Outcome


@dataclass(frozen=True)
class Row:
    """A network and its finished trials, in the order of their seeds."""

    network: Network
    outcomes: tuple[Outcome, ...]

    @property
    def accuracies(self) -> list[float]:
        """Validation accuracy of each seed."""
        return [outcome.val_top1 for outcome in self.outcomes]

    @property
    def mean(self) -> float | None:
        """Mean over the seeds that are done; None before the first."""
        return fmean(self.accuracies) if self.outcomes else None

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; None with fewer than two."""
        return stdev(self.accuracies) if len(self.outcomes) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean; None before the first seed is done."""
        return accuracy_interval(self.outcomes) if self.outcomes else None

    @property
    def error(self) -> float:
        """Share of wrong answers over all seeds, as `share_wrong` counts it."""
        right = sum(int(outcome.correct.sum()) for outcome in self.outcomes)
        return share_wrong(self.answers - right, self.answers)

    @property
    def answers(self) -> int:
        """Validation images that were answered, over all seeds."""
        return sum(len(outcome.correct) for outcome in self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        network, by = self.network, self.network.factors
        return {
            "arm": network.arm,
            "phi": network.phi,
            "exponent": network.exponent,
            "factors": {"depth": by.depth, "width": by.width, "resolution": by.resolution},
            "name": network.spec.name,
            "resolution": network.spec.resolution,
            "blocks": network.spec.num_blocks,
            "params": network.cost.params,
            "macs": network.cost.macs,
            "activations": network.cost.activations,
            "target_macs": network.target,
            "deviation": network.deviation,
            "val_top1": self.mean,
            "spread": self.spread,
            "interval": self.interval,
            "trials": [
                {
                    "seed": outcome.config.seed,
                    "key": outcome.key,
                    "val_top1": outcome.val_top1,
                    "val_loss": outcome.val_loss,
                    "num_val": len(outcome.correct),
                    "steps": outcome.steps,
                    "seconds": outcome.seconds,
                }
                for outcome in self.outcomes
            ],
        }
