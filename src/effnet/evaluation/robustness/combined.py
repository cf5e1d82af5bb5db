"""The mean of several answers to each image: of views of it, or of several networks."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from effnet.evaluation.comparison.result import Contrast, count
from effnet.evaluation.metrics import Evaluation, summarise
from effnet.evaluation.significance import mcnemar


def mean_of(evaluation: Evaluation, probs: Sequence[NDArray[np.float32]]) -> Evaluation:
    """Return what the mean of probabilities is worth.

    Args:
        evaluation: one of the answers; it says what the images are.
        probs: all of them, `(N, K)` each.

    """
    answers = evaluation.answers
    logits = torch.from_numpy(np.mean(probs, axis=0, dtype=np.float64)).log()
    class_names = tuple(result.name for result in evaluation.classes)
    labels = torch.from_numpy(answers.labels)
    mean = summarise(logits, labels, class_names, evaluation.split, answers.names)
    about = {name: getattr(evaluation, name) for name in ("broken", "lost", "num_left_out")}
    return replace(mean, **about)


def contrast(combined: Evaluation, single: Evaluation, names: tuple[str, str]) -> Contrast:
    """Compare a combination with a single answer, by McNemar's exact test; `names` are their names."""
    first, second = count(combined.answers.correct, single.answers.correct)
    return Contrast(*names, first, second, combined.num_images, mcnemar(first, second))
