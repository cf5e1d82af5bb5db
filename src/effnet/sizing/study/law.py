"""A law for the error: how it falls with the multiply-adds, fitted on small networks to foresee larger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.errors import EffnetError
from effnet.sizing.statistics import CONFIDENCE
from effnet.sizing.study.arms import BASE

Array = NDArray[np.float64]

NEARLY = 0.999  # an offset stays below the smallest error
ROUNDS = 6  # of fitting and weighing anew; weights settle in three or four


@dataclass(frozen=True)
class Point:
    """The error of one network: the share of wrong answers, over its seeds."""

    arm: str
    """`base` is the point in which all arms meet."""
    macs: float
    error: float
    """Above 0: `share_wrong` makes it so."""
    answers: int
    """Of how many answers it is the share."""


@dataclass(frozen=True)
class Prediction:
    """An error foreseen, with its 95 % prediction interval: where one more network would be found."""

    error: float
    low: float
    high: float


@dataclass(frozen=True)
class Law:
    """error = offset + exp(level) · (macs / base_macs)^-slope, with a slope for each arm.

    All arms start from the base and so share its level. Errors spread about the law by a factor, the same
    everywhere, which the points of all arms tell together: those of one are too few. The luck of counting
    wrong answers comes on top: with few of them it is most of it.
    """

    base_macs: float
    level: float
    slopes: Mapping[str, float]
    offset: float
    """Error that no size removes: 0 in the plain law."""
    has_offset: bool
    """Whether the offset was fitted."""
    spread: float
    """Standard deviation of the logarithm of the error about the law, without the luck of counting."""
    answers: int
    """How many answers an error is the share of, on average."""
    freedom: int
    """Points less what was fitted."""
    covariance: Array
    """Of level, slopes and, if it was fitted, offset."""
    reason: str
    """Why it has an offset, or has none."""

    def predict(self, arm: str, macs: float) -> Prediction:
        """Foresee the error of a network of an arm, as it will be counted in as many answers.

        The interval is that of a regression: the spread about the law, the luck of counting, and how little
        the points tell of the law, with Student's t. With an offset it is linearised.
        """
        from scipy.stats import t

        design = _design([Point(arm, macs, 1.0, self.answers)], list(self.slopes), self.base_macs)
        error, gradient = _model(design, _vector(self), has_offset=self.has_offset)
        middle = min(1.0, float(error[0]))
        luck = float(counting_variance(np.array([middle]), np.array([float(self.answers)]))[0])
        variance = self.spread**2 + luck + float(gradient[0] @ self.covariance @ gradient[0])
        half = float(t.ppf(0.5 + CONFIDENCE / 2, self.freedom)) * sqrt(variance)
        return Prediction(middle, middle * exp(-half), min(1.0, middle * exp(min(half, 100.0))))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**vars(self), "slopes": dict(self.slopes), "covariance": self.covariance.tolist()}


def share_wrong(wrong: int, answers: int) -> float:
    """Return the share of wrong answers, with half a one added so that it is never 0: powers know no 0."""
    return (wrong + 0.5) / (answers + 1)


def counting_variance(errors: Array, answers: Array) -> Array:
    """Return the variance of the logarithm of `share_wrong` by the luck of counting (binomial)."""
    return 1.0 / (errors * answers + 0.5) - 1.0 / (answers + 1.0)


def fit(points: Sequence[Point], base_macs: float) -> Law:
    """Fit the plain power law, and with an offset if the points are enough to tell one.

    Least squares on the logarithm of the error, since errors spread by a factor; a point weighs as much as
    its counting and the spread about the law allow. Akaike's criterion, corrected for few points (AICc),
    decides: an offset must fit better by more than luck lets a further number. Of few points, three sizes
    say, it forbids one; then the plain law may foresee too little.

    Args:
        points: errors above 0.
        base_macs: where all arms meet.

    Raises:
        EffnetError: fewer points than the plain law has numbers, and one.

    """
    arms = sorted({point.arm for point in points} - {BASE})
    count, numbers = len(points), 1 + len(arms)
    if count <= numbers:
        raise EffnetError(f"a law for {len(arms)} arms needs at least {numbers + 1} networks, not {count}")
    plain = _solve(points, arms, base_macs, has_offset=False)
    if count - (numbers + 2) - 1 <= 0:
        return _law(points, plain, f"{count} networks are too few to tell an offset")
    curved = _solve(points, arms, base_macs, has_offset=True)
    gain = _aicc(plain) - _aicc(curved)
    if gain > 0:
        return _law(points, curved, f"an offset lowers AICc by {gain:.1f}")
    return _law(points, plain, f"an offset would raise AICc by {-gain:.1f}")


@dataclass(frozen=True)
class _Solution:
    arms: list[str]
    base_macs: float
    values: Array
    """Level, slopes, offset; `(1 + K,)` without one."""
    jacobian: Array
    residuals: Array
    """Of the logarithms, `(N,)`."""
    spread: float
    variances: Array
    """Of the residuals: spread and counting."""
    has_offset: bool


def _solve(points: Sequence[Point], arms: list[str], base_macs: float, *, has_offset: bool) -> _Solution:
    """Fit and weigh in turns, from equal weights on."""
    design = _design(points, arms, base_macs)
    errors = np.array([point.error for point in points])
    answers = np.array([float(point.answers) for point in points])
    plain = np.linalg.lstsq(design, np.log(errors), rcond=None)[0]
    values = np.array([*plain, float(errors.min()) / 2] if has_offset else plain)
    variances, spread = np.ones(len(points)), 0.0
    for _ in range(ROUNDS):
        values = _least_squares(design, errors, np.sqrt(variances), start=values, has_offset=has_offset)
        fitted, jacobian = _model(design, values, has_offset=has_offset)
        residuals = np.log(errors / fitted)
        luck = counting_variance(np.minimum(fitted, 1.0), answers)
        spread = _spread(residuals**2, luck, len(points) - len(values))
        variances = luck + spread**2
    return _Solution(arms, base_macs, values, jacobian, residuals, spread, variances, has_offset)


def _least_squares(
    design: Array, errors: Array, deviations: Array, *, start: Array, has_offset: bool
) -> Array:
    from scipy.optimize import least_squares

    count, least = design.shape[1], float(errors.min())
    low, high = np.full(count, -inf), np.full(count, inf)
    if has_offset:
        low, high = np.append(low, 0.0), np.append(high, NEARLY * least)

    def residuals(values: Array) -> Array:
        found: Array = np.log(_model(design, values, has_offset=has_offset)[0] / errors) / deviations
        return found

    def jacobian(values: Array) -> Array:
        found: Array = _model(design, values, has_offset=has_offset)[1] / deviations[:, None]
        return found

    solved = least_squares(residuals, start, jac=jacobian, bounds=(low, high), x_scale="jac")
    return np.asarray(solved.x, np.float64)


def _spread(squares: Array, luck: Array, freedom: int) -> float:
    """Return the spread that, with the luck of counting, explains the squares (Paule and Mandel 1982)."""
    from scipy.optimize import brentq

    def excess(variance: float) -> float:
        return float(np.sum(squares / (luck + variance))) - freedom

    if excess(0.0) <= 0.0:
        return 0.0
    return sqrt(brentq(excess, 0.0, float(np.sum(squares)) / freedom))


def _design(points: Sequence[Point], arms: list[str], base_macs: float) -> Array:
    """Return `(N, 1 + K)`: a one, and minus the logarithm of the cost in the column of the point's arm."""
    rows = np.zeros((len(points), 1 + len(arms)))
    rows[:, 0] = 1.0
    for row, point in zip(rows, points, strict=True):
        if point.arm != BASE:
            row[1 + arms.index(point.arm)] = -log(point.macs / base_macs)
    return rows


