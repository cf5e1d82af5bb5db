"""The sentences at the top of a report."""

import torch

from effnet.evaluation.metrics import Evaluation, summarise
from effnet.evaluation.summary import confused, failures, guessing, summary

NAMES = ("ant", "bee", "cat")


def of(predicted: list[int], truth: list[int]) -> Evaluation:
    return summarise(torch.eye(3)[predicted] * 9, torch.tensor(truth), NAMES, "test")


def test_the_class_that_is_recognised_least_is_named_with_what_it_is_taken_for() -> None:
    assert failures(of([0, 0, 1, 2, 2, 2], [0, 0, 1, 1, 1, 2])) == (
        "It recognises bee least often: 1 of 3 images. Most often it takes bee for cat (2 of 2 errors)."
    )


def test_classes_that_are_recognised_as_seldom_are_counted() -> None:
    assert failures(of([0, 0, 0], [0, 1, 2])).startswith(
        "It recognises bee least often: 0 of 1 images; 1 other class as seldom."
    )


def test_a_network_that_is_always_right_fails_nowhere() -> None:
    assert failures(of([0, 1, 2], [0, 1, 2])) == "Nowhere on these images: all are right."


def test_a_confusion_that_happens_once_among_several_is_not_called_frequent() -> None:
    assert confused(of([1, 2], [0, 1])) == "No class is taken for the same other one more than once."
    assert confused(of([1, 1], [0, 1])) == "Most often it takes ant for bee (1 of 1 error)."


def test_a_network_no_better_than_one_answer_for_all_is_called_so() -> None:
    assert guessing(of([0, 1, 1, 0], [0, 0, 0, 1])) == (
        "It is not shown to be better than saying ant of every image, which is right about 75.0%. "
    )


def test_a_network_that_is_better_than_one_answer_for_all_is_not_accused() -> None:
    assert guessing(of([0, 1, 2] * 9, [0, 1, 2] * 9)) == ""


def test_whether_probabilities_can_be_trusted_is_answered_too() -> None:
    question, answer = summary(of([0, 0, 0], [0, 1, 2]))[1]
    assert question == "Can its probabilities be trusted?"
    assert answer == (
        "Not quite: the network is surer than it is right. On average it is 100.0% sure, and 33.3% right."
    )
