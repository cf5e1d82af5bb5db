"""Model files to begin with, and trainings on a few digits that build on them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from effnet import modelfile
from effnet.imaging.preprocess import Preprocess
from effnet.modelfile import ModelHeader
from effnet.spec.families import get_spec
from effnet.spec.scale import scale
from settled import settled

SPEC = get_spec(scale("b0-cifar", -8), resolution=8, in_channels=1)
DIGITS = tuple(str(digit) for digit in range(10))
FEW: dict[str, Any] = {
    "device": "cpu",
    "epochs": 2,
    "batch_size": 32,
    "data": {"max_train": 100, "max_val": 40, "test_fraction": 0.03},
}


def write(path: Path, names: tuple[str, ...] = DIGITS, seed: int = 1) -> Path:
    """Write a model file of random weights, whose normalisation has seen noise."""
    network = settled(SPEC, len(names))
    torch.manual_seed(seed)
    nn.init.normal_(network.classifier.bias)
    arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    preprocess = Preprocess(8, interpolation="bilinear", mean=(0.3,), std=(0.35,))
    modelfile.save(path, ModelHeader(SPEC, preprocess, names), arrays)
    return path


def weights(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    return modelfile.load(path)[1]


def moved(before: Path, after: Path) -> set[str]:
    """Names of the weights and statistics that are not the same bits in both files."""
    one, other = weights(before), weights(after)
    return {name for name in one if not np.array_equal(one[name], other[name])}
