"""How probable it is that a label is wrong, and how many are.

A model of what labels are: with probability 1 - ε the true class, distributed as the classifier says; with
probability ε any other class, each as likely as the next. Both ε and how sure the classifier may be of itself
(a temperature) are what makes the given labels most probable. Where a classifier is unsure, its doubts
explain the odd labels, and ε is small; where it is sure and yet some labels are against it, ε is their share.

A blunder looks the same: a classifier that is sure and wrong. On CIFAR-10 as it is, a classifier that errs
in 35 % of the images was against 48 labels as if they were wrong: odd pictures, rightly called. So a
twentieth of its errors is taken for blunders, and only where more labels stand out are any accused.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_FITTED = 20_000  # images that the two numbers are fitted on
TEMPERATURES = np.exp(np.linspace(-2.0, 2.0, 61))  # 7 % apart
SHARES = np.concatenate([[0.0], np.exp(np.linspace(-9.0, -0.7, 84))])  # up to a half, 10 % apart
LIKELY = 0.5  # probability from which on a label is called wrong
BLUNDERS = 0.05  # share of a classifier's errors in which it may be as sure as when it is right
DROP = 5.41  # of the log-likelihood at the low end of what is likely: 99.9 % sure, by chi-square
ROWS_AT_ONCE = 10_000
TINY = 1e-300


@dataclass(frozen=True)
class Noise:
    """The share of wrong labels, and the temperature of the classifier."""

    share: float
    """ε, the most likely one, 0 to 1."""
    low: float
    """The lowest ε that is not ruled out."""
    temperature: float
    """What logarithms of probabilities are divided by, if ε is `low`."""

    def tempered(self, probs: Floats) -> Floats:
        """Return `probs (N, K)` made as sure as they may be."""
        blocks = np.array_split(probs, max(1, len(probs) // ROWS_AT_ONCE))
        return np.concatenate([temper(block, self.temperature) for block in blocks])

    def wrong(self, given: Floats, num_classes: int) -> Floats:
        """Return the probability that a label is wrong, by the tempered probability `given` of its class.

        The lowest ε counts. With few images, wrong labels cannot be told from wrong judgements; then it is 0,
        and so is the probability. Were 95 % enough instead of 99.9 %, up to 22 of 397 photographs of ants and
        bees would be called wrong, and are not.
        """
        by_noise = self.low * (1 - given) / (num_classes - 1)
        chance: Floats = by_noise / (by_noise + (1 - self.low) * given + TINY)
        return chance


def discounted(chances: Floats, num_errors: int) -> Floats:
    """Return the probabilities that labels are wrong, less what may be blunders.

    Args:
        chances: probability that a label is wrong, if the classifier knew how sure it may be, `(N,)`.
        num_errors: labels that it does not expect.

    """
    num_odd = int((chances > LIKELY).sum())
    return chances * max(0.0, 1 - BLUNDERS * num_errors / max(1, num_odd))


def temper(probs: Floats, temperature: float) -> Floats:
    """Divide the logarithms of `probs (N, K)` by a temperature, and make each row sum to 1 again."""
    scores = np.log(probs + TINY) / temperature
    scores = np.exp(scores - scores.max(1, keepdims=True))
    tempered: Floats = scores / scores.sum(1, keepdims=True)
    return tempered


def fit_noise(probs: Floats, labels: NDArray[np.int64]) -> Noise:
    """Find the share of wrong labels and the temperature that make the labels most probable.

    Args:
        probs: of classifiers that have not seen the label of the image, `(N, K)`.
        labels: as given, `(N,)`.

    """
    picked = np.random.default_rng(0).permutation(len(labels))[:MAX_FITTED]
    likelihood = log_likelihood(probs[picked], labels[picked])
    profile = likelihood.max(1)
    inside = np.flatnonzero(profile >= profile.max() - DROP)
    return Noise(
        share=float(SHARES[profile.argmax()]),
        low=float(SHARES[inside[0]]),
        temperature=float(TEMPERATURES[likelihood[inside[0]].argmax()]),
    )


def log_likelihood(probs: Floats, labels: NDArray[np.int64]) -> Floats:
    """Return the logarithm of the probability of all labels: shares by row, temperatures by column."""
    rows, others = np.arange(len(labels)), probs.shape[1] - 1
    table = np.empty((len(SHARES), len(TEMPERATURES)))
    for column, temperature in enumerate(TEMPERATURES):
        given = temper(probs, temperature)[rows, labels]
        for row, share in enumerate(SHARES):
            table[row, column] = np.log((1 - share) * given + share * (1 - given) / others + TINY).sum()
    return table
