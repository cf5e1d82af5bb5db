"""Cross-validation: each image is judged by a classifier that has learned from others only."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.data.splits import apportion
from effnet.doctor.features import Features
from effnet.doctor.reporter import Progress

NUM_FOLDS = 5
MAX_LEARNED = 50_000  # images that classifiers learn from; of more, each class gives its share
LEAST_LEARNED = 2 * NUM_FOLDS  # of each class
SMOOTHNESS = 0.01  # sklearn's C, for standardised features; from 0.001 to 0.1 the order hardly changed
MAX_ITERATIONS = 100
ROWS_AT_ONCE = 512

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dealt:
    """Images to judge, and the fold of each."""

    rows: Rows
    """Their places among all images, `(N,)`."""
    labels: Rows
    """Index into `classes`, `(N,)`."""
    folds: Rows
    """`(N,)`, 0 to 4."""
    places: Rows
    """Place in the order in which the images of a class were dealt, `(N,)`; the same for copies."""
    classes: Rows
    """Labels of the classes that have enough images, `(K,)`."""

    def learned(self, most: int) -> NDArray[np.bool_]:
        """Choose the images to learn from, `(N,)`: all, or of each class its share."""
        if len(self.labels) <= most:
            return np.ones(len(self.labels), bool)
        quota = np.maximum(LEAST_LEARNED, apportion(np.bincount(self.labels), most))
        return self.places < quota[self.labels]


def deal(labels: Rows, groups: Rows) -> Dealt:
    """Deal images to folds, class by class, copies of one another together.

    Classes with fewer different images than there are folds are left out.

    Args:
        labels: of all images, `(N,)`.
        groups: the same number for copies of one another, `(N,)`.

    """
    _, heads, members = np.unique(groups, return_index=True, return_inverse=True)
    of_heads = labels[heads]  # copies go with the first of them, whatever they are called
    places, counts = np.zeros(len(heads), np.int64), np.zeros(labels.max() + 1, np.int64)
    for label in np.unique(of_heads):
        of_class = np.flatnonzero(of_heads == label)
        counts[label] = len(of_class)
        places[of_class] = np.random.default_rng([0, label]).permutation(len(of_class))
    rows = np.flatnonzero(counts[labels] >= NUM_FOLDS)
    classes, used = np.unique(labels[rows], return_inverse=True)
    chosen = places[members[rows]]
    return Dealt(rows, used, chosen % NUM_FOLDS, chosen, classes)


def cross_validate(
    features: Features, dealt: Dealt, on_progress: Progress, *, most: int = MAX_LEARNED
) -> NDArray[np.float64]:
    """Return the probabilities `(N, K)` of logistic regression that has learned from the other folds.

    Args:
        features: of all images.
        dealt: those to judge.
        on_progress: told how far it is.
        most: images to learn from; their features are held in memory, 6 kB each.

    """
    learned = dealt.learned(most)
    inputs = described(features, dealt.rows[learned], on_progress)
    mean, deviation = inputs.mean(0), inputs.std(0) + 1e-6
    inputs -= mean
    inputs /= deviation
    models = []
    for fold in range(NUM_FOLDS):
        on_progress("learning the classes", fold, NUM_FOLDS)
        others = dealt.folds[learned] != fold
        models.append(learn(inputs[others], dealt.labels[learned][others]))
    on_progress("learning the classes", NUM_FOLDS, NUM_FOLDS)
    probs = np.zeros((len(dealt.rows), len(dealt.classes)))
    for part in parts(len(probs), "judging labels", on_progress):
        values, folds = (features.take(dealt.rows[part]) - mean) / deviation, dealt.folds[part]
        for fold in np.unique(folds):
            held = folds == fold
            probs[part.start + np.flatnonzero(held)] = models[fold].predict_proba(values[held])
    return probs


def described(features: Features, rows: Rows, on_progress: Progress) -> NDArray[np.float32]:
    """Return the features of rows, `(n, D)`, as an array of its own."""
    inputs = np.empty((len(rows), features.num_features), np.float32)
    for part in parts(len(rows), "describing images", on_progress):
        inputs[part] = features.take(rows[part])
    return inputs


def parts(count: int, task: str, on_progress: Progress) -> Iterator[slice]:
    """Yield slices of so many rows, a few hundred each, and follow them."""
    for start in range(0, count, ROWS_AT_ONCE):
        on_progress(task, start, count)
        yield slice(start, min(count, start + ROWS_AT_ONCE))
    on_progress(task, count, count)


def learn(inputs: NDArray[np.float32], labels: Rows) -> Any:
    """Fit logistic regression to `inputs (n, D)` and `labels (n,)`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():  # a hundred steps are enough to rank by
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=SMOOTHNESS, max_iter=MAX_ITERATIONS).fit(inputs, labels)