def _model(design: Array, values: Array, *, has_offset: bool) -> tuple[Array, Array]:
    """Return the errors `(N,)`, and the derivatives of their logarithms by the values `(N, P)`."""
    width = design.shape[1]
    power = np.exp(np.clip(design @ values[:width], -100.0, 100.0))
    error = power + values[width] if has_offset else power
    gradient = design * (power / error)[:, None]
    return error, np.column_stack([gradient, 1.0 / error]) if has_offset else gradient


def _vector(law: Law) -> Array:
    return np.array([law.level, *law.slopes.values(), *([law.offset] if law.has_offset else [])])


def _aicc(solution: _Solution) -> float:
    """Akaike's information criterion, corrected for few points; the spread is a number that is fitted too."""
    variances, count, numbers = solution.variances, len(solution.variances), len(solution.values) + 1
    surprise = float(np.sum(np.log(variances) + solution.residuals**2 / variances))
    return surprise + 2 * numbers + 2 * numbers * (numbers + 1) / (count - numbers - 1)


def _law(points: Sequence[Point], solution: _Solution, reason: str) -> Law:
    level, *others = solution.values.tolist()
    weighted = solution.jacobian / np.sqrt(solution.variances)[:, None]
    return Law(
        base_macs=solution.base_macs,
        level=level,
        slopes=dict(zip(solution.arms, others, strict=False)),
        offset=others[-1] if solution.has_offset else 0.0,
        has_offset=solution.has_offset,
        spread=solution.spread,
        answers=round(fmean(point.answers for point in points)),
        freedom=len(points) - len(solution.values),
        covariance=np.asarray(np.linalg.pinv(weighted.T @ weighted), np.float64),
        reason=reason,
    )
