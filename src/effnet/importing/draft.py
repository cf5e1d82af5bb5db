"""A model on its way into a file, and what can be changed of it: head, channels, resolution."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.modelfile import ModelHeader

STEM, WEIGHT, BIAS = "stem.conv.weight", "classifier.weight", "classifier.bias"
NUM_IMAGENET = 1000


@dataclass(frozen=True)
class Draft:
    """Header and arrays, by our names."""

    header: ModelHeader
    arrays: Mapping[str, NDArray[Any]]


def with_new_head(draft: Draft, class_names: tuple[str, ...]) -> Draft:
    """Put an untrained classifier on: uniform as in every training of effnet (`initialize`), from seed 0."""
    num_classes, features = len(class_names), draft.header.spec.feature_channels
    bound = 1.0 / sqrt(max(num_classes, NUM_IMAGENET))
    weight = np.random.default_rng(0).uniform(-bound, bound, (num_classes, features)).astype(np.float32)
    head = {WEIGHT: weight, BIAS: np.zeros(num_classes, np.float32)}
    return Draft(replace(draft.header, class_names=class_names), {**draft.arrays, **head})


def with_channels(draft: Draft, channels: int) -> Draft:
    """Let the network take images of another number of channels, with activations of the same scale.

    timm's rule (`adapt_input_conv` in models/_manipulate.py): for one channel the kernels of all are summed,
    so that a grey image gives what it gave as RGB; for more they are repeated in turns, and made smaller by
    the ratio, so that the sum over channels stays. Means and deviations are averaged, or repeated alike.
    """
    spec, preprocess, kernels = draft.header.spec, draft.header.preprocess, draft.arrays[STEM]  # (K, C, k, k)
    if channels == spec.in_channels:
        return draft
    header = replace(
        draft.header,
        spec=replace(spec, in_channels=channels),
        preprocess=replace(
            preprocess, mean=_spread(preprocess.mean, channels), std=_spread(preprocess.std, channels)
        ),
    )
    if channels == 1:
        return Draft(header, {**draft.arrays, STEM: kernels.sum(1, keepdims=True)})
    repeated = np.tile(kernels, (1, ceil(channels / spec.in_channels), 1, 1))[:, :channels]
    scaled = repeated * np.float32(spec.in_channels / channels)
    return Draft(header, {**draft.arrays, STEM: scaled})


def _spread(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if channels == 1:
        return (sum(values) / len(values),)
    return tuple(values[channel % len(values)] for channel in range(channels))


def with_resolution(draft: Draft, resolution: int) -> Draft:
    """Let the network see images of another side, of which the same share is cut out: weights stay."""
    header = draft.header
    return Draft(
        replace(
            header,
            spec=replace(header.spec, resolution=resolution),
            preprocess=replace(header.preprocess, resolution=resolution),
        ),
        draft.arrays,
    )
