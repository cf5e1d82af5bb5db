"""A model file in use: what does not fit is refused by name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image
from torch import Tensor

from effnet import modelfile
from effnet.data.datasets import open_dataset
from effnet.errors import DataError, ModelFileError, UsageError
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


def folder(root: Path, *class_names: str, images: int = 1) -> Path:
    for name in class_names:
        (root / name).mkdir(parents=True)
        for number in range(1, images + 1):
            Image.new("RGB", (8, 8)).save(root / name / f"{number}.png")
    return root


def trained_on(data: Path) -> ModelHeader:
    """Return the header of a model for which one image of each class was drawn for testing."""
    drawn = [f"{name}/1.png" for name in HEADER.class_names]
    training = {"fingerprint": open_dataset(data).fingerprint()}
    return replace(HEADER, training=training, split={"test": drawn})


def test_the_images_that_training_never_saw_are_measured(path: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data", "ant", "bee", "fly", images=2)
    evaluation = load(write(path, trained_on(data))).evaluate(data)
    assert (evaluation.split, evaluation.num_images, evaluation.caution) == ("test", 3, None)


def test_another_folder_with_the_same_names_is_measured_whole_with_a_caution(
    path: Path, tmp_path: Path
) -> None:
    header = trained_on(folder(tmp_path / "old", "ant", "bee", "fly", images=2))
    other = folder(tmp_path / "new", "ant", "bee", "fly", images=3)
    evaluation = load(write(path, header)).evaluate(other)
    assert (evaluation.split, evaluation.num_images) == ("all", 9)
    assert str(evaluation.caution).startswith("these are not the images that the training began with")


def test_a_drawn_image_that_is_missing_is_named(path: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data", "ant", "bee", "fly", images=2)
    classifier = load(write(path, trained_on(data)))
    (data / "bee" / "1.png").unlink()
    lost = "of the 3 images that were drawn when the model was trained, 1 is missing (bee/1.png)"
    with pytest.raises(UsageError) as caught:
        classifier.evaluate(data, split="test")
    assert str(caught.value) == f"data has no split 'test': {lost}; known: all"
    assert str(classifier.evaluate(data).caution).startswith(f"{lost}, so all images")


def test_a_split_that_there_never_was_lists_those_that_are(path: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data", "ant", "bee", "fly", images=2)
    with pytest.raises(UsageError, match=r"^data has no split 'dev'; known: all, test, train$"):
        load(write(path, trained_on(data))).evaluate(data, split="dev")


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


def always(class_name: str, *class_names: str) -> tuple[ModelHeader, dict[str, NDArray[Any]]]:
    """Return header and weights of a model that answers the same to every image."""
    bias = np.array([10.0 * (name == class_name) for name in class_names], np.float32)
    changes = {"classifier.weight": np.zeros((len(class_names), 600), np.float32), "classifier.bias": bias}
    return replace(HEADER, class_names=class_names), changes


def test_classes_in_another_order_are_told_by_their_names(path: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data", "ant", "bee", "fly", images=2)
    evaluation = load(write(path, *always("bee", "fly", "ant", "bee"))).evaluate(data)
    assert [(each.name, each.recall) for each in evaluation.classes] == [
        ("fly", 0.0), ("ant", 0.0), ("bee", 1.0),
    ]  # fmt: skip
    assert evaluation.num_errors == 4


def test_classes_that_the_data_lacks_have_no_images(path: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data", "bee", "fly", images=2)
    evaluation = load(write(path, *always("bee", "ant", "bee", "fly"))).evaluate(data)
    assert [(each.name, each.support) for each in evaluation.classes] == [("ant", 0), ("bee", 2), ("fly", 2)]
    assert evaluation.num_errors == 2


def test_opened_images_are_judged_as_often_as_needed(path: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data", "ant", "bee", "fly", images=2)
    seen: list[int] = []

    def brighten(images: Tensor, places: NDArray[np.int64]) -> Tensor:
        seen.extend(places.tolist())
        return images + 100

    classifier = load(write(path), device="cpu")
    with classifier.opened(data) as opened:
        plain, bright = classifier.judge(opened), classifier.judge(opened, brighten)
        assert classifier.logits(opened)[0].shape == (6, 3)
    assert seen == list(range(6))
    assert np.array_equal(plain.answers.labels, bright.answers.labels)
    assert not np.array_equal(plain.answers.probs, bright.answers.probs)
    assert np.array_equal(plain.answers.probs, classifier.evaluate(data).answers.probs)


def test_images_can_be_read_for_another_side(path: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data", "ant", "bee", "fly")
    classifier = load(write(path), device="cpu")
    with classifier.opened(data, resolution=12) as opened:
        assert [images.shape for images, _ in opened.batches()] == [(3, 3, 12, 12)]
    with pytest.raises(UsageError, match="resolution = 0"), classifier.opened(data, resolution=0):
        pass


def test_all_probabilities_are_divided_by_the_temperature(path: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data", "ant", "bee", "fly")
    header, changes = always("bee", "ant", "bee", "fly")
    classifier = load(write(path, replace(header, temperature=5.0), changes))
    expected = np.exp(2.0) / (np.exp(2.0) + 2)
    assert classifier.evaluate(data).answers.confidence == pytest.approx(expected)
    name, probability = classifier.predict(data)[0].classes[0]
    assert (name, pytest.approx(probability)) == ("bee", expected)


def test_a_pillow_image_is_answered_as_its_file(path: Path, tmp_path: Path) -> None:
    photo, exif = tmp_path / "photo.png", Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(photo, exif=exif)
    classifier = load(write(path), device="cpu")
    with Image.open(photo) as image:
        (of_file,), (of_image,) = classifier.predict(photo), classifier.predict(image)
    assert of_image.classes == of_file.classes


def test_a_truncated_pillow_image_can_be_left_out(path: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    Image.effect_noise((64, 64), 90).save(photo)
    photo.write_bytes(photo.read_bytes()[:1500])
    broken: list[DataError] = []
    with Image.open(photo) as image:
        assert load(write(path)).predict([image], on_broken=broken.append) == []
    assert str(broken[0]).startswith("image 0: damaged image: ")
