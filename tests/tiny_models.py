"""Model files of a tiny network, and folders of images, for the tests of all that uses them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from effnet import modelfile
from effnet.data.datasets import open_dataset
from effnet.imaging.preprocess import Preprocess
from effnet.modelfile import ModelHeader
from effnet.network.model import create_model
from effnet.spec.families import get_spec
from effnet.spec.scale import scale
from effnet.weightfile import Arrays

SPEC = get_spec(scale("b0-cifar", -8), resolution=8)
HEADER = ModelHeader(SPEC, Preprocess(8), ("ant", "bee", "fly"))
FEATURES = 600  # of its head


def weights() -> dict[str, NDArray[Any]]:
    return {name: tensor.numpy() for name, tensor in create_model(SPEC, 3).state_dict().items()}


def write(path: Path, header: ModelHeader = HEADER, changes: Arrays | None = None) -> Path:
    """Write a model file, some of whose weights are replaced."""
    modelfile.save(path, header, weights() | dict(changes or {}))
    return path


def always(class_name: str, *class_names: str) -> tuple[ModelHeader, dict[str, NDArray[Any]]]:
    """Return header and weights of a model that answers the same to every image."""
    bias = np.array([10.0 * (name == class_name) for name in class_names], np.float32)
    kernel = np.zeros((len(class_names), FEATURES), np.float32)
    changes = {"classifier.weight": kernel, "classifier.bias": bias}
    return replace(HEADER, class_names=class_names), changes


def folder(root: Path, *class_names: str, images: int = 1) -> Path:
    """Write a folder of black images, as many of each class."""
    for name in class_names:
        (root / name).mkdir(parents=True)
        for number in range(1, images + 1):
            Image.new("RGB", (8, 8)).save(root / name / f"{number}.png")
    return root


def trained_on(data: Path, header: ModelHeader = HEADER, **drawn: int) -> ModelHeader:
    """Return the header of a model for which an image of each class was drawn, the one of this number."""
    split = {part: [f"{name}/{number}.png" for name in HEADER.class_names] for part, number in drawn.items()}
    return replace(header, training={"fingerprint": open_dataset(data).fingerprint()}, split=split)
