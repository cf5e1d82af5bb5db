"""A model file in use: what does not fit is refused by name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from effnet import modelfile
from effnet.errors import DataError, ModelFileError
from effnet.evaluation.classifier import load
from effnet.imaging.preprocess import Preprocess
from effnet.modelfile import ModelHeader
from effnet.network.model import create_model
from effnet.spec.families import get_spec
from effnet.spec.scale import scale

SPEC = get_spec(scale("b0-cifar", -8), resolution=8)
HEADER = ModelHeader(SPEC, Preprocess(8), ("ant", "bee", "fly"))


def weights() -> dict[str, NDArray[Any]]:
    return {name: tensor.numpy() for name, tensor in create_model(SPEC, 3).state_dict().items()}


def write(path: Path, header: ModelHeader = HEADER, changes: modelfile.Arrays | None = None) -> Path:
    """Write a model file, some of whose weights are replaced."""
    modelfile.save(path, header, weights() | dict(changes or {}))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "Modell 1.safetensors"


def test_weights_that_fit_are_loaded(path: Path) -> None:
    kernel = np.full((3, 600), 0.25, dtype=np.float32)
    loaded = load(write(path, changes={"classifier.weight": kernel}), device="cpu")
    assert (loaded.network.classifier.weight == 0.25).all()


@pytest.mark.parametrize("names", [("ant", "bee"), ("ant", "bee", "fly", "wasp")])
def test_a_classifier_of_another_number_of_classes_is_named(path: Path, names: tuple[str, ...]) -> None:
    count = len(names)
    with pytest.raises(ModelFileError) as caught:
        load(write(path, replace(HEADER, class_names=names)))
    assert str(caught.value) == (
        f"{path}: the weights do not fit b0-cifar-phi-8 with {count} classes: classifier.bias is 3 (expected "
        f"{count}), classifier.weight is 3×600 (expected {count}×600); take a file as `effnet train` wrote it"
    )


def test_missing_and_unknown_weights_are_named(path: Path) -> None:
    arrays = weights() | {"extra": np.ones(2, dtype=np.float32)}
    del arrays["stem.conv.weight"]
    modelfile.save(path, HEADER, arrays)
    with pytest.raises(ModelFileError, match=r"stem\.conv\.weight is missing, extra is unknown; take"):
        load(path)


def test_weights_of_another_network_are_one_line(path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"Modell 1\.safetensors: .* and \d+ more; take") as caught:
        load(write(path, replace(HEADER, spec=get_spec("b0"))))
    assert "\n" not in str(caught.value)


def folder(root: Path, *class_names: str) -> Path:
    for name in class_names:
        (root / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(root / name / "1.png")
    return root


def test_a_folder_with_the_classes_of_the_model_is_measured(path: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data", "ant", "bee", "fly")
    assert load(write(path)).evaluate(data).num_images == 3


def test_other_classes_are_counted_and_named(path: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data", "bee", "wasp")
    with pytest.raises(
        DataError,
        match="data has 2 classes and the model 3; missing: ant, fly; unknown to the model: wasp; folders",
    ):
        load(write(path)).evaluate(data)


def test_of_a_hundred_missing_classes_ten_are_named(path: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *(f"class {number:03d}" for number in range(100)))
    with pytest.raises(DataError, match=r"100 classes .* class 009 and 90 more; folders"):
        load(write(path)).evaluate(data)


def test_classes_in_another_order_are_refused(path: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data", "ant", "bee", "fly")
    turned = replace(HEADER, class_names=("fly", "bee", "ant"))
    with pytest.raises(DataError, match="the classes of the model in another order: ant, bee, fly"):
        load(write(path, turned)).evaluate(data)
