"""int8 is chosen by images, loses no more than it may, and says what it costs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from effnet.data.datasets import Samples, open_dataset
from effnet.errors import UsageError
from effnet.evaluation.classifier import Classifier
from effnet.exporting.calibration import Ranges, fitting_batch, measure
from effnet.exporting.images import normalised, own_data, parts_of, read
from effnet.exporting.int8 import Bench, QuantizationError, bench, choose, divergence, growing, top1
from effnet.exporting.listener import Quiet
from effnet.exporting.making import Making
from effnet.exporting.quantization import block_of, blocks_of, quantize
from effnet.exporting.result import Exported
from effnet.exporting.run import export
from effnet.inference.runtime import load
from effnet.spec.families import B0_CIFAR
from effnet.spec.scale import scale
from settled import CLASS_NAMES, classifier_of, labelled_by, with_outlier

pytest.importorskip("onnxruntime")

SMALL = scale(B0_CIFAR, -8)


class Notes(Quiet):
    """Keeps the messages of an export."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return classifier_of(SMALL)


@pytest.fixture(scope="module")
def exported(classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    data = labelled_by(classifier)
    out = tmp_path_factory.mktemp("int8") / "model.onnx"
    return export(classifier, out, int8=True, calibrate_on=data, embed_normalisation=True, max_drop=20)


def test_an_int8_file_lies_beside_the_float32_file(exported: Exported) -> None:
    assert exported.int8_path == exported.path.with_name("model.int8.onnx")
    assert sorted(path.name for path in exported.path.parent.iterdir()) == ["model.int8.onnx", "model.onnx"]


def test_an_int8_file_is_small_and_answers_alike(exported: Exported, classifier: Classifier) -> None:
    assert exported.int8_path is not None
    first, second = load(exported.path), load(exported.int8_path)
    assert exported.int8_path.stat().st_size < 0.5 * exported.path.stat().st_size
    pixels = read_all(labelled_by(classifier).parts["test"], classifier)
    agreement = (first.logits(pixels).argmax(1) == second.logits(pixels).argmax(1)).mean()
    assert agreement > 0.8
    weights = first.class_weights
    np.testing.assert_allclose(second.class_weights, weights, atol=np.abs(weights).max() / 60)


def test_an_int8_file_says_how_it_was_made_and_judged(exported: Exported) -> None:
    assert exported.int8_path is not None
    assert exported.comparison is not None
    record = load(exported.int8_path).export
    assert (record["precision"], record["input"]) == ("int8", "pixels")
    comparison, found = exported.comparison, record["parity"]
    assert (found["method"], found["drop"]) == (comparison.method, comparison.drop)
    assert found["accuracy"]["num_images"] == 32
    assert found["accuracy"]["part"] == "test"
    assert comparison.accuracy.top1[0] == 1.0  # the labels are its own answers
    assert comparison.accuracy.agreement == comparison.accuracy.top1[1]
    assert comparison.accuracy.caution is None
    assert comparison.num_bytes == (exported.num_bytes, exported.int8_path.stat().st_size)
    assert exported.recommended in (exported.path, exported.int8_path)
    assert exported.to_dict()["comparison"]["speed"][0]["milliseconds"] > 0


def read_all(samples: Samples, classifier: Classifier) -> NDArray[np.uint8]:
    """Return the pixels of images."""
    return np.stack([classifier.header.preprocess.pixels(samples.read(name)) for name in samples.names])


class Workshop:
    """A float32 graph, and images that judge what is made of it."""

    def __init__(self, classifier: Classifier, folder: Path) -> None:
        self.preprocess = classifier.header.preprocess
        self.graph = folder / "float32.onnx"
        self.graph.write_bytes(Making(classifier, "normalised", "").graph(blocked=False).SerializeToString())
        data = labelled_by(classifier)
        parts = parts_of(data, classifier)
        self.images, calibration = (
            read(held, 32, dataset=data, classifier=classifier, listener=Quiet())
            for held in (parts.choice, parts.calibration)
        )
        self.batches = [normalised(calibration.pixels, self.preprocess)]

    def ranges(self, *, percentiles: bool = False) -> list[Ranges]:
        return measure(self.graph, self.batches, Quiet(), percentiles=percentiles)

    def bench(self) -> Bench:
        return bench(self.graph, self.images, self.preprocess)


def test_blocks_that_hurt_stay_in_float32(tmp_path: Path) -> None:
    shop = Workshop(with_outlier(classifier_of(SMALL), 3000.0), tmp_path)
    judge, ranges, notes = shop.bench(), shop.ranges(), Notes()
    chosen = choose(judge, ranges, 10.0, notes)
    assert chosen.drop <= 10.0
    assert {"stages.0.0", "stages.1.0"} <= set(chosen.floats)
    assert len(chosen.floats) < 6
    assert "looking for the blocks that hurt" in notes.lines[0]
    assert notes.lines[1].startswith("int8 with 1 of 10 blocks in float32 loses")


def test_int8_that_loses_too_much_is_an_error(classifier: Classifier, tmp_path: Path) -> None:
    shop = Workshop(classifier, tmp_path)
    wrong = replace(shop.images, labels=(shop.images.labels + 1) % len(CLASS_NAMES))
    always_right = np.eye(len(CLASS_NAMES), dtype=np.float32)[wrong.labels]
    judge = Bench(shop.graph, wrong, shop.preprocess, always_right)
    with pytest.raises(QuantizationError, match=r"even with \d of 10 blocks in float32; allowed: 1; no file"):
        choose(judge, shop.ranges(), 1.0, Quiet())


def test_the_calibration_is_chosen_whose_answers_are_nearest(classifier: Classifier, tmp_path: Path) -> None:
    shop = Workshop(classifier, tmp_path)
    ranges, judge = shop.ranges(percentiles=True), shop.bench()
    assert [made.method for made in ranges] == [
        "extremes", "percentile 99.9", "percentile 99.99", "percentile 99.999"
    ]  # fmt: skip
    crude, fine = (judge.candidate(made).divergence for made in ranges[1:3])
    chosen = choose(judge, ranges[1:3], 100.0, Quiet())
    assert chosen.divergence == min(crude, fine)
    assert 0 < chosen.divergence < 0.2


def test_only_what_is_asked_for_becomes_int8(classifier: Classifier, tmp_path: Path) -> None:
    shop = Workshop(classifier, tmp_path)
    blocks = blocks_of(
        node.name for node in Making(classifier, "normalised", "").graph(blocked=False).graph.node
    )
    assert (blocks[0], blocks[1], blocks[-2:]) == ("stem", "stages.0.0", ["head", "classifier"])
    (ranges,) = shop.ranges()
    model = quantize(shop.graph, ranges, set(blocks) - {"head"})
    assert [node.op_type for node in model.graph.node].count("QuantizeLinear") > 0
    weights = {tensor.name for tensor in model.graph.initializer if tensor.data_type == 3}  # int8
    assert {name for name in weights if "zero_point" not in name} == {"head.conv.weight_quantized"}


def test_weights_take_seven_bits(classifier: Classifier, tmp_path: Path) -> None:
    """On processors without VNNI two products of eight bits overflow."""
    shop = Workshop(classifier, tmp_path)
    (ranges,) = shop.ranges()
    model = quantize(shop.graph, ranges)
    kernels = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.name.endswith("weight_quantized")
    ]
    assert len(kernels) > 20
    assert max(int(np.abs(kernel.astype(int)).max()) for kernel in kernels) <= 64


