"""A law for the error: how it falls with the multiply-adds, fitted on small networks to foresee larger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.errors import EffnetError
from effnet.sizing.arms import BASE
from effnet.sizing.statistics import CONFIDENCE

Array = NDArray[np.float64]

TINY = 1e-12  # of a sum of squares: points that lie on a law exactly have no logarithm otherwise
NEARLY = 0.999  # an offset stays below the smallest error


@dataclass(frozen=True)
class Point:
    """The error of one network: the share of wrong answers, over its seeds."""

    arm: str
    """`base` is the point in which all arms meet."""
    macs: float
    error: float


@dataclass(frozen=True)
class Prediction:
    """An error foreseen, with its 95 % prediction interval: where one more network would be found."""

    error: float
    low: float
    high: float


@dataclass(frozen=True)
class Law:
    """error = offset + exp(level) · (macs / base_macs)^-slope, with a slope for each arm.

    All arms start from the base and so share its level; errors spread about the law by a factor, the same
    everywhere, which the points of all arms tell together: those of one are too few.
    """

    base_macs: float
    level: float
    slopes: Mapping[str, float]
    offset: float
    """Error that no size removes: 0 in the plain law."""
    has_offset: bool
    """Whether the offset was fitted."""
    spread: float
    """Standard deviation of the logarithm of the error about the law."""
    freedom: int
    """Points less what was fitted."""
    covariance: Array
    """Of level, slopes and, if it was fitted, offset, for a spread of 1."""
    reason: str
    """Why it has an offset, or has none."""

    def predict(self, arm: str, macs: float) -> Prediction:
        """Foresee the error of a network of an arm.

        The interval is that of a regression: the spread about the law, and how little the points tell of it,
        with Student's t. With an offset it is linearised.
        """
        from scipy.stats import t

        design = _design([Point(arm, macs, 1.0)], list(self.slopes), self.base_macs)
        error, gradient = _model(design, _vector(self), has_offset=self.has_offset)
        variance = 1.0 + float(gradient[0] @ self.covariance @ gradient[0])
        half = float(t.ppf(0.5 + CONFIDENCE / 2, self.freedom)) * self.spread * variance**0.5
        middle = float(error[0])
        return Prediction(middle, middle * exp(-half), min(1.0, middle * exp(min(half, 100.0))))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**vars(self), "slopes": dict(self.slopes), "covariance": self.covariance.tolist()}


def fit(points: Sequence[Point], base_macs: float) -> Law:
    """Fit the plain power law, and with an offset if the points are enough to tell one.

    Least squares on the logarithm of the error, since errors spread by a factor. Akaike's criterion,
    corrected for few points (AICc), decides: an offset must lower the squares by more than luck lets a
    further number. Of few points, three sizes say, it forbids one; then the plain law may foresee too little.

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
        return _law(plain, f"{count} networks are too few to tell an offset")
    curved = _solve(points, arms, base_macs, has_offset=True)
    gain = _aicc(plain) - _aicc(curved)
    if gain > 0:
        return _law(curved, f"an offset lowers AICc by {gain:.1f}")
    return _law(plain, f"an offset would raise AICc by {-gain:.1f}")


@dataclass(frozen=True)
class _Solution:
    arms: list[str]
    base_macs: float
    values: Array
    """Level, slopes, offset; `(1 + K,)` without one."""
    jacobian: Array
    squares: float
    count: int
    has_offset: bool


def _solve(points: Sequence[Point], arms: list[str], base_macs: float, *, has_offset: bool) -> _Solution:
    from scipy.optimize import least_squares

    design = _design(points, arms, base_macs)
    errors = np.array([point.error for point in points])
    start, *_ = np.linalg.lstsq(design, np.log(errors), rcond=None)
    low, high = np.full(len(start), -inf), np.full(len(start), inf)
    if has_offset:
        least = float(errors.min())
        start, low, high = np.append(start, least / 2), np.append(low, 0.0), np.append(high, NEARLY * least)

    def residuals(values: Array) -> Array:
        found: Array = np.log(_model(design, values, has_offset=has_offset)[0] / errors)
        return found

    def jacobian(values: Array) -> Array:
        return _model(design, values, has_offset=has_offset)[1]

    found = least_squares(residuals, start, jac=jacobian, bounds=(low, high), x_scale="jac")
    squares = float(np.sum(found.fun**2))
    return _Solution(arms, base_macs, found.x, jacobian(found.x), squares, len(points), has_offset)


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
    count, numbers = solution.count, len(solution.values) + 1
    fitted = count * log(max(solution.squares, TINY) / count) + 2 * numbers
    return fitted + 2 * numbers * (numbers + 1) / (count - numbers - 1)


def _law(solution: _Solution, reason: str) -> Law:
    freedom = solution.count - len(solution.values)
    level, *others = solution.values.tolist()
    return Law(
        base_macs=solution.base_macs,
        level=level,
        slopes=dict(zip(solution.arms, others, strict=False)),
        offset=others[-1] if solution.has_offset else 0.0,
        has_offset=solution.has_offset,
        spread=(solution.squares / freedom) ** 0.5,
        freedom=freedom,
        covariance=np.asarray(np.linalg.pinv(solution.jacobian.T @ solution.jacobian), np.float64),
        reason=reason,
    )
