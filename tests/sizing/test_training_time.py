"""What a whole training takes: counted from the seconds of a step and of an image."""

from dataclasses import replace
from typing import Any

import pytest

from effnet import config as configuration
from effnet.config import load_recipe
from effnet.data.datasets import open_digits
from effnet.data.splits import Splits
from effnet.sizing.budget.training_time import TrainingTime, few
from effnet.spec.solve import Scaled
from effnet.training.duration import FINISH_SECONDS
from effnet.training.setup import build_spec


def timed(**settings: Any) -> TrainingTime:
    return TrainingTime(open_digits(), configuration.override(load_recipe("digits"), settings))


def sizes(splits: Splits) -> tuple[int, int, int]:
    assert splits.test is not None
    return len(splits.train), len(splits.val), len(splits.test)


def test_all_steps_count_and_validation_and_the_test() -> None:
    time = timed(epochs=7, batch_size=100, optim={"ema_decay": 0.0})
    train, val, test = sizes(time.splits)
    expected = 7 * ((train // 100) * 2.0 + val * 0.5) + test * 0.5 + (train + val + test) * 0.1
    assert time.total(2.0, 0.5, 0.1) == pytest.approx(expected + FINISH_SECONDS)
    assert time.num_trained == 7 * train


def test_averaged_weights_are_validated_too() -> None:
    one, two = timed(epochs=1, optim={"ema_decay": 0.0}), timed(epochs=1, optim={"ema_decay": 0.9})
    val = len(one.splits.val)
    assert two.total(1.0, 1.0, 1.0) - one.total(1.0, 1.0, 1.0) == pytest.approx(val)


def test_a_batch_larger_than_the_data_is_one_step() -> None:
    time = timed(epochs=1, batch_size=50_000)
    assert time.total(1.0, 0.0, 0.0) == pytest.approx(1.0 + FINISH_SECONDS)


def test_real_steps_are_taken_on_some_of_the_images() -> None:
    time = timed(model="b0-cifar", resolution=8, epochs=1, batch_size=16)
    network = Scaled(-9.0, build_spec(replace(time.config, phi=-9.0)))
    assert 60 * time.minutes(network) > FINISH_SECONDS


def test_images_to_time_with_are_spread_over_all() -> None:
    splits = timed().splits
    part = few(splits, batch_size=10)
    assert len(part.train) == 40
    assert part.train.names[0] == splits.train.names[0]
    assert part.train.names[-1] == splits.train.names[-1]
    assert few(splits, batch_size=100_000).train.names == splits.train.names
