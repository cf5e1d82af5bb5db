"""Whether probabilities mean what they say: reliability diagram and expected calibration error."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 15


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
    edges = np.linspace(0, 1, NUM_BINS + 1)
    index = np.digitize(confidence, edges[1:-1], right=True)  # a value on an edge is in the bin below it
    counts = np.bincount(index, minlength=NUM_BINS)
    divisor = np.maximum(counts, 1)
    means = np.bincount(index, confidence, NUM_BINS) / divisor
    accuracies = np.bincount(index, correct, NUM_BINS) / divisor
    rows = zip(edges[:-1], edges[1:], counts, means, accuracies, strict=True)
    return tuple(Bin(float(low), float(up), int(n), float(c), float(a)) for low, up, n, c, a in rows)


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return the expected calibration error (ECE), 0 to 1.

    It is the mean over all images of |accuracy - mean confidence| of the bin they are in. Guo, Pleiss, Sun
    and Weinberger, On Calibration of Modern Neural Networks, ICML 2017, equation 3, with their 15 bins.
    """
    total = sum(each.count for each in bins)
    return sum(each.count * abs(each.accuracy - each.confidence) for each in bins) / total
