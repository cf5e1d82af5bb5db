"""The proof of an export tells a file that computes the same from one that does not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effnet.evaluation.classifier import Classifier
from effnet.exporting.making import Making
from effnet.exporting.parity import LIMIT, ParityError, compare, prove, random_pixels, split
from effnet.imaging.preprocess import Preprocess
from effnet.inference.onnxfile import OnnxFile
from effnet.inference.runtime import OnnxClassifier
from effnet.spec.families import B0_CIFAR
from effnet.spec.scale import scale
from settled import classifier_of

pytest.importorskip("onnxruntime")

NONE = np.zeros((0, 3, 12, 12), np.uint8)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return classifier_of(scale(B0_CIFAR, -8))


def file_of(classifier: Classifier, change: str | None = None) -> OnnxFile:
    """Export; a weight named `change` is a hundredth larger in the file."""
    making = Making(classifier, "normalised", "")
    model = making.graph(blocked=True)
    making.complete(model)
    for index, tensor in enumerate(model.graph.initializer):
        if tensor.name == change:
            values = onnx.numpy_helper.to_array(tensor) * np.float32(1.01)
            model.graph.initializer[index].CopyFrom(onnx.numpy_helper.from_array(values, change))
    return making.file(Path("nowhere.onnx"), model, "float32", {})


def test_the_same_network_is_proved(classifier: Classifier) -> None:
    parity = prove(classifier, OnnxClassifier(file_of(classifier), 1), num_random=5, real=NONE)
    assert (parity.num_random, parity.num_real, parity.agreement) == (5, 0, 1.0)
    assert 0 < parity.share < 1e-5
    assert parity.to_dict()["share"] == parity.share


def test_real_images_go_through_the_proof_too(classifier: Classifier) -> None:
    real = random_pixels(classifier.header.preprocess, 3, seed=1)
    parity = prove(classifier, OnnxClassifier(file_of(classifier), 1), num_random=2, real=real)
    assert (parity.num_random, parity.num_real) == (2, 3)


@pytest.mark.parametrize("weight", ["stem.conv.weight", "stages.3.0.se.expand.weight", "classifier.weight"])
def test_one_weight_that_differs_by_a_hundredth_is_found(classifier: Classifier, weight: str) -> None:
    exported = OnnxClassifier(file_of(classifier, change=weight), 1)
    with pytest.raises(ParityError, match=r"not compute what torch computes: .*; no file was"):
        prove(classifier, exported, num_random=8, real=NONE)


def test_a_network_that_computes_no_numbers_is_refused(classifier: Classifier) -> None:
    logits = np.array([[1.0, np.nan]], np.float32)
    with pytest.raises(ParityError, match="own logits are not finite numbers"):
        compare(logits, logits)


def test_a_file_that_computes_no_numbers_fails() -> None:
    expected = np.array([[1.0, 2.0]], np.float32)
    assert not compare(expected, np.array([[1.0, np.nan]], np.float32)).holds


@given(st.floats(1e-3, 1e3), st.integers(1, 6), st.integers(2, 9))
def test_equal_logits_hold_and_larger_differences_than_allowed_do_not(
    size: float, num_images: int, num_classes: int
) -> None:
    logits = np.random.default_rng(0).standard_normal((num_images, num_classes)).astype(np.float32) * size
    assert compare(logits, logits).holds
    other = logits.copy()
    other[0, 0] += 2 * LIMIT * np.ptp(logits)
    assert not compare(logits, other.astype(np.float32)).holds


def test_two_classes_as_good_as_equal_are_a_tie_and_no_disagreement() -> None:
    expected = np.array([[1.0, 1.0 - 1e-6, -1.0], [0.0, 1.0, -1.0]], np.float32)
    actual = np.array([[1.0 - 1e-6, 1.0, -1.0], [0.0, 1.0, -1.0]], np.float32)
    parity = compare(expected, actual)
    assert (parity.num_ties, parity.agreement, parity.holds) == (1, 1.0, True)


def test_another_most_probable_class_is_a_disagreement() -> None:
    expected = np.array([[1.0, 0.9, -1.0], [0.0, 1.0, -1.0]], np.float32)
    parity = compare(expected, expected[:, [1, 0, 2]])
    assert (parity.num_ties, parity.agreement, parity.holds) == (0, 0.0, False)


def test_logits_that_are_all_equal_can_be_compared() -> None:
    logits = np.full((2, 3), 5.0, np.float32)
    assert compare(logits, logits).holds
    assert not compare(logits, logits + np.float32(1e-4)).holds


@pytest.mark.parametrize(("total", "size"), [(2, 4), (5, 4), (6, 4), (9, 4), (3, 1)])
def test_the_proof_covers_every_image_once_and_a_batch_of_one(total: int, size: int) -> None:
    parts = split(total, size)
    assert [index for part in parts for index in range(total)[part]] == list(range(total))
    assert parts[0] == slice(0, 1)
    assert max(part.stop - part.start for part in parts) <= size


def test_random_images_look_like_photographs_to_the_network() -> None:
    preprocess = Preprocess(33, mean=(0.4, 0.5, 0.6), std=(0.2, 0.15, 0.1))
    pixels = random_pixels(preprocess, 50, seed=0)
    assert pixels.shape == (50, 3, 33, 33)
    images = preprocess.normalise(pixels.astype(np.float32) / 255)
    np.testing.assert_allclose(images.mean((0, 2, 3)), 0.0, atol=0.1)
    np.testing.assert_allclose(images.std((0, 2, 3)), 1.0, atol=0.1)
    assert not np.array_equal(pixels, random_pixels(preprocess, 50, seed=1))
    assert np.array_equal(pixels, random_pixels(replace(preprocess, crop=0.9), 50, seed=0))
