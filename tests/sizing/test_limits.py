"""Limits: how their values are read, and what they refuse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effnet.errors import UsageError
from effnet.sizing.budget.limits import KINDS, LATENCY, Limits, at_least_one, read_limits, read_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5000000", 5e6),
        ("5_000_000", 5e6),
        ("5e6", 5e6),
        ("5M", 5e6),
        ("5 M", 5e6),
        ("0.4G", 4e8),
        (".5k", 500.0),
        ("12.", 12.0),
        ("2.5", 2.5),
    ],
)
def test_numbers_are_read_with_units_and_exponents(text: str, number: float) -> None:
    assert read_limits({"max_params": text}).max_params == pytest.approx(number)


@given(st.floats(min_value=1e-3, max_value=1e12))
def test_any_number_is_read_as_python_writes_it(number: float) -> None:
    assert read_limits({"max_macs": str(number)}) == read_limits({"max_macs": number})


@pytest.mark.parametrize("text", ["", "M", "5X", "5m", "five", "5 M M", "1e", "--", "nan", "5,5", "inf"])
def test_what_is_no_number_is_refused_by_its_flag(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_limits({"max_latency_ms": text})
    assert str(caught.value) == (
        f"--max-latency-ms {text}: must be a number such as 5000000, 5e6 or 5M; units are k, M and G"
    )


@pytest.mark.parametrize("value", ["0", "-5", 0, -0.1, float("nan"), float("inf"), "1e999"])
def test_a_limit_is_a_finite_number_above_zero(value: object) -> None:
    with pytest.raises(UsageError, match=r"--max-params \S+: must be a finite number above 0"):
        read_limits({"max_params": value})


def test_a_limit_of_another_type_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--max-params \[5\]: must be a number"):
        read_limits({"max_params": [5]})


def test_what_is_no_text_stays_for_the_check_of_types() -> None:
    assert read_number(5) == 5


def test_a_budget_without_limits_lists_them_all() -> None:
    with pytest.raises(UsageError) as caught:
        at_least_one(Limits())
    assert all(kind.flag in str(caught.value) for kind in KINDS)


def test_costs_up_to_the_limit_keep_it() -> None:
    limits = Limits(max_params=10, max_latency_ms=5)
    assert limits.broken_by({"params": 10, "latency_ms": 5.0}) == ()
    assert [kind.cost for kind in limits.broken_by({"params": 11, "latency_ms": 5.1})] == [
        "params",
        "latency_ms",
    ]


def test_what_was_not_measured_breaks_no_limit() -> None:
    assert Limits(max_latency_ms=5).broken_by({"latency_ms": None}) == ()


def test_limits_say_themselves_as_flags_and_as_values() -> None:
    limits = Limits(max_params=5e6, max_latency_ms=5)
    assert limits.words() == "--max-params 5e+06, --max-latency-ms 5"
    assert limits.to_dict() == {"max_params": 5e6, "max_latency_ms": 5.0}


def test_a_cost_that_is_infinite_is_said_in_words() -> None:
    assert LATENCY.write(12.3456) == "12.35 ms a batch"
    assert LATENCY.write(float("inf")) == "more memory than there is"
