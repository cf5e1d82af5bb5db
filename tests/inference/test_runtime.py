"""An exported network answers as the network it was made of, without torch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_models import HEADER, SPEC, network, write_onnx_model, write_torch_model
from PIL import Image

from effnet.errors import DataError, UsageError
from effnet.evaluation import classifier
from effnet.inference.runtime import OnnxClassifier, load

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16), dtype=np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> OnnxClassifier:
    return load(write_onnx_model(tmp_path_factory.mktemp("models") / "Modell 1.onnx"), num_threads=1)


def test_it_says_what_its_model_file_said(exported: OnnxClassifier) -> None:
    assert exported.header == HEADER
    assert (exported.input_kind, exported.export["precision"]) == ("normalised", "float32")


def test_logits_are_the_networks_own(exported: OnnxClassifier) -> None:
    images = HEADER.preprocess.normalise(torch.from_numpy(PIXELS).float() / 255)
    with torch.inference_mode():
        expected = network()(images).numpy()
    np.testing.assert_allclose(exported.logits(PIXELS), expected, rtol=1e-3, atol=1e-3)


def test_the_map_of_a_class_sums_up_to_its_logit(exported: OnnxClassifier) -> None:
    maps = exported.maps(PIXELS, [2, 0])
    side = SPEC.feature_size
    assert maps.shape == (3, 2, side, side)
    bias = network().classifier.bias.detach().numpy()[[2, 0]]
    np.testing.assert_allclose(
        maps.mean((2, 3)) + bias, exported.logits(PIXELS)[:, [2, 0]], rtol=1e-3, atol=1e-3
    )


def test_it_predicts_what_the_model_file_predicts(exported: OnnxClassifier, tmp_path: Path) -> None:
    for number, array in enumerate(PIXELS):
        Image.fromarray(array.transpose(1, 2, 0)).resize((40, 23)).save(tmp_path / f"{number}.png")
    model = classifier.load(write_torch_model(tmp_path / "model.safetensors"), device="cpu")
    for ours, theirs in zip(exported.predict(tmp_path), model.predict(tmp_path), strict=True):
        assert ours.image == theirs.image
        assert [name for name, _ in ours.classes] == [name for name, _ in theirs.classes]
        np.testing.assert_allclose([p for _, p in ours.classes], [p for _, p in theirs.classes], atol=1e-4)


def test_an_image_that_cannot_be_read_is_an_error_or_left_out(
    exported: OnnxClassifier, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"none\.jpg: no such file"):
        exported.predict(tmp_path / "none.jpg")
    told: list[DataError] = []
    assert exported.predict([tmp_path / "none.jpg"], on_broken=told.append) == []
    assert len(told) == 1


def test_no_class_is_too_few(exported: OnnxClassifier, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="top = 0: must be at least 1"):
        exported.predict(tmp_path, top=0)
