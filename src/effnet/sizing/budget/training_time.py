"""How long a training by a recipe would take with some network: from real steps on a few of the images."""

from dataclasses import replace
from math import inf

import numpy as np

from effnet.config import TrainConfig
from effnet.data.datasets import DataSet, Samples
from effnet.data.pixels import PixelFormat
from effnet.data.splits import Splits, split
from effnet.device import pick_device
from effnet.spec.solve import Scaled
from effnet.training.duration import FINISH_SECONDS, decode_seconds, measure
from effnet.training.parts import Parts, build_trainer
from effnet.training.probe import ERRORS, is_shortage
from effnet.training.reporter import Silent
from effnet.training.setup import build_preprocess

STEP_SECONDS = 1.0  # of steps, for one estimate
FEW_BATCHES = 4
NUM_VAL = 256


class TrainingTime:
    """Estimates the minutes of a whole training: reading, all steps, validation, the test."""

    def __init__(self, dataset: DataSet, config: TrainConfig) -> None:
        self.dataset = dataset
        self.config = config
        self.splits = split(dataset, config.data, config.seed)

    @property
    def num_trained(self) -> int:
        """Images that the training sees in all its epochs."""
        return self.config.epochs * len(self.splits.train)

    def minutes(self, scaled: Scaled) -> float:
        """Return the minutes for a network; infinite where a step does not fit into memory.

        A limit that the recipe sets on its own time (`max_minutes`) does not count: it cuts the training.
        """
        config = replace(self.config, phi=scaled.phi)
        preprocess = build_preprocess(config, scaled.spec)
        splits = few(self.splits, config.batch_size)
        parts = Parts(self.dataset, config, scaled.spec, preprocess, splits, pick_device(config.device))
        read_seconds = decode_seconds(splits.train, PixelFormat(preprocess, scaled.spec.resolution))
        try:
            trainer = build_trainer(parts, Silent())
            step_seconds, image_seconds = measure(trainer, STEP_SECONDS)
        except ERRORS as error:
            if not is_shortage(error):
                raise
            return inf
        return self.total(step_seconds, image_seconds, read_seconds) / 60

    def total(self, step_seconds: float, image_seconds: float, read_seconds: float) -> float:
        """Return the seconds of the training, from those of a step, an evaluated and a read image."""
        config, splits = self.config, self.splits
        num_train, num_val, num_test = (
            len(part) if part is not None else 0 for part in (splits.train, splits.val, splits.test)
        )
        steps = num_train // min(config.batch_size, num_train)
        evaluated = num_val * (2 if config.optim.ema_decay else 1)
        epoch = steps * step_seconds + evaluated * image_seconds
        tested = (num_test or num_val) * image_seconds
        read = (num_train + num_val + num_test) * read_seconds
        return read + config.epochs * epoch + tested + FINISH_SECONDS


def few(splits: Splits, batch_size: int) -> Splits:
    """Keep some batches of the training images and some validation images, spread over all."""
    return replace(
        splits, train=spread(splits.train, FEW_BATCHES * batch_size), val=spread(splits.val, NUM_VAL)
    )


def spread(samples: Samples, count: int) -> Samples:
    """Return so many samples, evenly spread, or all."""
    return samples.take(np.linspace(0, len(samples) - 1, min(count, len(samples))).astype(np.int64))
