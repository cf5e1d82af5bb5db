"""A training on a few digits that takes a second, for the tests of the loop."""

from functools import cache
from typing import Any

import numpy as np
import torch

from effnet import config as configuration
from effnet.config import TrainConfig
from effnet.data.augment import Augment
from effnet.data.datasets import open_digits
from effnet.data.loaders import EvalLoader, TrainLoader
from effnet.data.mixing import Mix
from effnet.data.pixels import PixelFormat, Pixels, read_pixels
from effnet.network.model import ConvNet
from effnet.training.kept import Best, Weights
from effnet.training.loop import Trainer
from effnet.training.reporter import EpochRecord, StepRecord
from effnet.training.setup import build_preprocess, build_spec

TINY: dict[str, Any] = {
    "model": "b0-cifar",
    "phi": -8,
    "resolution": 8,
    "epochs": 2,
    "batch_size": 32,
    "device": "cpu",
    "input": {"channels": 1, "mean": [0.3], "std": [0.35]},
    "augment": {"flip": False, "crop_padding": 1},
    "optim": {"lr": 0.05, "warmup_epochs": 0.0},
}


def tiny(**settings: Any) -> TrainConfig:
    return configuration.override(configuration.from_dict(TINY, "test"), settings)


@cache
def digits(first: int, last: int) -> Pixels:
    config = tiny()
    samples = open_digits().parts["all"].take(np.arange(first, last))
    form = PixelFormat(build_preprocess(config, build_spec(config)), 8)
    return read_pixels(samples, form, max_broken=0)


def trainer(config: TrainConfig, num_images: int = 160) -> Trainer:
    spec = build_spec(config)
    preprocess = build_preprocess(config, spec)
    augment, mix = Augment(config.augment, preprocess), Mix(config.augment, 10)
    torch.manual_seed(config.seed)
    return Trainer(
        ConvNet(spec, 10),
        TrainLoader(digits(0, num_images), augment, mix, config.batch_size, config.seed),
        EvalLoader(digits(1600, 1700), preprocess, 64),
        config,
    )


def ignore(record: StepRecord) -> None:
    pass


def fit(trained: Trainer) -> tuple[Best, list[EpochRecord]]:
    records: list[EpochRecord] = []
    return trained.fit(ignore, records.append), records


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@cache
def finished(seed: int = 1) -> tuple[Trainer, Best, tuple[EpochRecord, ...]]:
    """Train for five epochs of eight steps, once, for the tests that only look at the result."""
    trained = trainer(tiny(epochs=5, seed=seed, optim={"lr": 0.1, "ema_decay": 0.9}), num_images=256)
    best, records = fit(trained)
    return trained, best, tuple(records)
