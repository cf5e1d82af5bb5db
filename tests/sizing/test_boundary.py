"""The last place within a limit is found, whatever the estimates say."""

from hypothesis import given
from hypothesis import strategies as st

from effnet.sizing.budget.boundary import last_within

values = st.lists(st.floats(min_value=0.1, max_value=1e6), min_size=1, max_size=200).map(sorted)


@given(values, st.floats(min_value=0.05, max_value=2e6), st.randoms())
def test_it_is_what_a_walk_through_all_would_find(costs: list[float], limit: float, random: object) -> None:
    wrong = {place: 10 ** random.uniform(-3, 3) for place in range(len(costs))}  # type: ignore[attr-defined]
    estimates = sorted(cost * wrong[place] for place, cost in enumerate(costs))
    found = last_within(limit, costs.__getitem__, estimates.__getitem__, range(len(costs)))
    within = [place for place, cost in enumerate(costs) if cost <= limit]
    assert found == (within[-1] if within else None)


def tries(costs: list[float], limit: float, estimates: list[float]) -> list[int]:
    measured: list[int] = []

    def measure(place: int) -> float:
        measured.append(place)
        return costs[place]

    last_within(limit, measure, estimates.__getitem__, range(len(costs)))
    return measured


COSTS = [1.02**place for place in range(700)]


def test_right_estimates_leave_two_measurements() -> None:
    assert tries(COSTS, 1.02**300 * 1.01, COSTS) == [300, 301]


def test_estimates_that_are_wrong_by_a_factor_cost_one_more() -> None:
    assert len(tries(COSTS, 1.02**300 * 1.01, [3 * cost for cost in COSTS])) == 3


def test_useless_estimates_cost_little_more_than_bisection() -> None:
    assert len(tries(COSTS, 1.02**300 * 1.01, [1.0] * 700)) < 30


def test_nothing_is_measured_twice() -> None:
    measured = tries(COSTS, 1e3, [cost**0.5 for cost in COSTS])
    assert len(set(measured)) == len(measured)


def test_a_network_that_cannot_run_is_beyond_the_limit() -> None:
    costs = [*COSTS[:50], *[float("inf")] * 50]
    assert last_within(1e9, costs.__getitem__, lambda place: 1.0, range(100)) == 49
