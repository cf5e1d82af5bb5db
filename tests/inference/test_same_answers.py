"""The same image gets the same probabilities from the model file and from the network exported from it."""

from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from effnet.evaluation import classifier
from effnet.evaluation.classifier import Classifier
from effnet.inference.onnxfile import InputKind
from effnet.inference.prediction import Prediction
from effnet.inference.runtime import OnnxClassifier, load
from image_files import IMAGES
from onnx_models import write_onnx_taking, write_torch_model


@pytest.fixture(scope="module", params=get_args(InputKind))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OnnxClassifier:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    return load(write_onnx_taking(request.param, path), num_threads=2)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    path = write_torch_model(tmp_path_factory.mktemp("torch") / "model.safetensors")
    return classifier.load(path, device="cpu")


def probabilities(predictions: list[Prediction]) -> dict[str, float]:
    (prediction,) = predictions
    return dict(prediction.classes)


@pytest.mark.parametrize("name", IMAGES)
def test_a_file_gets_the_same_answer(
    original: Classifier, exported: OnnxClassifier, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(IMAGES[name])
    with_torch, without = (probabilities(model.predict(path, top=6)) for model in (original, exported))
    assert len(without) == 6
    assert without == pytest.approx(with_torch, abs=1e-4)


@pytest.mark.parametrize("name", ["turned 6.jpg", "cmyk.jpg", "animated.gif"])
def test_a_pillow_image_gets_the_answer_of_its_file(
    exported: OnnxClassifier, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(IMAGES[name])
    with Image.open(path) as image:
        assert probabilities(exported.predict(image)) == probabilities(exported.predict(path))


def test_images_together_get_the_answers_of_each_alone(exported: OnnxClassifier, tmp_path: Path) -> None:
    for name, content in IMAGES.items():
        (tmp_path / name).write_bytes(content)
    together = exported.predict(tmp_path)
    assert len(together) == len(IMAGES)
    for prediction in together:
        alone = probabilities(exported.predict(prediction.image))
        assert dict(prediction.classes) == pytest.approx(alone, abs=1e-5)


def test_the_answers_tell_the_images_apart(exported: OnnxClassifier, tmp_path: Path) -> None:
    for name in ("photo.jpg", "alpha.png", "large.jpg"):
        (tmp_path / name).write_bytes(IMAGES[name])
    first, second, third = (dict(prediction.classes) for prediction in exported.predict(tmp_path))
    assert max(abs(first[name] - second[name]) for name in first) > 0.01
    assert max(abs(second[name] - third[name]) for name in first) > 0.01
