"""A training put together as `effnet train` does it, up to its first step."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from effnet.cli.parse import parse
from effnet.cli.train import TrainForm
from effnet.config import TrainConfig, load_recipe
from effnet.data.datasets import DataSet, Samples
from effnet.data.loaders import Batch
from effnet.device import environment
from effnet.errors import UsageError
from effnet.spec.cost import cost
from effnet.training.loop import Trainer
from effnet.training.parts import Parts, build_trainer
from effnet.training.reporter import Silent
from effnet.training.setup import build_spec
from recording import cpu_name
from timing import Step

NUM_CLASSES = 10
LR = 1e-3  # for steps that are only timed: weights stay finite, however many


def configure(recipe: str, flags: Sequence[str]) -> TrainConfig:
    """Lay flags of `effnet train` over a recipe.

    Raises:
        UsageError: an unknown flag, a bad value, or a flag that is no setting of a training.

    """
    defaults = TrainForm(config=load_recipe(recipe))
    form = parse(TrainForm, "train", flags, defaults)
    if form != TrainForm(config=form.config):
        raise UsageError("only settings of a training can be given, such as --model and --phi")
    return form.config


def ready(parts: Parts) -> Trainer:
    """Build the trainer, in training mode."""
    trainer = build_trainer(parts, Silent())
    trainer.network.train()
    return trainer


def bare_step(trainer: Trainer, batch: Batch) -> Step:
    """Return the trainer's step on one batch that is ready."""

    def step() -> float:
        loss, _ = trainer.update(batch, LR)
        return loss.item()

    return step


def describe(parts: Parts) -> dict[str, Any]:
    """Say what is trained, where, as JSON values."""
    spec = parts.spec
    counted = cost(spec, len(parts.dataset.class_names))
    return {
        "network": spec.name,
        "resolution": spec.resolution,
        "params": counted.params,
        "macs": counted.macs,
        "batch_size": parts.config.batch_size,
        "environment": environment(parts.device) | {"cpu": cpu_name()},
    }


def noise(config: TrainConfig) -> DataSet:
    """Make a data set of random pixels: what a step costs does not depend on them."""
    side = build_spec(config).resolution
    mode = (side, side, 3) if config.input.channels == 3 else (side, side)
    num_images = 2 * config.batch_size + 10 * NUM_CLASSES
    generator = np.random.default_rng(0)
    pixels = {f"{i}.png": generator.integers(0, 256, mode, dtype=np.uint8) for i in range(num_images)}
    samples = Samples(
        tuple(pixels), np.arange(num_images) % NUM_CLASSES, lambda name: Image.fromarray(pixels[name])
    )
    names = tuple(map(str, range(NUM_CLASSES)))
    return DataSet("noise", names, {"all": samples}, source=str(Path("noise")))
