"""An exported file is whole: it says what its model file said, answers the same, and takes what it says."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import effnet
from effnet.errors import DataError, ModelFileError, UsageError
from effnet.evaluation.classifier import Classifier
from effnet.exporting.listener import Quiet
from effnet.exporting.parity import ParityError, random_pixels
from effnet.exporting.run import export
from effnet.imaging.preprocess import Preprocess
from effnet.inference.runtime import load
from effnet.spec.families import B0_CIFAR
from effnet.spec.scale import scale
from settled import CLASS_NAMES, classifier_of, labelled_by, saved

pytest.importorskip("onnxruntime")

SMALL = scale(B0_CIFAR, -8)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return classifier_of(SMALL)


def assert_answers_like(classifier: Classifier, path: Path) -> None:
    """Compare what an exported file says of some images with what the network says."""
    pixels = random_pixels(classifier.header.preprocess, 6, seed=3)
    images = classifier.header.preprocess.normalise(torch.from_numpy(pixels).float() / 255)
    with torch.inference_mode():
        expected = classifier.network(images).numpy()
    np.testing.assert_allclose(load(path).logits(pixels), expected, atol=1e-5 * np.ptp(expected))


@pytest.mark.parametrize("embed", [False, True])
def test_a_file_answers_as_the_network_does(classifier: Classifier, tmp_path: Path, embed: bool) -> None:
    exported = effnet.export(classifier, tmp_path / "model.onnx", embed_normalisation=embed)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert_answers_like(classifier, exported.path)
    assert exported.parity.holds


def test_a_grey_network_takes_grey_pixels(tmp_path: Path) -> None:
    grey = classifier_of(scale(effnet.get_spec(B0_CIFAR, in_channels=1), -8))
    exported = export(grey, tmp_path / "grey.onnx", embed_normalisation=True)
    assert (exported.input, exported.shape) == ("pixels", (12, 12, 1))
    assert_answers_like(grey, exported.path)


def test_a_file_that_takes_pixels_needs_no_other_program_to_normalise(
    classifier: Classifier, tmp_path: Path
) -> None:
    import onnxruntime

    path = export(classifier, tmp_path / "model.onnx", embed_normalisation=True).path
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == ("pixels", "tensor(uint8)", ["N", 12, 12, 3])


def test_a_file_says_what_its_model_file_said(classifier: Classifier, tmp_path: Path) -> None:
    model = saved(classifier, tmp_path / "model.safetensors")
    exported = export(model, tmp_path / "model.onnx")
    again = load(exported.path)
    assert again.header == classifier.header
    assert again.header.class_names == CLASS_NAMES
    assert again.header.temperature == 1.5
    assert again.export["source"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert again.export["parity"] == exported.parity.to_dict()
    assert (again.export["input"], again.export["precision"]) == ("normalised", "float32")
    assert set(again.export["made_with"]) == {"torch", "onnx", "onnxruntime"}


def test_a_file_knows_nothing_of_this_machine(classifier: Classifier, tmp_path: Path) -> None:
    path = export(classifier, tmp_path / "model.onnx").path
    assert str(Path(effnet.__file__).parent).encode() not in path.read_bytes()
    assert (onnx.load(path).producer_name, onnx.load(path).producer_version) == ("effnet", effnet.__version__)


def test_a_file_also_gives_what_an_activation_map_is_made_of(classifier: Classifier, tmp_path: Path) -> None:
    exported = load(export(classifier, tmp_path / "model.onnx").path)
    weights = classifier.network.classifier.weight.detach().numpy()
    np.testing.assert_array_equal(exported.class_weights, weights)
    pixels = random_pixels(classifier.header.preprocess, 2, seed=0)
    bias = classifier.network.classifier.bias.detach().numpy()
    maps = exported.maps(pixels, range(len(CLASS_NAMES)))
    np.testing.assert_allclose(maps.mean((2, 3)) + bias, exported.logits(pixels), rtol=1e-3, atol=1e-4)


def test_real_images_are_read_for_the_proof(classifier: Classifier, tmp_path: Path) -> None:
    exported = export(classifier, tmp_path / "model.onnx", check_on=labelled_by(classifier))
    assert (exported.parity.num_random, exported.parity.num_real) == (64, 32)


def test_a_network_in_use_stays_as_it_is(classifier: Classifier, tmp_path: Path) -> None:
    classifier.network.train()
    before = {name: tensor.clone() for name, tensor in classifier.network.state_dict().items()}
    export(classifier, tmp_path / "model.onnx")
    assert classifier.network.training
    classifier.network.eval()
    assert all(tensor.equal(before[name]) for name, tensor in classifier.network.state_dict().items())


def test_a_file_is_replaced_by_a_new_export(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"old")
    assert load(export(classifier, tmp_path / "model.onnx").path).header == classifier.header


def test_a_failed_proof_leaves_no_file(tmp_path: Path) -> None:
    broken = classifier_of(SMALL)
    broken.network.classifier.bias.data[0] = float("nan")
    with pytest.raises(ParityError, match="not finite"):
        export(broken, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


class Impatient(Quiet):
    """Stops an export at its first message."""

    def message(self, text: str) -> None:
        raise KeyboardInterrupt


def test_an_interrupted_export_leaves_no_file(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        export(classifier, tmp_path / "model.onnx", listener=Impatient())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("model.pt", "must end in .onnx"),
        ("folder.onnx", "is a folder"),
        ("no/where/model.onnx", "there is no folder .*where; make it first"),
    ],
)
def test_where_no_file_can_be_is_an_error(
    classifier: Classifier, tmp_path: Path, out: str, message: str
) -> None:
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(UsageError, match=message):
        export(classifier, tmp_path / out)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"calibrate_on": "digits"}, "--calibrate-on is for --int8"),
        ({"int8": True, "max_drop": -1.0}, "max_drop"),
        ({"int9": True}, "unknown key 'int9'"),
        ({"int8": True}, "--int8 needs images, and no data is known; say which with --calibrate-on"),
        ({"check_on": "nowhere"}, "unknown data set 'nowhere'"),
    ],
)
def test_a_wrong_wish_is_an_error(
    classifier: Classifier, tmp_path: Path, wish: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export(classifier, tmp_path / "model.onnx", **wish)
    assert list(tmp_path.iterdir()) == []


def test_images_of_other_classes_are_an_error(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown to the model"):
        export(classifier, tmp_path / "model.onnx", check_on="digits")


def test_a_damaged_model_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"no model")
    with pytest.raises(ModelFileError, match="not a model file"):
        export(tmp_path / "model.safetensors", tmp_path / "model.onnx")


def test_an_exported_file_is_not_exported_again(classifier: Classifier, tmp_path: Path) -> None:
    path = export(classifier, tmp_path / "model.onnx").path
    with pytest.raises(UsageError, match=r"is exported already; give the \.safetensors file"):
        export(path, tmp_path / "again.onnx")


def test_the_record_of_an_export_is_plain_json(classifier: Classifier, tmp_path: Path) -> None:
    exported = export(classifier, tmp_path / "model.onnx")
    data = json.loads(json.dumps(exported.to_dict()))
    assert (data["float32"], data["int8"], data["shape"]) == (str(exported.path), None, [3, 12, 12])
    assert data["recommended"] == str(exported.path)


def test_another_side_of_the_images_is_that_of_the_file(tmp_path: Path) -> None:
    wider = classifier_of(SMALL, Preprocess(17))
    exported = export(wider, tmp_path / "model.onnx")
    assert exported.shape == (3, 17, 17)
    assert_answers_like(wider, exported.path)
