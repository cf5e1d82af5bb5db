"""Draws are uniform, independent, and a function of (seed, epoch, index) alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from effnet.data.randomness import permutation, step_seed, uniform

seeds = st.integers(0, 2**63 - 1)
epochs = st.integers(0, 100_000)


def draws_of(seed: int = 0, epoch: int = 0, count: int = 1, images: int = 10_000) -> NDArray[np.float64]:
    return uniform(seed, epoch, np.arange(images), count)


@given(seed=seeds, epoch=epochs, first=st.integers(0, 2**40), count=st.integers(0, 40))
def test_draws_are_in_the_unit_interval(seed: int, epoch: int, first: int, count: int) -> None:
    draws = uniform(seed, epoch, np.arange(first, first + 20), count)
    assert (draws.shape, draws.dtype.name) == ((20, count), "float64")
    assert ((draws >= 0) & (draws < 1)).all()


@given(seed=seeds, epoch=epochs, order=st.permutations(range(12)), size=st.integers(1, 12))
def test_an_image_draws_the_same_in_any_batch(seed: int, epoch: int, order: list[int], size: int) -> None:
    together = draws_of(seed, epoch, count=5, images=12)
    batch = np.array(order[:size])
    assert np.array_equal(uniform(seed, epoch, batch, 5), together[batch])


def test_more_draws_do_not_change_the_first_ones() -> None:
    assert np.array_equal(draws_of(count=9)[:, :4], draws_of(count=4))


def test_draws_are_spread_evenly() -> None:
    counts, _ = np.histogram(draws_of(count=10), bins=100, range=(0, 1))
    assert stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("position", range(4))
def test_each_position_is_uniform_over_the_images(position: int) -> None:
    assert stats.kstest(draws_of(count=4)[:, position], "uniform").pvalue > 0.001


def test_one_image_is_uniform_over_the_epochs() -> None:
    draws = [uniform(0, epoch, np.array([7]), 1)[0, 0] for epoch in range(3000)]
    assert stats.kstest(draws, "uniform").pvalue > 0.001


def test_one_image_is_uniform_over_the_seeds() -> None:
    draws = [uniform(seed, 0, np.array([7]), 1)[0, 0] for seed in range(3000)]
    assert stats.kstest(draws, "uniform").pvalue > 0.001


def assert_unrelated(one: NDArray[np.float64], other: NDArray[np.float64]) -> None:
    """Assert that 10,000 pairs of draws are as little correlated as independent ones (5 sigma is 0.05)."""
    assert one.shape == other.shape == (10_000,)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.05
    cells, _, _ = np.histogram2d(one, other, bins=8, range=((0, 1), (0, 1)))
    assert stats.chisquare(cells.ravel()).pvalue > 0.001


def test_neighbouring_epochs_are_unrelated() -> None:
    assert_unrelated(draws_of(epoch=3)[:, 0], draws_of(epoch=4)[:, 0])


def test_neighbouring_seeds_are_unrelated() -> None:
    assert_unrelated(draws_of(seed=3)[:, 0], draws_of(seed=4)[:, 0])


def test_seed_and_epoch_are_not_interchangeable() -> None:
    assert_unrelated(draws_of(seed=1, epoch=2)[:, 0], draws_of(seed=2, epoch=1)[:, 0])


def test_neighbouring_images_are_unrelated() -> None:
    draws = draws_of(images=10_001)[:, 0]
    assert_unrelated(draws[1:], draws[:-1])


@pytest.mark.parametrize(("one", "other"), [(0, 1), (0, 2), (1, 2), (3, 4)])
def test_draws_of_one_image_are_unrelated(one: int, other: int) -> None:
    draws = draws_of(count=5)
    assert_unrelated(draws[:, one], draws[:, other])


def test_an_images_second_draw_is_not_its_neighbours_first() -> None:
    draws = draws_of(count=2, images=10_001)
    assert_unrelated(draws[:-1, 1], draws[1:, 0])


@given(seed=seeds, epoch=epochs, count=st.integers(0, 300))
def test_an_order_holds_every_image_once(seed: int, epoch: int, count: int) -> None:
    order = permutation(seed, epoch, count)
    assert order.dtype.name == "int64"
    assert np.array_equal(np.sort(order), np.arange(count))


def test_orders_differ_by_epoch_and_by_seed() -> None:
    orders = {tuple(permutation(seed, epoch, 20)) for seed in range(10) for epoch in range(10)}
    assert len(orders) == 100


def test_all_orders_are_equally_likely() -> None:
    orders = [tuple(permutation(0, epoch, 4)) for epoch in range(4800)]
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 0.001


def test_the_place_of_an_image_is_unrelated_to_what_it_draws() -> None:
    places = np.argsort(permutation(0, 0, 10_000))
    assert_unrelated(places / 10_000, draws_of(seed=0, epoch=0)[:, 0])


@given(seed=seeds, step=st.integers(0, 10**9))
def test_step_seeds_are_what_torch_accepts(seed: int, step: int) -> None:
    assert 0 <= step_seed(seed, step) < 2**63


def test_step_seeds_do_not_repeat() -> None:
    assert len({step_seed(seed, step) for seed in range(20) for step in range(500)}) == 10_000
