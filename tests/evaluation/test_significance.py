"""Intervals and tests of differences, against counting and against the probabilities they promise."""

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effnet.evaluation.significance import difference_interval, mcnemar

COUNTS = st.integers(0, 60)


def by_hand(only_first: int, only_second: int) -> float:
    """Twice the tail of the fair coin's distribution, at most 1."""
    total, few = only_first + only_second, min(only_first, only_second)
    tail = sum(comb(total, k) for k in range(few + 1))
    return min(1.0, float(2 * tail / 2**total))


@given(COUNTS, COUNTS)
def test_mcnemar_is_the_sign_test_on_what_only_one_is_right_about(first: int, second: int) -> None:
    assert mcnemar(first, second) == pytest.approx(by_hand(first, second))
    assert mcnemar(first, second) == mcnemar(second, first)


def test_without_different_answers_both_are_equally_good() -> None:
    assert mcnemar(0, 0) == 1.0


def test_one_different_answer_is_no_proof_and_six_on_one_side_are() -> None:
    assert mcnemar(1, 0) == 1.0
    assert mcnemar(6, 0) == pytest.approx(2 / 64)


@given(COUNTS, COUNTS, st.integers(1, 100))
def test_the_interval_surrounds_the_middle_and_turns_round_with_the_models(
    first: int, second: int, same: int
) -> None:
    total = first + second + same
    low, high = difference_interval(first, second, total)
    assert -1 <= low < (first - second) / (total + 2) < high <= 1
    assert difference_interval(second, first, total) == pytest.approx((-high, -low))


def test_equal_answers_on_one_image_tell_next_to_nothing() -> None:
    low, high = difference_interval(0, 0, 1)
    assert low < -0.8
    assert high > 0.8


def test_with_many_images_the_interval_is_that_of_the_normal_approximation() -> None:
    gains = np.repeat([1.0, -1.0, 0.0], [300, 200, 9_500])
    half = 1.96 * gains.std() / np.sqrt(len(gains))
    assert difference_interval(300, 200, 10_000) == pytest.approx((0.01 - half, 0.01 + half), abs=2e-5)


@pytest.mark.parametrize(("first", "second"), [(0.05, 0.05), (0.2, 0.1), (0.02, 0.15), (0.3, 0.3)])
def test_the_interval_holds_the_true_difference_in_nineteen_of_twenty_cases(
    first: float, second: float
) -> None:
    """Summed over all outcomes of 40 images, each with its multinomial probability."""
    total, covered = 40, 0.0
    for a, b in product(range(total + 1), repeat=2):
        if a + b <= total:
            low, high = difference_interval(a, b, total)
            if low <= first - second <= high:
                ways = comb(total, a) * comb(total - a, b)
                covered += ways * first**a * second**b * (1 - first - second) ** (total - a - b)
    assert 0.94 < covered < 0.99