@pytest.mark.parametrize(
    ("most", "expected"), [(0, []), (1, [1]), (4, [1, 2, 3, 4]), (9, [1, 2, 3, 5, 8, 9])]
)
def test_more_and_more_blocks_are_left_in_float32(most: int, expected: list[int]) -> None:
    assert list(growing(most)) == expected


def test_answers_diverge_by_nothing_from_themselves() -> None:
    logits = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32) * 50
    assert divergence(logits, logits) == 0.0
    assert divergence(logits, logits + 1) == pytest.approx(0.0, abs=1e-6)
    assert divergence(logits, -logits) > 1
    assert top1(np.array([[1, 0], [1, 0]], np.float32), np.array([0, 1])) == 0.5


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("stem.activation.sigmoid", "stem"),
        ("pool", "stem"),
        ("stages.12.3.se.reduce", "stages.12.3"),
        ("head.conv", "head"),
        ("logits", "classifier"),
        ("pooled", "classifier"),
    ],
)
def test_operators_belong_to_blocks(name: str, block: str) -> None:
    assert block_of(name) == block


def test_percentiles_are_measured_only_where_memory_is_free() -> None:
    assert fitting_batch(1, 32) == 32
    assert fitting_batch(1 << 60, 32) == 0


def test_of_foreign_data_parts_are_drawn_and_a_caution_says_so(classifier: Classifier) -> None:
    parts = parts_of(open_dataset("digits"), classifier)
    names = [set(held.samples.names) for held in (parts.calibration, parts.choice, parts.final)]
    assert sum(map(len, names)) == 1797 == len(set.union(*names))
    assert parts.caution is not None
    assert "may have learned from the images of all parts" in parts.caution


def test_without_test_images_the_validation_images_judge_with_a_caution(classifier: Classifier) -> None:
    data = labelled_by(classifier)
    parts = parts_of(replace(data, parts={name: data.parts[name] for name in ("train", "val")}), classifier)
    assert parts.final.part == "val"
    assert parts.caution is not None


def test_the_models_own_data_is_found_by_its_name(classifier: Classifier) -> None:
    digits = open_dataset("digits")
    training = {"data": "digits", "fingerprint": digits.fingerprint()}
    known = replace(classifier.header, training=training)
    notes = Notes()
    found = own_data(Classifier(known, classifier.network, classifier.device), notes)
    assert found.fingerprint() == digits.fingerprint()
    assert notes.lines == ["int8: calibrating on digits, which the model was trained on"]


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"data": "holiday"}, "the data that the model was trained on, 'holiday', is not here"),
        ({"data": "digits", "fingerprint": "0"}, "digits is not what the model was trained on"),
        ({}, "no data is known; say which with --calibrate-on DATA"),
    ],
)
def test_data_that_is_not_found_must_be_given(
    classifier: Classifier, training: dict[str, str], message: str
) -> None:
    header = replace(classifier.header, training=training)
    with pytest.raises(UsageError, match=message):
        own_data(Classifier(header, classifier.network, classifier.device), Quiet())
