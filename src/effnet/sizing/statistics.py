"""How sure one may be that one network is better than another: over seeds, and over images."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np

from effnet.errors import EffnetError
from effnet.evaluation.significance import wilson_interval
from effnet.sizing.trial import Outcome

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """The difference in validation accuracy of two networks trained with the same seeds."""

    difference: float
    """Mean over the seeds: first minus second, as a share of the images."""
    seed_interval: tuple[float, float]
    """95 % interval of the mean difference over other seeds, on these images (paired t)."""
    image_interval: tuple[float, float]
    """95 % interval over other images, for these trainings (normal approximation, paired by image)."""
    p_value: float
    """Of the paired t-test over seeds, two-sided; 1 where there is no difference at all."""
    num_seeds: int

    @property
    def image_p_value(self) -> float:
        """Of the difference being due to the choice of images, two-sided; normal approximation."""
        error = (self.image_interval[1] - self.image_interval[0]) / 2 / 1.96
        if error == 0.0:
            return 0.0 if self.difference else 1.0
        return erfc(abs(self.difference) / error / sqrt(2.0))

    @property
    def claim_p_value(self) -> float:
        """The larger of the two p-values: a claim must hold for other seeds and for other images."""
        return max(self.p_value, self.image_p_value)

    @property
    def is_significant(self) -> bool:
        """Whether neither other seeds nor other images would be expected to turn the difference round."""
        return all(low > 0 or high < 0 for low, high in (self.seed_interval, self.image_interval))

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {**vars(self), "is_significant": self.is_significant}


def compare(first: Sequence[Outcome], second: Sequence[Outcome]) -> Comparison | None:
    """Compare two networks, seed by seed; None with fewer than two common seeds: that allows no claim.

    Raises:
        EffnetError: trials of the same seed were judged on different numbers of images.

    """
    ours = {outcome.config.seed: outcome for outcome in first}
    theirs = {outcome.config.seed: outcome for outcome in second}
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < 2:
        return None
    gains = [gain(ours[seed], theirs[seed]) for seed in seeds]
    means = np.array([each.mean() for each in gains])
    low, high, p_value = paired_t(means)
    return Comparison(
        difference=float(means.mean()),
        seed_interval=(low, high),
        image_interval=over_images(gains),
        p_value=p_value,
        num_seeds=len(seeds),
    )


def accuracy_interval(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Return the 95 % interval of the mean validation accuracy of one or more trainings of a network.

    The wider of two: over other seeds (t, with two seeds or more), and over other images (Wilson, as if one
    network had answered as many images as each training did).
    """
    means = np.array([np.mean(outcome.correct) for outcome in outcomes], np.float64)
    num_images = len(outcomes[0].correct)
    intervals = [wilson_interval(round(float(means.mean()) * num_images), num_images)]
    if len(means) > 1:
        intervals.append(paired_t(means)[:2])
    low, high = max(intervals, key=lambda bounds: bounds[1] - bounds[0])
    return max(0.0, low), min(1.0, high)


def gain(ours: Outcome, theirs: Outcome) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return for each validation image 1 where only ours is right, -1 where only theirs is, else 0."""
    if len(ours.correct) != len(theirs.correct):
        raise EffnetError(
            f"trials {ours.key} and {theirs.key} were judged on {len(ours.correct)} and "
            f"{len(theirs.correct)} images; only trials on the same ones can be compared"
        )
    return np.asarray(ours.correct, np.float64) - np.asarray(theirs.correct, np.float64)


def paired_t(differences: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float, float]:
    """Return the 95 % interval of the mean of n ≥ 2 differences, and the p-value of its being 0."""
    from scipy.stats import t

    count, mean = len(differences), float(differences.mean())
    error = float(differences.std(ddof=1)) / sqrt(count)
    half = float(t.ppf(0.5 + CONFIDENCE / 2, count - 1)) * error
    if np.ptp(differences) == 0.0:
        return mean, mean, 0.0 if mean else 1.0
    return mean - half, mean + half, float(2 * t.sf(abs(mean) / error, count - 1))


def over_images(
    gains: Sequence[np.ndarray[tuple[int], np.dtype[np.float64]]],
) -> tuple[float, float]:
    """Return the 95 % interval of the mean gain over other images of the same kind.

    Where all seeds were judged on the same images (a validation folder of one's own), an image's gains are
    averaged first; where each seed drew its own, they overlap, and averaging by position is only a
    rearrangement of the same independent images.
    """
    by_image = np.mean(gains, axis=0)
    half = 1.96 * float(by_image.std(ddof=1)) / sqrt(len(by_image)) if len(by_image) > 1 else float("inf")
    mean = float(by_image.mean())
    return mean - half, mean + half
