"""The search on a machine whose times are exact: what is found is the largest network within, and why."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, repeat
from typing import Any

import pytest
from exact_machine import CONDITIONS, NUM_CLASSES, Machine, exact_seconds

from effnet.errors import EffnetError
from effnet.sizing.budget.limits import Limits
from effnet.sizing.budget.measures import Gauges, Measures, largest_map
from effnet.sizing.budget.sized import Row
from effnet.sizing.budget.solver import Solver
from effnet.spec.cost import cost
from effnet.spec.families import B0, B0_CIFAR
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import PAPER
from effnet.spec.solve import Scaled, ladder

RUNGS = ladder(B0_CIFAR, PAPER, -6.0, 2.0)


def memory_of(spec: NetSpec) -> float:
    return 3e8 + 8.0 * cost(spec, NUM_CLASSES).params


def minutes_of(rung: Scaled) -> float:
    return 1 + exact_seconds(rung.spec) * 100


class Case:
    """A search, and what it did on the way."""

    def __init__(
        self, machine: Machine | None = None, rungs: tuple[Scaled, ...] = RUNGS, **limits: Any
    ) -> None:
        self.machine = machine or Machine()
        self.said: list[str] = []
        gauges = Gauges(self.machine.timer(), exact_seconds, memory_of, minutes_of, num_trained=1000)
        self.limits = Limits(**limits)
        self.rungs = rungs
        self.solver = Solver(rungs, self.limits, Measures(CONDITIONS, gauges, self.said.append))

    @property
    def place(self) -> int:
        return self.solver.solve()

    @property
    def rows(self) -> list[Row]:
        return self.solver.around(self.place)


def last(kept: Any) -> int:
    return max(place for place, rung in enumerate(RUNGS) if kept(rung.spec))


@pytest.mark.parametrize(("name", "most"), [("params", 3e6), ("macs", 1e8), ("activations", 1e6)])
def test_what_is_counted_needs_no_measuring(name: str, most: float) -> None:
    case = Case(**dict[str, Any]({f"max_{name}": most}))
    assert case.place == last(lambda spec: getattr(cost(spec, NUM_CLASSES), name) <= most)
    assert case.machine.built == []


def test_several_limits_hold_together() -> None:
    case = Case(max_params=3e6, max_macs=1e8, max_latency_ms=1e3)
    assert case.place == last(lambda spec: cost(spec, 10).params <= 3e6 and cost(spec, 10).macs <= 1e8)


@pytest.mark.parametrize("milliseconds", [20.0, 50.0, 700.0])
def test_latency_is_found_with_two_measurements_where_the_model_is_right(milliseconds: float) -> None:
    case = Case(max_latency_ms=milliseconds)
    assert case.place == last(lambda spec: 1e3 * exact_seconds(spec) <= milliseconds)
    assert len(case.machine.built) == 2


def test_memory_and_training_time_are_limits_too() -> None:
    assert Case(max_memory_mb=320).place == last(lambda spec: memory_of(spec) <= 3.2e8)
    assert Case(max_train_minutes=20).place == last(lambda spec: 1 + exact_seconds(spec) * 100 <= 20)


def test_the_tightest_of_all_measured_limits_decides() -> None:
    limits: dict[str, Any] = {"max_latency_ms": 200.0, "max_memory_mb": 320.0, "max_train_minutes": 10.0}
    assert Case(**limits).place == min(Case(**{name: value}).place for name, value in limits.items())


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            {"max_params": 1000},
            "--max-params 1000 cannot be reached: the smallest network, φ = -5.98 at 12×12 pixels",
        ),
        ({"max_latency_ms": 0.001}, "--max-latency-ms 0.001 cannot be reached"),
        ({"max_memory_mb": 100}, "takes 307 MB of memory; raise the limit"),
        ({"max_train_minutes": 0.5}, "minutes of training; raise the limit"),
        ({"max_params": 10, "max_macs": 20}, "--max-params 10 and --max-macs 20 cannot be reached"),
    ],
)
def test_a_budget_below_the_smallest_network_says_what_that_costs(
    limits: dict[str, Any], message: str
) -> None:
    with pytest.raises(EffnetError) as caught:
        Case(**limits).solver.solve()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_binding_limit_the_largest_of_all_is_taken() -> None:
    case = Case(max_params=1e12)
    assert case.place == len(RUNGS) - 1
    assert case.rows[-1].phi == RUNGS[-1].phi


def test_rows_show_the_chosen_one_the_next_one_and_some_around() -> None:
    case = Case(max_latency_ms=50)
    place, rows = case.place, case.rows
    phi = RUNGS[place].phi
    assert [row.phi for row in rows] == sorted(row.phi for row in rows)
    assert {phi, RUNGS[place + 1].phi} <= {row.phi for row in rows}
    for step in (-1.0, -0.5, 0.5, 1.0):
        assert min(abs(row.phi - phi - step) for row in rows) < 0.07


def test_rows_have_all_costs_and_what_they_break() -> None:
    for row in Case(max_latency_ms=50, max_params=5e6).rows:
        seconds = exact_seconds(row.spec)
        assert row.costs["latency_ms"] == pytest.approx(1e3 * seconds)
        assert row.costs["memory_mb"] == pytest.approx(memory_of(row.spec) / 1e6)
        assert row.costs["params"] == cost(row.spec, NUM_CLASSES).params
        assert row.costs["train_minutes"] is None
        assert ("latency" in [kind.words for kind in row.breaks]) == (seconds > 0.05)
        assert row.throughput(batch=8) == pytest.approx(8 / seconds)


def test_for_a_training_only_what_is_limited_is_measured() -> None:
    case = Case(max_params=3e6, max_train_minutes=20)
    chosen, following = case.solver.pair(case.place)
    assert following.phi > chosen.phi
    assert chosen.costs["memory_mb"] is None
    assert chosen.costs["train_minutes"] == minutes_of(Scaled(chosen.phi, chosen.spec))


def test_what_cannot_be_measured_is_left_open() -> None:
    gauges = Gauges(Machine().timer(), exact_seconds)
    solver = Solver(RUNGS, Limits(max_params=1e6), Measures(CONDITIONS, gauges, print))
    assert {row.costs["memory_mb"] for row in solver.around(solver.solve())} == {None}


def test_each_measurement_is_told_once() -> None:
    case = Case(max_memory_mb=320)
    case.solver.solve()
    case.solver.solve()
    assert len(case.said) == len(set(case.said)) > 0
    assert all(line.startswith("φ = ") and line.endswith("MB of memory") for line in case.said)


def restless(amount: float) -> Any:
    """Make the first runs of each network too fast or too slow by turns of the networks, the others right."""
    numbers = count()

    def mood(spec: NetSpec) -> Iterator[float]:
        factor = 1 + amount if next(numbers) % 2 else 1 - amount
        runs = max(3, int(0.3 / exact_seconds(spec)))
        yield from repeat(factor, runs)
        yield from repeat(1.0)

    return mood


@pytest.mark.parametrize("amount", [0.02, 0.05])
def test_noise_in_the_first_measurements_does_not_decide(amount: float) -> None:
    exact, noisy = Case(max_latency_ms=50), Case(Machine(restless(amount)), max_latency_ms=50)
    assert noisy.place == exact.place


def test_noise_in_one_timing_of_a_training_does_not_decide() -> None:
    exact, noisy = Case(max_train_minutes=20), Case(max_train_minutes=20)
    late = {RUNGS[exact.place].spec}

    def minutes(rung: Scaled) -> float:
        disturbed = rung.spec in late
        late.discard(rung.spec)
        return minutes_of(rung) * (1.05 if disturbed else 1.0)

    gauges = replace(noisy.solver.measures.gauges, minutes=minutes)
    measures = Measures(CONDITIONS, gauges, noisy.said.append)
    assert Solver(RUNGS, noisy.limits, measures).solve() == exact.place


def ever_faster() -> Any:
    """Make every run of any network faster than the one before, down to a tenth."""
    runs = count()
    return lambda spec: (max(0.1, 0.99 ** next(runs)) for _ in count())


def test_a_machine_that_never_rests_gets_a_warning_and_a_network_within() -> None:
    case = Case(Machine(ever_faster()), max_latency_ms=50)
    place = case.place
    assert case.solver.measures.value(case.solver.limited[0], RUNGS[place]) <= 50
    assert any("a free machine decides" in line for line in case.said)


class Full(Machine):
    """A machine whose memory some networks do not fit into."""

    def prepare(self, spec: NetSpec) -> Any:
        if cost(spec, NUM_CLASSES).params > 2e6:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return super().prepare(spec)


def test_what_does_not_fit_into_memory_is_too_slow_and_not_shown() -> None:
    case = Case(Full(), max_latency_ms=1e6)
    assert case.place == last(lambda spec: cost(spec, NUM_CLASSES).params <= 2e6)
    assert {row.costs["params"] <= 2e6 for row in case.rows} == {True}  # type: ignore[operator]


class Broken(Machine):
    """A machine that fails for another reason."""

    def prepare(self, spec: NetSpec) -> Any:
        raise RuntimeError("something else")


def test_other_failures_are_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="something else"):
        Case(Broken(), max_latency_ms=5).solver.solve()


def test_the_largest_map_of_b0_is_that_of_its_first_expansion() -> None:
    assert largest_map(B0) == 96 * 112 * 112
