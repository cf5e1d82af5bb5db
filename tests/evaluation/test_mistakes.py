"""Confused classes, confident mistakes, weak classes."""

import pytest
import torch

from effnet.evaluation.classes import ClassResult
from effnet.evaluation.metrics import Evaluation, summarise
from effnet.evaluation.mistakes import (
    Confusion,
    confident_mistakes,
    frequent_confusions,
    typical_hits,
    weak_classes,
    weakest_first,
)

CLASS_NAMES = ("ant", "bee", "cat")


def evaluation() -> Evaluation:
    """Return six images: right, wrong 0.6, wrong 0.9, right, wrong 0.7, wrong 0.7."""
    probs = [
        [0.99, 0.005, 0.005],
        [0.3, 0.6, 0.1],
        [0.08, 0.02, 0.9],
        [0.1, 0.8, 0.1],
        [0.1, 0.2, 0.7],
        [0.2, 0.7, 0.1],
    ]
    labels = torch.tensor([0, 0, 1, 1, 1, 0])
    return summarise(torch.log(torch.tensor(probs)), labels, CLASS_NAMES, "test", tuple("uvwxyz"))


def test_mistakes_come_with_the_surest_first() -> None:
    assert [mistake.name for mistake in confident_mistakes(evaluation(), 12)] == ["w", "y", "z", "v"]


def test_a_mistake_says_what_was_true_and_how_probable_both_were() -> None:
    mistake = confident_mistakes(evaluation(), 1)[0]
    assert (mistake.truth, mistake.predicted) == ("bee", "cat")
    assert (mistake.probability, mistake.true_probability) == pytest.approx((0.9, 0.02))


def test_no_more_mistakes_than_asked_for() -> None:
    assert [mistake.name for mistake in confident_mistakes(evaluation(), 2)] == ["w", "y"]


def test_confusions_are_pairs_of_classes_with_the_most_frequent_first() -> None:
    assert frequent_confusions(evaluation(), 12) == [
        Confusion("ant", "bee", count=2, share=2 / 3),
        Confusion("bee", "cat", count=2, share=2 / 3),
    ]


def test_no_mistake_is_no_entry() -> None:
    perfect = summarise(torch.eye(3) * 9, torch.arange(3), CLASS_NAMES, "test")
    assert confident_mistakes(perfect, 12) == []
    assert frequent_confusions(perfect, 12) == []
    assert weak_classes(perfect) == []


def test_the_weakest_fifth_is_marked_and_an_absent_class_is_not() -> None:
    assert [result.name for result in weak_classes(evaluation())] == ["bee"]


def test_classes_without_images_come_after_the_weak_ones() -> None:
    classes = [
        ClassResult(name, 0.0, 0.0, f1, n) for name, f1, n in (("a", 0.0, 0), ("b", 0.9, 5), ("c", 0.2, 5))
    ]
    assert [result.name for result in weakest_first(classes)] == ["c", "b", "a"]


def test_classes_as_weak_as_the_weakest_are_weak_too() -> None:
    one_answer = summarise(torch.tensor([[9.0, 0, 0]] * 3), torch.arange(3), CLASS_NAMES, "test")
    assert [result.name for result in weak_classes(one_answer)] == ["bee", "cat"]


def test_of_a_class_the_right_answer_in_the_middle_is_typical() -> None:
    logits = torch.tensor([[1.0, 0, 0], [5.0, 0, 0], [3.0, 0, 0], [0, 2.0, 0], [0, 9.0, 0]])
    found = summarise(logits, torch.tensor([0, 0, 0, 1, 2]), CLASS_NAMES, "test", tuple("uvwxy"))
    assert [(hit.name, hit.truth) for hit in typical_hits(found, 10)] == [("w", "ant"), ("x", "bee")]
    assert [hit.truth for hit in typical_hits(found, 1)] == ["ant"]


def test_without_a_right_answer_none_is_typical() -> None:
    assert (
        typical_hits(summarise(torch.eye(3)[[1, 2, 0]] * 9, torch.arange(3), CLASS_NAMES, "test"), 10) == []
    )
