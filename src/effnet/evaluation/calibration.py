"""Whether probabilities mean what they say: reliability diagram and expected calibration error."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 15
EDGES = np.linspace(0, 1, NUM_BINS + 1)
NUM_DRAWS = 200


@dataclass(frozen=True)
class Bin:
    """The images whose confidence is above `lower` and at most `upper`."""

    lower: float
    upper: float
    count: int
    confidence: float
    """Mean confidence of these images; 0 without images."""
    accuracy: float
    """Share of them whose most probable class is right; 0 without images."""


def reliability(confidence: NDArray[Any], correct: NDArray[np.bool_]) -> tuple[Bin, ...]:
    """Sort images into 15 bins of equal width by their confidence.

    Args:
        confidence: probability of the most probable class, `(N,)`, 0 to 1.
        correct: whether that class is right, `(N,)`.

    """
    edges, index = EDGES, bin_of(confidence)
    counts = np.bincount(index, minlength=NUM_BINS)
    divisor = np.maximum(counts, 1)
    means = np.bincount(index, confidence, NUM_BINS) / divisor
    accuracies = np.bincount(index, correct, NUM_BINS) / divisor
    rows = zip(edges[:-1], edges[1:], counts, means, accuracies, strict=True)
    return tuple(Bin(float(low), float(up), int(n), float(c), float(a)) for low, up, n, c, a in rows)


def bin_of(confidence: NDArray[Any]) -> NDArray[np.int64]:
    """Return the bin of each image, `(N,)`; a value on an edge is in the bin below it."""
    return np.digitize(confidence, EDGES[1:-1], right=True).astype(np.int64)


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return the expected calibration error (ECE), 0 to 1.

    It is the mean over all images of |accuracy - mean confidence| of the bin they are in. Guo, Pleiss, Sun
    and Weinberger, On Calibration of Modern Neural Networks, ICML 2017, equation 3, with their 15 bins.
    """
    total = sum(each.count for each in bins)
    return sum(each.count * abs(each.accuracy - each.confidence) for each in bins) / total


def chance_errors(confidence: NDArray[Any]) -> tuple[float, float]:
    """Return the calibration error of a perfectly calibrated network, by the luck of so many images.

    Each image is right with just the probability stated, again and again: consistency resampling after
    Bröcker and Smith, Increasing the Reliability of Reliability Diagrams, 2007.

    Args:
        confidence: probability of the most probable class, `(N,)`, 0 to 1.

    Returns:
        The mean, and what 95 % of the draws do not exceed.

    """
    generator = np.random.default_rng(0)  # the same result for the same answers
    index, errors = bin_of(confidence), np.empty(NUM_DRAWS)
    for draw in range(NUM_DRAWS):
        gaps = (generator.random(len(confidence)) < confidence) - confidence
        errors[draw] = np.abs(np.bincount(index, gaps, NUM_BINS)).sum() / len(confidence)
    return float(errors.mean()), float(np.quantile(errors, 0.95))
