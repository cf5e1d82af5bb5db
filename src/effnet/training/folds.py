"""Scores of cross-validation, and what they say of other images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from effnet.files import read_marked

FOLDS_FILE = "folds.json"
MARK = {"effnet_folds": 1}
CONFIDENCE = 0.95


@dataclass(frozen=True)
class FoldScore:
    """How the network of a fold does on the images that the fold held out."""

    fold: int
    """Its number, from 1."""
    num_images: int
    num_errors: int
    top1: float
    loss: float
    seconds: float
    model: str
    """Its model file."""


@dataclass(frozen=True)
class CrossValidation:
    """The scores of all folds: every training image was judged once, by a network that had not seen it."""

    scores: Sequence[FoldScore]

    @property
    def mean(self) -> float:
        """Mean accuracy of the folds."""
        return mean(score.top1 for score in self.scores)

    @property
    def spread(self) -> float:
        """Standard deviation of the accuracy over the folds."""
        return stdev(score.top1 for score in self.scores)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean, corrected for what the folds' training images have in common.

        Networks of k folds share most of their images, so their scores are not independent: the variance of
        the mean is s² · (1/k + 1/(k-1)) instead of s²/k (Nadeau and Bengio, Inference for the Generalization
        Error, Machine Learning 2003), the second term being held-out images for each one learned from.
        """
        from scipy.stats import t

        count = len(self.scores)
        half = float(t.ppf(0.5 + CONFIDENCE / 2, count - 1)) * self.spread * sqrt(1 / count + 1 / (count - 1))
        return max(0.0, self.mean - half), min(1.0, self.mean + half)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**self.summary(), "scores": [asdict(score) for score in self.scores]}

    def summary(self) -> dict[str, Any]:
        """Return what is said of all folds together, as JSON values."""
        return {"mean": self.mean, "spread": self.spread, "interval": list(self.interval)}


def is_unfinished(folder: Path) -> bool:
    """Tell whether a folder holds a cross-validation that was not carried out to its end."""
    path = folder / FOLDS_FILE
    return path.exists() and not read_plan(path)["finished"]


def read_plan(path: Path) -> dict[str, Any]:
    """Read the file of a cross-validation: what it does, and the scores so far.

    Raises:
        UsageError: it is damaged, or of another version.

    """
    kinds = ("a cross-validation", "the file of a cross-validation that this effnet wrote")
    return read_marked(path, MARK, kinds=kinds, remedy="remove it to start anew")
