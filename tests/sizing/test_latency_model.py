"""The model of latency: it finds the rates that times were made with, and foretells others by them."""

from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest
from exact_machine import CONDITIONS
from hypothesis import given
from hypothesis import strategies as st

from effnet.sizing.budget.calibration import profile
from effnet.sizing.budget.latency_model import CALIBRATION, NUM_CLASSES, Profile, by_macs, fit, learn, works
from effnet.sizing.budget.slices import slices
from effnet.spec.cost import cost
from effnet.spec.families import B0, B0_CIFAR, NETWORKS, QUICK_CIFAR
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import scale

KINDS = {part.kind for spec in CALIBRATION for part in slices(spec, NUM_CLASSES)}
TRUE_RATES = {
    kind: tuple(
        (np.random.default_rng([1, number]).uniform(0.5, 1.5, 5) * (1e-5, 1e-10, 1e-9, 1e-9, 1e-9)).tolist()
    )
    for number, kind in enumerate(sorted(KINDS))
}
BATCH = 2


def true_profile(spec: NetSpec, overhead: float = 1.0) -> Profile:
    seconds = tuple(
        float(np.dot(TRUE_RATES[part.kind], part.work(BATCH))) for part in slices(spec, NUM_CLASSES)
    )
    return Profile(seconds, overhead * sum(seconds))


@pytest.mark.parametrize("spec", [B0, NETWORKS["b7"], B0_CIFAR, QUICK_CIFAR], ids=lambda spec: spec.name)
def test_slices_are_the_layers_of_the_network(spec: NetSpec) -> None:
    cut = list(slices(spec, 10))
    assert sum(part.layer.cost.macs for part in cut) == cost(spec, 10).macs
    assert sum(part.out_elements for part in cut if part.layer.batch_norm) == sum(
        part.layer.cost.activations for part in cut if part.layer.batch_norm
    )


def test_slices_of_the_first_blocks_are_told_apart() -> None:
    assert [part.kind for part in slices(B0, 10)][:10] == [
        "dense", "depthwise 3", "squeeze", "excite", "project",
        "expand", "depthwise 3", "squeeze", "excite", "project",
    ]  # fmt: skip
    assert [part.kind for part in slices(B0, 10)][-2:] == ["head", "classify"]


def test_what_a_slice_reads_and_writes_are_feature_maps() -> None:
    stem, depthwise, squeeze, excite, project = list(slices(B0, 10))[:5]
    assert (stem.in_elements, stem.out_elements) == (3 * 224**2, 32 * 112**2)
    assert (depthwise.in_elements, depthwise.out_elements) == (32 * 112**2, 32 * 112**2)
    assert (squeeze.in_elements, squeeze.out_elements) == (32, 8)
    assert (excite.in_elements, excite.out_elements) == (32 * 112**2, 32 * 112**2)
    assert (project.in_elements, project.out_elements) == (32 * 112**2, 16 * 112**2)


def test_work_grows_with_the_batch_and_weights_do_not() -> None:
    for part in slices(B0_CIFAR, 10):
        call, *work, weights = zip(part.work(1), part.work(8), strict=True)
        assert call == (1.0, 1.0)
        assert all(of_eight == 8 * of_one for of_one, of_eight in work)
        assert weights[0] == weights[1]


def test_it_foretells_networks_it_never_saw_where_times_follow_its_form() -> None:
    model = learn(CALIBRATION, [true_profile(spec) for spec in CALIBRATION], BATCH)
    for spec in (NETWORKS["b3"], NETWORKS["b2-cifar"], scale(QUICK_CIFAR, -1), replace(B0, resolution=160)):
        assert model.seconds(spec, NUM_CLASSES) == pytest.approx(true_profile(spec).whole, rel=0.02)


def test_it_finds_how_many_weights_a_cache_holds() -> None:
    def with_cache(spec: NetSpec) -> Profile:
        work = works(tuple(slices(spec, NUM_CLASSES)), 2.0**20, BATCH)
        seconds = work @ (1e-5, 1e-11, 1e-10, 1e-10, 1e-11, 1e-9)
        return Profile(tuple(seconds.tolist()), float(seconds.sum()))

    model = learn(CALIBRATION, [with_cache(spec) for spec in CALIBRATION], BATCH)
    assert model.cache == 2.0**20
    assert model.seconds(NETWORKS["b3"], NUM_CLASSES) == pytest.approx(
        with_cache(NETWORKS["b3"]).whole, rel=1e-3
    )


def test_weights_that_fit_into_the_cache_do_not_come_from_memory() -> None:
    parts = tuple(slices(B0_CIFAR, 10))
    every = sum(part.layer.weights for part in parts)
    assert works(parts, float(every), BATCH)[:, 5].sum() == 0.0
    assert works(parts, every / 4, BATCH)[:, 5].sum() == pytest.approx(0.75 * every)


def test_what_the_clocks_change_is_made_up_for() -> None:
    model = learn(CALIBRATION, [true_profile(spec, overhead=0.9) for spec in CALIBRATION], BATCH)
    assert model.factor == pytest.approx(0.9, rel=0.01)


def test_no_rate_is_negative_whatever_the_times() -> None:
    random = np.random.default_rng(0)
    profiles = [
        Profile(tuple(random.uniform(1e-5, 1e-3, len(list(slices(spec, NUM_CLASSES))))), 1.0)
        for spec in CALIBRATION
    ]
    model = learn(CALIBRATION, profiles, BATCH)
    assert all(rate >= 0 for rates in model.rates.values() for rate in rates)


@given(st.floats(min_value=1e-6, max_value=1e6))
def test_a_fit_does_not_depend_on_the_unit_of_time(unit: float) -> None:
    work = np.array([[1.0, 10.0], [1.0, 200.0], [1.0, 3000.0]])
    seconds = unit * (work @ np.array([3.0, 0.02]))
    assert fit(work, seconds) == pytest.approx((3.0 * unit, 0.02 * unit), rel=1e-6)


def test_a_kernel_size_that_was_not_learned_takes_the_rates_of_the_nearest() -> None:
    model = learn(CALIBRATION, [true_profile(spec) for spec in CALIBRATION], BATCH)
    wide = replace(B0, stages=tuple(replace(stage, kernel_size=9) for stage in B0.stages))
    five = replace(B0, stages=tuple(replace(stage, kernel_size=5) for stage in B0.stages))
    assert model.seconds(wide, 10) > model.seconds(five, 10)


def test_macs_alone_foretell_times_that_follow_macs() -> None:
    profiles = [Profile((), 1e-3 + 1e-9 * BATCH * cost(spec, NUM_CLASSES).macs) for spec in CALIBRATION]
    foretold = by_macs(CALIBRATION, profiles, BATCH)(NETWORKS["b3"], NUM_CLASSES)
    assert foretold == pytest.approx(1e-3 + 1e-9 * BATCH * cost(NETWORKS["b3"]).macs, rel=1e-6)


def test_a_profile_has_a_time_for_each_slice() -> None:
    spec = scale(B0_CIFAR, -8)
    found = profile(spec, CONDITIONS, perf_counter)
    assert len(found.slices) == len(list(slices(spec, NUM_CLASSES)))
    assert min(found.slices) > 0
    assert found.whole > 0
