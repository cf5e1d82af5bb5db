"""The sentences at the top of a report."""

import torch

from effnet.evaluation.metrics import Evaluation, summarise
from effnet.evaluation.summary import failures, summary

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


def test_whether_probabilities_can_be_trusted_is_answered_too() -> None:
    question, answer = summary(of([0, 0, 0], [0, 1, 2]))[1]
    assert question == "Can its probabilities be trusted?"
    assert answer == "Not quite: the network is surer than it is right."
