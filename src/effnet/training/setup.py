"""From a configuration and a data set to the values a training needs: recipe, spec, preprocessing."""

from math import ceil
from typing import Any

import numpy as np
from pydantic import ValidationError

from effnet.config import TrainConfig, explain
from effnet.data.datasets import DataSet
from effnet.errors import DataError, UsageError
from effnet.imaging.preprocess import Preprocess
from effnet.spec.families import get_spec
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import scale

SMALL_IMAGE = 64  # pixels: at stride 32 these end in a feature map of 2×2 cells or less
NUM_PROBED = 25


def default_recipe(dataset: DataSet) -> str:
    """Choose a recipe: the data set's own, else by the size of its images."""
    if dataset.recipe is not None:
        return dataset.recipe
    return "small-images" if typical_side(dataset) <= SMALL_IMAGE else "photos"


def typical_side(dataset: DataSet) -> float:
    """Median of the short side, in pixels, of some images spread evenly over the data set.

    Raises:
        DataError: none of these images can be read.

    """
    samples = dataset.all_samples()
    picked = np.linspace(0, len(samples) - 1, min(NUM_PROBED, len(samples))).astype(np.int64)
    sides, errors = [], []
    for name in samples.take(picked).names:
        try:
            sides.append(min(samples.read(name).size))
        except DataError as error:
            errors.append(str(error))
    if not sides:
        raise DataError(f"none of {len(errors)} images tried can be read; the first: {errors[0]}")
    return float(np.median(sides))


def check(config: TrainConfig) -> None:
    """Refuse settings that each are right and together are not.

    Raises:
        UsageError: names both.

    """
    if config.data.balance == "weights" and config.optim.accumulate > 1:
        raise UsageError(
            "data.balance = 'weights' and optim.accumulate > 1 exclude each other: pieces of a batch differ "
            "in weight; take data.balance = 'sampling'"
        )
    if config.progressive.stages > config.epochs:
        raise UsageError(
            f"progressive.stages = {config.progressive.stages} and epochs = {config.epochs}: a stage has at "
            f"least one epoch; take fewer stages or more epochs"
        )


def piece_size(config: TrainConfig) -> int:
    """Return how many images are computed at once: a batch is cut into `optim.accumulate` pieces."""
    return ceil(config.batch_size / config.optim.accumulate)


def build_spec(config: TrainConfig) -> NetSpec:
    """Build the network's spec: look up, scale by φ, then replace what the configuration sets.

    Raises:
        UsageError: the network is unknown or out of bounds, or its images would be smaller than its stride.

    """
    scaled = scale(get_spec(config.model), config.phi, config.coefficients)
    spec = get_spec(scaled, **spec_changes(config))
    if spec.resolution < spec.total_stride:
        raise UsageError(
            f"{spec.name} at {spec.resolution}×{spec.resolution} pixels: that is below its total stride of "
            f"{spec.total_stride}, and nothing would be left of an image; take --resolution "
            f"{spec.total_stride} or more, or a -cifar network"
        )
    return spec


def spec_changes(config: TrainConfig) -> dict[str, Any]:
    """Return the fields of the network that the configuration sets, whatever φ is."""
    optional = ("resolution", "dropout", "drop_path", "bn_momentum")
    changes = {name: value for name in optional if (value := getattr(config, name)) is not None}
    return {"in_channels": config.input.channels, **changes}


def build_preprocess(config: TrainConfig, spec: NetSpec) -> Preprocess:
    """Build the preprocessing that goes into the model file with the network.

    Raises:
        UsageError: the number of means or deviations is not the number of channels.

    """
    given = config.input
    if not len(given.mean) == len(given.std) == given.channels:
        raise UsageError(
            f"input.mean has {len(given.mean)} values and input.std {len(given.std)}; "
            f"input.channels = {given.channels} needs that many of each"
        )
    try:
        return Preprocess(spec.resolution, given.crop, given.interpolation, given.mean, given.std)
    except ValidationError as error:
        raise UsageError(f"input: {explain(error)}") from None
