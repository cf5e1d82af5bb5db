"""Candidates: on the surface, of equal cost after rounding, each network once; too few are explained."""

import re
from dataclasses import replace
from itertools import product
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effnet.errors import UsageError
from effnet.sizing.search.candidates import (
    Candidate,
    candidates,
    distinct,
    grid,
    nearest,
    on_surface,
    values,
)
from effnet.spec.cost import cost
from effnet.spec.families import B0, QUICK_CIFAR
from effnet.spec.scale import PAPER, Coefficients, scale
from effnet.spec.solve import shape
from tiny_search import BASE, space

steps = st.sampled_from([0.05, 0.1, 0.15, 0.2, 0.25])
tolerances = st.floats(0.01, 0.5)
shares = st.floats(0.0, 1.0)


def off_surface(point: tuple[float, ...]) -> float:
    alpha, beta, gamma = point
    return abs(alpha * beta**2 * gamma**2 / 2 - 1)


def names(found: tuple[Candidate, ...]) -> list[str]:
    return [candidate.name for candidate in found]


@given(step=steps, tolerance=tolerances)
def test_points_of_the_grid_double_the_cost_within_the_tolerance(step: float, tolerance: float) -> None:
    for point in grid(step, tolerance):
        assert min(point.alpha, point.beta, point.gamma) >= 1
        assert abs(point.cost_factor / 2 - 1) <= tolerance + 1e-6


@given(step=steps, tolerance=tolerances)
def test_no_point_within_the_tolerance_is_missing(step: float, tolerance: float) -> None:
    axis = [round(1 + index * step, 6) for index in range(int(3 / step) + 1)]
    inside = {point for point in product(axis, repeat=3) if off_surface(point) <= tolerance - 1e-6}
    assert inside <= {(point.alpha, point.beta, point.gamma) for point in grid(step, tolerance)}


def test_values_are_the_decimals_one_would_write() -> None:
    assert list(values(0.05, 1.3)) == [1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3]


def test_the_grid_of_the_paper_has_its_coefficients() -> None:
    assert PAPER in grid(0.05, 0.1)


def test_the_target_is_what_phi_promises() -> None:
    assert space(phi=3.0).target == 8 * cost(BASE, 10).macs
    assert space(phi=-1.0).target == cost(BASE, 10).macs / 2


@pytest.mark.parametrize("phi", [-1.0, 1.0, 2.0])
def test_candidates_cost_the_same_within_the_tolerance(phi: float) -> None:
    searched = replace(space(phi=phi, step=0.05, cost_tolerance=0.1), base=QUICK_CIFAR)
    found = candidates(searched)
    assert len(found) > 2
    for candidate in found:
        assert candidate.spec == scale(QUICK_CIFAR, phi, candidate.coefficients)
        assert candidate.macs == cost(candidate.spec, 10).macs
        assert abs(candidate.macs / searched.target - 1) <= 0.1


def test_rounding_makes_the_papers_coefficients_too_dear_for_b0() -> None:
    searched = replace(space(cost_tolerance=0.1), base=B0, num_classes=1000)
    assert searched.ratio(searched.candidate(PAPER)) == pytest.approx(2.229 / 2, abs=0.001)


def test_each_network_is_a_candidate_once() -> None:
    found = candidates(replace(space(step=0.05), base=QUICK_CIFAR))
    assert len({shape(candidate.spec) for candidate in found}) == len(found)


def test_the_point_nearest_to_the_surface_stands_for_a_network() -> None:
    searched = space()
    same = [searched.candidate(Coefficients(alpha, 1.0, 1.0)) for alpha in (1.9, 1.6, 2.1, 1.8)]
    assert len({shape(candidate.spec) for candidate in same[:2] + same[3:]}) == 1
    assert names(tuple(distinct([*same[:2], same[3]]))) == ["1.9 1 1"]


def test_the_base_is_no_candidate() -> None:
    tiny = space(phi=0.4, step=0.05, tolerance=0.3, cost_tolerance=1.0)
    points = [tiny.candidate(point) for point in grid(tiny.step, tiny.tolerance)]
    assert shape(BASE) in {shape(point.spec) for point in points}
    assert shape(BASE) not in {shape(candidate.spec) for candidate in candidates(tiny)}


def test_phi_zero_is_refused() -> None:
    with pytest.raises(UsageError, match=r"phi = 0 is the base itself"):
        candidates(space(phi=0.0))


def test_a_phi_that_changes_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match=r"phi = -0.01: all of the grid rounds to tiny itself"):
        candidates(space(phi=-0.01))


def test_images_below_the_total_stride_are_refused() -> None:
    small = replace(space(), base=replace(B0, resolution=16))
    with pytest.raises(UsageError, match=r"b0 at 16×16 pixels: that is below its total stride of 32.*-cifar"):
        candidates(small)


def test_too_coarse_a_grid_names_its_nearest_misses() -> None:
    with pytest.raises(
        UsageError, match=r"step 0.9 has 0 points.*nearest misses: 1.9 1 1 \(1.900\)"
    ) as raised:
        candidates(space(step=0.9, tolerance=0.04))
    assert "take a finer --step" in str(raised.value)


def test_too_tight_a_cost_names_its_nearest_misses() -> None:
    with pytest.raises(UsageError, match=r"rounding leaves 1 within 6%.*nearest misses: 2 1 1 \(× 1\.07\)"):
        candidates(space(cost_tolerance=0.06))


@pytest.mark.parametrize("cost_tolerance", [0.001, 0.02, 0.06])
def test_the_tolerance_that_is_advised_suffices(cost_tolerance: float) -> None:
    with pytest.raises(UsageError) as raised:
        candidates(space(cost_tolerance=cost_tolerance))
    advised = re.search(r"--cost-tolerance (\S+)$", str(raised.value))
    assert advised is not None
    assert len(candidates(space(cost_tolerance=float(advised[1])))) >= 2


@given(u=shares, v=shares)
def test_drawn_points_lie_on_the_surface(u: float, v: float) -> None:
    depth, width, resolution = on_surface(u, v)
    assert min(depth, width, resolution) >= 0
    assert depth + width + resolution == pytest.approx(1)
    assert 2**depth * (2 ** (width / 2)) ** 2 * (2 ** (resolution / 2)) ** 2 == pytest.approx(2)


def test_uniform_draws_fill_the_surface_evenly() -> None:
    numbers = [(index + 0.5) / 100 for index in range(100)]
    points = [on_surface(u, v) for u in numbers for v in numbers]
    for part in range(3):
        assert sum(point[part] for point in points) / len(points) == pytest.approx(1 / 3, abs=0.01)
        assert sum(point[part] > 0.5 for point in points) / len(points) == pytest.approx(1 / 4, abs=0.02)


@given(u=shares, v=shares)
def test_a_drawn_point_becomes_the_nearest_candidate(u: float, v: float) -> None:
    found = candidates(space())
    point = on_surface(u, v)
    chosen = nearest(point, found)
    gaps = {c.name: sum((a - b) ** 2 for a, b in zip(c.shares, point, strict=True)) for c in found}
    assert gaps[chosen.name] == min(gaps.values())


def test_shares_are_logarithms_of_the_factors() -> None:
    candidate = space().candidate(Coefficients(1.2, 1.1, 1.15))
    whole = log2(1.2 * 1.1**2 * 1.15**2)
    assert candidate.shares == pytest.approx(
        (log2(1.2) / whole, 2 * log2(1.1) / whole, 2 * log2(1.15) / whole)
    )
