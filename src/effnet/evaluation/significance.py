"""How sure one may be of a share, and of a difference between two networks on the same images."""

from collections.abc import Sequence
from math import sqrt

Z95 = 1.959963984540054  # 97.5 % quantile of the normal distribution: 95 % lie within ± Z95


def wilson_interval(successes: int, total: int) -> tuple[float, float]:
    """Return the 95 % score interval of a probability that showed `successes` times in `total` > 0 trials.

    E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 1927. Unlike
    p ± 1.96 √(p(1-p)/n) it stays within 0 and 1, and is no point when there are no errors.
    """
    share, penalty = successes / total, Z95**2 / total
    middle = (share + penalty / 2) / (1 + penalty)
    half = Z95 * sqrt((share * (1 - share) + penalty / 4) / total) / (1 + penalty)
    return max(0.0, middle - half), min(1.0, middle + half)


def difference_interval(only_first: int, only_second: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference in accuracy of two networks on the same `total` images.

    Bonett and Price, Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on
    Paired Data, J. Educational and Behavioral Statistics 2012: one more image is counted for either side. Its
    middle therefore lies a little nearer to 0 than the difference does, and equal answers are no certainty.

    Args:
        only_first: images that only the first network is right about.
        only_second: images that only the second is right about.
        total: all images, at least 1.

    """
    first, second = (only_first + 1) / (total + 2), (only_second + 1) / (total + 2)
    middle = first - second
    half = Z95 * sqrt((first + second - middle**2) / (total + 2))
    return max(-1.0, middle - half), min(1.0, middle + half)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the p-value, two-sided, of both networks being equally good: McNemar's exact test.

    If they are, an image that only one is right about is as likely that of either. McNemar 1947; the binomial
    distribution takes the place of his χ². Without such images it is 1.
    """
    from scipy.stats import binomtest

    different = only_first + only_second
    return float(binomtest(only_first, different).pvalue) if different else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values of several comparisons, so that one false claim among all has at most their level.

    Holm 1979: the smallest times their number, the next times one less, and none below the one before it.
    """
    corrected, highest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = min(1.0, max(highest, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected
