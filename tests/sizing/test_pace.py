"""Foreseeing the time of many trials from a few timed steps."""

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effnet import config as configuration
from effnet.config import TrainConfig
from effnet.data.datasets import open_digits
from effnet.sizing.pace import (
    START_SECONDS,
    Load,
    Pace,
    forecast_seconds,
    load_of,
    pace_at,
    time_network,
)
from effnet.training.forecast import duration
from effnet.training.parts import assemble
from effnet.training.reporter import Silent
from effnet.training.setup import build_spec


def tiny(**settings: Any) -> TrainConfig:
    small = {"phi": -8.0, "resolution": 8, "epochs": 1, "device": "cpu"}
    return configuration.override(configuration.load_recipe("digits"), small | settings)


SMALL, LARGE = Pace(10, 0.1, 0.001), Pace(1000, 2.5, 0.1)


def load(macs: int = 10, limit: float = inf) -> Load:
    return Load(macs, steps=100, judged=1000, limit=limit)


def test_steps_and_evaluations_are_added_up() -> None:
    assert SMALL.seconds(load()) == pytest.approx(START_SECONDS + 100 * 0.1 + 1000 * 0.001)


def test_a_training_takes_no_longer_than_its_limit() -> None:
    assert LARGE.seconds(load(limit=60.0)) == 60.0


def test_trials_are_added_up() -> None:
    both = forecast_seconds([load(10), load(1000)], [SMALL, LARGE])
    assert both == pytest.approx(SMALL.seconds(load()) + LARGE.seconds(load()))


def test_in_between_time_follows_a_power_of_the_cost() -> None:
    assert pace_at(100, [LARGE, SMALL]).step_seconds == pytest.approx((0.1 * 2.5) ** 0.5)


def test_beyond_what_was_timed_time_is_proportional() -> None:
    assert pace_at(2000, [SMALL, LARGE]).step_seconds == pytest.approx(5.0)
    assert pace_at(5, [SMALL, LARGE]).step_seconds == pytest.approx(0.05)
    assert pace_at(20, [SMALL]).step_seconds == pytest.approx(0.2)


@given(st.integers(1, 10**5), st.integers(1, 10**5))
def test_more_takes_longer(one: int, other: int) -> None:
    low, high = sorted((one, other))
    paces = [SMALL, LARGE]
    assert pace_at(low, paces).step_seconds <= pace_at(high, paces).step_seconds * (1 + 1e-9)


def test_what_a_training_does_is_counted() -> None:
    parts = assemble(open_digits(), tiny(epochs=3, batch_size=100))
    counted = load_of(parts)
    assert counted.steps == 3 * (len(parts.splits.train) // 100)
    assert counted.judged == 2 * 3 * len(parts.splits.val)
    assert counted.limit == inf


def test_a_limit_and_no_average_are_counted() -> None:
    parts = assemble(open_digits(), tiny(epochs=3, max_minutes=2.0, optim={"ema_decay": 0.0}))
    counted = load_of(parts)
    assert counted.judged == 3 * len(parts.splits.val)
    assert counted.limit == 120.0


def test_a_network_is_timed() -> None:
    config = tiny()
    pace = time_network(open_digits(), config, build_spec(config), Silent())
    assert pace.step_seconds > 0
    assert pace.image_seconds > 0


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "1 seconds"), (89, "89 seconds"), (600, "10 minutes"), (7200, "2.0 hours")]
)
def test_times_are_said_for_people(seconds: float, words: str) -> None:
    assert duration(seconds) == words
