"""Several comparisons at once: what may still be claimed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effnet.evaluation.significance import holm
from effnet.sizing.statistics import Comparison

P = st.lists(st.floats(0, 1), max_size=8)


def comparison(half: float, difference: float = 0.01, p_value: float = 0.02) -> Comparison:
    around = (difference - half, difference + half)
    return Comparison(difference, around, around, p_value, num_seeds=3)


def test_holm_multiplies_the_smallest_by_the_number_of_comparisons() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_of_no_comparisons_there_is_nothing_to_correct() -> None:
    assert holm([]) == []


@given(P)
def test_correction_never_makes_surer_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, corrected, strict=True))
    assert [corrected[i] for i in sorted(range(len(corrected)), key=p_values.__getitem__)] == sorted(
        corrected
    )


@given(P.filter(len))
def test_correction_lies_between_one_and_all(p_values: list[float]) -> None:
    assert min(holm(p_values)) == pytest.approx(min(1.0, len(p_values) * min(p_values)))


def test_an_interval_that_touches_zero_has_a_p_value_of_a_twentieth() -> None:
    assert comparison(half=0.01).image_p_value == pytest.approx(0.05, abs=1e-3)


def test_a_claim_needs_seeds_and_images() -> None:
    assert comparison(half=0.1).claim_p_value > 0.5
    assert comparison(half=0.001).claim_p_value == 0.02


def test_no_spread_over_images_is_sure_of_a_difference_or_of_none() -> None:
    assert comparison(half=0.0).image_p_value == 0.0
    assert comparison(half=0.0, difference=0.0).image_p_value == 1.0
