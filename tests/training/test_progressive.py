"""Progressive learning: images and regularisation grow together, and everything else goes by it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import digits, fit, tiny
from whole_runs import Listener, StopError, assert_same_run

import effnet
from effnet.config import AugmentConfig, TrainConfig
from effnet.data.augment import Augment
from effnet.data.loaders import EvalLoader, TrainLoader
from effnet.errors import UsageError
from effnet.imaging.preprocess import Preprocess
from effnet.network.model import ConvNet
from effnet.training import forecast
from effnet.training.course import Course
from effnet.training.duration import measure
from effnet.training.lessons import lessons, sizes, weakened
from effnet.training.loop import Trainer
from effnet.training.optim import Horizon
from effnet.training.reporter import StepRecord
from effnet.training.setup import build_preprocess, build_spec
from effnet.transfer.settings import ProgressiveConfig
from tiny_origins import FEW

GROWING: dict[str, Any] = {
    "epochs": 4,
    "progressive": {"stages": 4, "first_size": 0.5, "first_strength": 0.0},
}


def trainer(config: TrainConfig) -> Trainer:
    spec = build_spec(config)
    preprocess = build_preprocess(config, spec)
    taught = lessons(config, spec, preprocess, 10)
    torch.manual_seed(config.seed)
    trained = Trainer(
        ConvNet(spec, 10),
        TrainLoader(digits(0, 160), taught[-1].augment, taught[-1].mix, config.batch_size, config.seed),
        EvalLoader(digits(1600, 1700), preprocess, 64),
        config,
    )
    trained.lessons = taught
    return trained


def test_images_grow_to_the_resolution() -> None:
    trained = trainer(tiny(**GROWING))
    seen = []
    for epoch in range(4):
        trained.enter(trained.course.phase(epoch, trained.horizon))
        seen.append(next(trained.train.epoch(epoch))[0].shape[-1])
    assert seen == [4, 5, 7, 8]


def test_regularisation_grows_to_what_is_configured() -> None:
    trained = trainer(tiny(**GROWING, dropout=0.3, augment={"mixup": 0.2}))
    mixed, dropouts = [], []
    for stage in range(4):
        trained.enter(trained.course.phase(stage, trained.horizon))
        mixed.append(next(trained.train.epoch(0))[1].ndim == 2)
        dropouts.append(trained.network.dropout.p)
    assert mixed == [False, True, True, True]
    np.testing.assert_allclose(dropouts, [0.0, 0.1, 0.2, 0.3])


@given(st.integers(1, 10), st.floats(0.1, 1.0), st.integers(1, 600))
def test_sizes_rise_and_end_at_the_resolution(stages: int, first: float, resolution: int) -> None:
    found = sizes(ProgressiveConfig(stages=stages, first_size=first), resolution)
    assert found == sorted(found)
    assert found[-1] == resolution
    assert len(found) == stages
    assert min(found) >= 1


def test_the_whole_strength_is_the_configured_one() -> None:
    config = AugmentConfig(policy="rand", rand_magnitude=7.7, mixup=0.3, cutmix=0.1)
    assert weakened(config, 1.0) == config
    assert weakened(config, 0.5).rand_magnitude == 3.85


def test_a_smaller_size_shows_the_same_picture() -> None:
    preprocess = Preprocess(8, mean=(0.0,), std=(1.0,))
    config, pixels = AugmentConfig(flip=False), torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    draws = np.zeros((1, Augment(config, preprocess).num_draws))
    whole, small = (Augment(config, preprocess, size)(pixels, draws) for size in (8, 4))
    assert small.shape == (1, 1, 4, 4)
    torch.testing.assert_close(small.mean(), whole.mean(), atol=1e-3, rtol=0.0)


def test_a_training_that_grows_learns() -> None:
    trained = trainer(tiny(**GROWING | {"epochs": 8}, optim={"lr": 0.1, "ema_decay": 0.0}))
    _, records = fit(trained)
    assert records[-1].val_top1 > 0.2


def test_time_is_measured_in_every_phase_and_the_trainer_stays_at_the_last() -> None:
    trained = trainer(tiny(**GROWING, finetune={"head_epochs": 1}))
    step_seconds, image_seconds = measure(trained, 0.01)
    assert min(step_seconds, image_seconds) > 0.0
    assert next(trained.train.epoch(0))[0].shape[-1] == 8


def test_shares_of_the_phases_are_the_whole() -> None:
    shares = Course(epochs=10, head_epochs=2, stages=3).shares()
    assert sum(shares.values()) == pytest.approx(1.0)
    assert len(shares) == 4  # head and body of the first stage, and two more


@given(st.integers(1, 400))
def test_a_limit_of_time_shortens_all_stages(total: int) -> None:
    course, horizon = Course(epochs=40, head_epochs=0, stages=4), Horizon(10, planned=400, total=total)
    stages = [course.phase(epoch, horizon).stage for epoch in range(-(-total // 10))]
    assert stages == sorted(stages)
    assert stages[0] == 0
    assert total < 40 or set(stages) == {0, 1, 2, 3}


def test_a_growing_run_resumes_in_the_same_bits(tmp_path: Path) -> None:
    settings = FEW | GROWING | {"phi": -8.0, "resolution": 8, "augment": {"policy": "rand"}}
    effnet.train("digits", out=tmp_path / "whole", **settings)
    with pytest.raises(StopError):
        effnet.train("digits", out=tmp_path / "halves", reporter=Listener(epochs=2), **settings)
    effnet.resume(tmp_path / "halves")
    assert_same_run(tmp_path / "halves", tmp_path / "whole")


def test_more_stages_than_epochs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"progressive\.stages = 4 and epochs = 2"):
        effnet.train("digits", out=tmp_path, **FEW | {"progressive": {"stages": 4}})


@given(st.integers(0, 60))
def test_without_phases_work_is_counted_in_steps(step: int) -> None:
    course, horizon = Course(epochs=6, head_epochs=0, stages=1), Horizon(10, 60, 60)
    assert course.work(step, horizon, [1.0]) == step


def test_work_grows_with_the_images() -> None:
    """Two epochs of the classifier alone on a quarter of the pixels, two on the quarter, four on all."""
    course, horizon = Course(epochs=8, head_epochs=2, stages=2), Horizon(10, 80, 80)
    assert course.work(80, horizon, [0.25, 1.0]) == pytest.approx(20 * 0.25 / 3 + 20 * 0.25 + 40)


def test_a_forecast_knows_that_steps_will_be_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    now, listener = [0.0], Listener()
    monkeypatch.setattr(forecast, "perf_counter", lambda: now[0])
    following = forecast.Forecast(listener, lambda step: min(step, 100) + 99.0 * max(0, step - 100))
    for step in (10, 20):
        following.step(StepRecord(0, 2, step, 200, 1.0, 0.5, 0.1, 1.0))
        now[0] += 6.0
    assert "about 1.7 hours" in listener.messages[0]  # 80 · 0.6 s and 100 · 59.4 s; else 1.8 minutes


def test_work_is_added_up_once_and_not_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [0.0], list[int]()
    monkeypatch.setattr(forecast, "perf_counter", lambda: now[0])
    following = forecast.Forecast(Listener(), lambda step: asked.append(step) or float(step))  # type: ignore[func-returns-value]
    for step in range(100):
        following.step(StepRecord(0, 2, step, 200, 1.0, 0.5, 0.1, 1.0))
        now[0] += 0.1
    assert set(asked) == {0, 51, 200}
