"""Metrics against scikit-learn and against counting."""

import json
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)
from torch import Tensor, nn

from effnet.evaluation.metrics import (
    Evaluation,
    calibrated,
    predict_logits,
    predict_probs,
    summarise,
    tempered,
    top1_and_loss,
)
from effnet.evaluation.significance import wilson_interval
from peers import torchmetrics_ece

NUM_CLASSES, NUM_IMAGES, ABSENT = 12, 400, 7
CLASS_NAMES = tuple(f"Klasse {index}" for index in range(NUM_CLASSES))


@cache
def example() -> tuple[Tensor, Tensor]:
    """Return logits, half of them right; one class never appears, neither true nor predicted."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, NUM_CLASSES - 1, (NUM_IMAGES,), generator=generator)
    labels = labels + (labels >= ABSENT)
    logits = torch.randn(NUM_IMAGES, NUM_CLASSES, generator=generator) * 2
    logits[torch.arange(NUM_IMAGES), labels] += 3.5
    logits[:, ABSENT] -= 20
    return logits, labels


def evaluation() -> Evaluation:
    return summarise(*example(), CLASS_NAMES, "test")


def probabilities() -> NDArray[np.float64]:
    logits = example()[0].double().numpy()
    shares = np.exp(logits - logits.max(1, keepdims=True))
    normalised: NDArray[np.float64] = shares / shares.sum(1, keepdims=True)
    return normalised


def test_top1_is_the_accuracy_of_scikit_learn() -> None:
    expected = accuracy_score(example()[1], probabilities().argmax(1))
    assert 0.4 < expected < 0.9
    assert evaluation().top1 == pytest.approx(expected)


def test_top5_is_that_of_scikit_learn() -> None:
    expected = top_k_accuracy_score(example()[1], probabilities(), k=5, labels=np.arange(NUM_CLASSES))
    assert evaluation().top1 < expected < 1
    assert evaluation().top5 == pytest.approx(expected)


def test_loss_is_that_of_scikit_learn() -> None:
    expected = log_loss(example()[1], probabilities(), labels=np.arange(NUM_CLASSES))
    assert evaluation().loss == pytest.approx(expected, rel=1e-5)


def test_brier_score_is_that_of_scikit_learn() -> None:
    classes = np.arange(NUM_CLASSES)
    expected = brier_score_loss(example()[1], probabilities(), labels=classes, scale_by_half=False)
    assert 0.2 < expected < 1.5
    assert evaluation().brier == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.3, 4.0])
def test_calibration_error_is_that_of_torchmetrics(temperature: float) -> None:
    logits, labels = example()
    probs = (logits / temperature).softmax(1)
    found = summarise(logits / temperature, labels, CLASS_NAMES, "test").ece
    assert found == pytest.approx(torchmetrics_ece(probs, labels), abs=1e-6)


def test_precision_recall_and_f1_are_those_of_scikit_learn() -> None:
    logits, labels = example()
    indices = np.arange(NUM_CLASSES)
    expected = precision_recall_fscore_support(labels, logits.argmax(1), labels=indices, zero_division=0.0)
    rows = zip(evaluation().classes, *expected, strict=True)
    for each, precision, recall, f1, support in rows:
        assert (each.precision, each.recall, each.f1) == pytest.approx((precision, recall, f1))
        assert each.support == support


def test_confusion_matrix_is_that_of_scikit_learn() -> None:
    logits, labels = example()
    expected = confusion_matrix(labels, logits.argmax(1), labels=np.arange(NUM_CLASSES))
    assert np.array_equal(evaluation().confusion, expected)


def test_images_and_errors_are_counted() -> None:
    result = evaluation()
    logits, labels = example()
    assert (result.split, result.num_images) == ("test", NUM_IMAGES)
    assert result.num_errors == int((logits.argmax(1) != labels).sum())
    assert result.top1 == pytest.approx(1 - result.num_errors / NUM_IMAGES)


def test_rows_of_the_confusion_matrix_are_true_classes() -> None:
    logits, labels = example()
    expected = np.zeros((NUM_CLASSES, NUM_CLASSES), dtype=np.int64)
    for truth, predicted in zip(labels.tolist(), logits.argmax(1).tolist(), strict=True):
        expected[truth, predicted] += 1
    assert np.array_equal(evaluation().confusion, expected)
    assert not np.array_equal(expected, expected.T)


def test_each_class_has_its_name_and_its_number_of_images() -> None:
    classes = evaluation().classes
    assert tuple(result.name for result in classes) == CLASS_NAMES
    assert [result.support for result in classes] == evaluation().confusion.sum(1).tolist()


def test_precision_recall_and_f1_are_ratios_of_the_confusion_matrix() -> None:
    result = evaluation()
    for index, measured in enumerate(result.classes):
        if index == ABSENT:
            continue
        hits = result.confusion[index, index]
        precision = hits / result.confusion[:, index].sum()
        recall = hits / result.confusion[index].sum()
        assert (measured.precision, measured.recall) == pytest.approx((precision, recall))
        assert measured.f1 == pytest.approx(2 * precision * recall / (precision + recall))


def test_a_class_that_never_appears_scores_zero() -> None:
    absent = evaluation().classes[ABSENT]
    assert (absent.precision, absent.recall, absent.f1, absent.support) == (0.0, 0.0, 0.0, 0)


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_with_five_classes_or_fewer_the_truth_is_always_among_the_top5(num_classes: int) -> None:
    logits = torch.randn(20, num_classes, generator=torch.Generator().manual_seed(0))
    result = summarise(logits, torch.arange(20) % num_classes, CLASS_NAMES[:num_classes], "val")
    assert result.top5 == 1.0
    assert result.top1 < 1.0


def test_a_perfect_network_makes_no_error() -> None:
    labels = torch.arange(6)
    result = summarise(torch.eye(6) * 100, labels, CLASS_NAMES[:6], "val")
    assert (result.top1, result.num_errors) == (1.0, 0)
    assert result.loss == pytest.approx(0, abs=1e-6)
    assert all(each.f1 == 1 for each in result.classes)


def test_one_image_is_enough() -> None:
    result = summarise(torch.tensor([[0.0, 1.0]]), torch.tensor([0]), ("a", "b"), "val")
    assert (result.num_images, result.num_errors, result.top1) == (1, 1, 0.0)


def test_top1_and_loss_are_those_of_the_summary() -> None:
    result = evaluation()
    assert top1_and_loss(*example()) == (result.top1, result.loss)


def test_the_result_is_plain_json() -> None:
    data = json.loads(json.dumps(evaluation().to_dict()))
    assert data["num_images"] == NUM_IMAGES
    assert data["confusion"] == evaluation().confusion.tolist()
    assert data["classes"][0].keys() == {"name", "precision", "recall", "recall_interval", "f1", "support"}
    assert data["uncalibrated"] is None
    assert data["skipped"] == []


def test_the_summary_is_the_result_without_the_classes() -> None:
    result = evaluation()
    summary = result.summary()
    assert json.loads(json.dumps(summary)) == summary
    beside = {
        "classes",
        "confusion",
        "skipped",
        "num_left_out",
        "ece_by_chance",
        "temperature",
        "uncalibrated",
    }
    assert summary.keys() == result.to_dict().keys() - beside
    assert summary["interval"] == list(wilson_interval(NUM_IMAGES - result.num_errors, NUM_IMAGES))


def test_answers_are_what_the_numbers_came_from() -> None:
    answers = evaluation().answers
    assert np.allclose(answers.probs, probabilities(), atol=1e-6)
    assert np.array_equal(answers.labels, example()[1].numpy())
    assert np.array_equal(answers.confidence, answers.probs.max(1))
    assert answers.correct.mean() == pytest.approx(evaluation().top1)


def test_answers_carry_the_names_of_the_images() -> None:
    logits, labels = torch.eye(2), torch.tensor([0, 1])
    assert summarise(logits, labels, ("a", "b"), "val", ("x.png", "y.png")).answers.names == (
        "x.png", "y.png",
    )  # fmt: skip
    assert summarise(logits, labels, ("a", "b"), "val").answers.names == ("0", "1")


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_is_that_of_newcombe(successes: int, total: int, low: float, high: float) -> None:
    """Newcombe, Two-Sided Confidence Intervals for the Single Proportion, 1998, table I, method 3."""
    assert wilson_interval(successes, total) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("successes", "total"), [(0, 1), (1, 1), (351, 359), (9_999, 10_000), (500, 500)])
def test_wilson_interval_is_that_of_scipy(successes: int, total: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(successes, total).proportion_ci(method="wilson")
    assert wilson_interval(successes, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_interval_surrounds_the_accuracy() -> None:
    low, high = evaluation().interval
    assert low < evaluation().top1 < high


def test_each_recall_has_the_interval_of_its_class() -> None:
    result = evaluation()
    for index, each in enumerate(result.classes):
        if index != ABSENT:
            hits = int(result.confusion[index, index])
            assert each.recall_interval == wilson_interval(hits, each.support)
    assert result.classes[ABSENT].recall_interval == (0.0, 1.0)
    assert result.unmeasured == (CLASS_NAMES[ABSENT],)


def with_temperature(temperature: float) -> Evaluation:
    logits, labels = example()
    return calibrated(logits, temperature, lambda scores: summarise(scores, labels, CLASS_NAMES, "test"))


def test_a_temperature_changes_probabilities_and_no_answer() -> None:
    result, before = with_temperature(3.0), evaluation()
    assert np.array_equal(result.answers.predicted, before.answers.predicted)
    assert result.answers.probs == pytest.approx((example()[0] / 3).softmax(1).numpy(), abs=1e-6)
    assert result.uncalibrated is not None
    assert result.uncalibrated.to_dict() == before.to_dict()
    assert result.to_dict()["uncalibrated"] == {
        name: getattr(before, name) for name in ("loss", "ece", "brier")
    }


def test_a_temperature_of_one_changes_no_bit() -> None:
    assert with_temperature(1.0).uncalibrated is None
    assert torch.equal(tempered(example()[0], 1.0), example()[0])


def test_logits_that_differ_by_one_bit_keep_their_order_at_any_temperature() -> None:
    low = torch.tensor([1.0])
    logits = torch.stack([low, torch.nextafter(low, low + 1)], dim=1)
    for temperature in (0.37, 1.1, 3.0, 7.7, 99.0):
        assert tempered(logits, temperature).argmax(1).item() == 1


def test_probabilities_of_single_images_are_divided_too() -> None:
    images = torch.tensor([[2.0, 0.0]])
    probs = predict_probs(nn.Identity(), images, torch.device("cpu"), temperature=2.0)
    assert probs.dtype == torch.float32
    assert probs[0].tolist() == pytest.approx([np.e / (np.e + 1), 1 / (np.e + 1)])


@pytest.mark.parametrize(
    ("split", "has_caution"), [("test", False), ("val", True), ("train", True), ("all", True)]
)
def test_only_the_test_part_comes_without_a_caution(split: str, has_caution: bool) -> None:
    result = summarise(torch.eye(2), torch.tensor([0, 1]), ("a", "b"), split)
    assert (result.caution is not None) is has_caution


def batches(*sizes: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(size, 3, generator=generator), torch.randint(0, 2, (size,), generator=generator))
        for size in sizes
    ]


def test_predictions_of_all_batches_come_in_order() -> None:
    network = nn.Linear(3, 2)
    logits, labels = predict_logits(network, batches(4, 4, 1))
    inputs = torch.cat([images for images, _ in batches(4, 4, 1)])
    assert torch.allclose(logits, network(inputs), atol=1e-6)
    assert labels.tolist() == torch.cat([labels for _, labels in batches(4, 4, 1)]).tolist()


@pytest.mark.parametrize("training", [True, False])
def test_predicting_switches_dropout_off_and_puts_the_mode_back(training: bool) -> None:
    network = nn.Dropout(0.5).train(training)
    logits, _ = predict_logits(network, batches(50))
    assert torch.equal(logits, batches(50)[0][0])
    assert network.training is training


def test_predictions_are_float32_and_carry_no_gradient() -> None:
    network = nn.Linear(3, 2, dtype=torch.float64)
    logits, _ = predict_logits(network, [(torch.zeros(1, 3, dtype=torch.float64), torch.tensor([0]))])
    assert (logits.dtype, logits.requires_grad) == (torch.float32, False)
