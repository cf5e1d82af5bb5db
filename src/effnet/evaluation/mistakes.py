"""What goes wrong and what right: classes taken for others, the surest mistakes, typical right answers."""

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


@dataclass(frozen=True)
class Hit:
    """An image whose most probable class is the true one."""

    name: str
    truth: str
    probability: float


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


def typical_hits(evaluation: Evaluation, limit: int) -> list[Hit]:
    """Return right answers of different classes, spread over the class list, one of each class.

    Of each class it is the answer in the middle when sorted by probability: the surest ones flatter.
    """
    answers, classes = evaluation.answers, evaluation.classes
    known = np.unique(answers.labels[answers.correct])
    picked = known[np.linspace(0, len(known) - 1, min(limit, len(known))).astype(np.int64)]
    hits = []
    for label in picked.tolist():
        rows = np.flatnonzero(answers.correct & (answers.labels == label))
        row = rows[np.argsort(-answers.confidence[rows], kind="stable")[len(rows) // 2]]
        hits.append(Hit(answers.names[row], classes[label].name, float(answers.confidence[row])))
    return hits


def weakest_first(classes: Iterable[ClassResult]) -> list[ClassResult]:
    """Sort classes by F1, the lowest first; classes without images, which have none, come last."""
    return sorted(classes, key=lambda result: (not result.support, result.f1))


def weak_classes(evaluation: Evaluation) -> list[ClassResult]:
    """Return the fifth of the classes with the lowest F1, at most ten; none that is perfect or absent.

    Those as low as the last of them belong to it: of two classes with one F1, none is weaker.
    """
    limit = min(MAX_WEAK_CLASSES, -(-len(evaluation.classes) // 5))
    found = weakest_first(result for result in evaluation.classes if result.support and result.f1 < 1)
    return [result for result in found if result.f1 <= found[:limit][-1].f1]
