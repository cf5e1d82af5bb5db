"""Several networks as one: the mean of their probabilities."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from effnet.evaluation.comparison.result import Comparison, Contender, Contrast
from effnet.evaluation.metrics import Evaluation
from effnet.evaluation.robustness.combined import contrast, mean_of

NAME = "ensemble"


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks that answer together."""

    comparison: Comparison
    """Of its members."""
    evaluation: Evaluation
    """Of the mean of their probabilities."""

    @property
    def best(self) -> Contender:
        """The best member, as these very images have it, which favours it against the ensemble."""
        return self.comparison.ranked[0]

    @property
    def contrast(self) -> Contrast:
        """With the best member."""
        return contrast(self.evaluation, self.best.evaluation, (NAME, self.best.label))

    @property
    def num_hopeless(self) -> int:
        """Images that every member is wrong about."""
        return int((~np.any([each.correct for each in self.comparison.contenders], axis=0)).sum())

    @property
    def macs(self) -> int:
        """Of one image, all members together."""
        return sum(each.cost.macs for each in self.comparison.contenders)

    @property
    def milliseconds(self) -> float:
        """For one image in a batch, all members one after the other."""
        return sum(each.milliseconds for each in self.comparison.contenders)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "members": [each.label for each in self.comparison.contenders],
            **self.evaluation.summary(),
            "against_the_best": self.contrast.to_dict(),
            "wrong_of_all": self.num_hopeless,
            "macs": self.macs,
            "milliseconds": self.milliseconds,
        }


def ensemble(comparison: Comparison) -> Ensemble:
    """Let the models of a comparison answer together."""
    members = [each.evaluation for each in comparison.contenders]
    return Ensemble(comparison, mean_of(members[0], [each.answers.probs for each in members]))
