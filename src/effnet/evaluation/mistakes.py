"""What goes wrong: classes taken for others, and the images a network was most sure of and wrong about."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from effnet.evaluation.classes import ClassResult
from effnet.evaluation.metrics import Evaluation

MAX_WEAK_CLASSES = 10


@dataclass(frozen=True)
class Confusion:
    """Images of one class that were taken for another."""

    truth: str
    predicted: str
    count: int
    share: float
    """Share of the images of the true class."""


@dataclass(frozen=True)
class Mistake:
    """An image whose most probable class is wrong."""

    name: str
    truth: str
    predicted: str
    probability: float
    """Of the predicted class."""
    true_probability: float
    """Of the true class."""


def frequent_confusions(evaluation: Evaluation, limit: int) -> list[Confusion]:
    """Return the pairs of classes that are confused most often, the most frequent first."""
    names = [result.name for result in evaluation.classes]
    wrong = evaluation.confusion * (1 - np.eye(len(names), dtype=np.int64))
    found = []
    for flat in np.argsort(-wrong, axis=None, kind="stable")[:limit]:
        row, column = divmod(int(flat), len(names))
        count = int(wrong[row, column])
        if count:
            share = count / evaluation.classes[row].support
            found.append(Confusion(names[row], names[column], count, share))
    return found


def confident_mistakes(evaluation: Evaluation, limit: int) -> list[Mistake]:
    """Return the mistakes with the highest probability, the highest first."""
    answers, classes = evaluation.answers, evaluation.classes
    wrong = np.flatnonzero(~answers.correct)
    order = wrong[np.argsort(-answers.confidence[wrong], kind="stable")]
    return [
        Mistake(
            answers.names[row],
            classes[answers.labels[row]].name,
            classes[answers.predicted[row]].name,
            float(answers.confidence[row]),
            float(answers.probs[row, answers.labels[row]]),
        )
        for row in order[:limit]
    ]


def weakest_first(classes: Iterable[ClassResult]) -> list[ClassResult]:
    """Sort classes by F1, the lowest first; classes without images, which have none, come last."""
    return sorted(classes, key=lambda result: (not result.support, result.f1))


def weak_classes(evaluation: Evaluation) -> list[ClassResult]:
    """Return the fifth of the classes with the lowest F1, at most ten; none that is perfect or absent."""
    limit = min(MAX_WEAK_CLASSES, -(-len(evaluation.classes) // 5))
    return weakest_first(result for result in evaluation.classes if result.support and result.f1 < 1)[:limit]
