"""Models of random weights, and images of noise, for tests of what is done with answers."""

import numpy as np
import torch
from PIL import Image

from effnet.evaluation.classifier import Classifier
from effnet.imaging.preprocess import Preprocess
from effnet.modelfile import ModelHeader
from effnet.network.model import ConvNet
from effnet.spec.families import B0_CIFAR, get_spec
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import scale

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox")
SMALL = get_spec(scale(B0_CIFAR, -8), resolution=16)


def classifier_of(
    spec: NetSpec = SMALL, names: tuple[str, ...] = NAMES, *, side: int = 16, channels: int = 3
) -> Classifier:
    """Return a model of random weights, the same each time."""
    torch.manual_seed(0)
    network = ConvNet(spec, len(names))
    torch.nn.init.normal_(network.classifier.weight)
    return Classifier(
        ModelHeader(spec, Preprocess(side, mean=(0.5,) * channels, std=(0.25,) * channels), names),
        network,
        torch.device("cpu"),
    )


def noise(seed: int = 0, size: tuple[int, int] = (30, 20)) -> Image.Image:
    """Return random pixels, width and height given."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    return Image.fromarray(pixels)
