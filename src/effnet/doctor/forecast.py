"""How long a check will take, from a few images read and a few steps of what it computes."""

from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch

from effnet.data.datasets import Samples
from effnet.doctor.folds import MAX_ITERATIONS, MAX_LEARNED, NUM_FOLDS, ROWS_AT_ONCE
from effnet.doctor.patches import draw_patches
from effnet.doctor.survey import Look, look_all
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.opened import BATCH_SIZE

NUM_PROBED = 64
START_SECONDS = 2.0  # for libraries to load and the page to be written


def forecast(samples: Samples, num_classes: int, *, labels: bool, classifier: Classifier | None) -> float:
    """Return the seconds that a check of these images will take here.

    Args:
        samples: all images.
        num_classes: how many classes they have.
        labels: whether labels are judged.
        classifier: what judges them, if it is not patches.

    """
    looks, reading = probe(samples)
    total = len(samples)
    if not labels or not looks:
        return START_SECONDS + total * reading
    if classifier is None:
        patches, thumbs = draw_patches(np.stack([look.thumb for look in looks])), looks[0].thumb[None]
        batch = thumbs.repeat(ROWS_AT_ONCE, 0)
        each = 2 * timed(lambda: patches.features(batch)) / ROWS_AT_ONCE  # to learn, then to be judged
        num_features = patches.num_features
    else:
        each = reading + network_seconds(classifier)
        num_features = classifier.network.classifier.in_features
    return START_SECONDS + total * (reading + each) + learn_seconds(total, num_features, num_classes)


def probe(samples: Samples) -> tuple[list[Look], float]:
    """Look at a few images spread over all; return them, and the seconds that each took."""
    picked = np.linspace(0, len(samples) - 1, min(NUM_PROBED, len(samples))).astype(np.int64)
    few = samples.take(picked)
    list(look_all(few.take(np.arange(1)), lambda task, done, total: None))  # loads what is loaded once
    started = perf_counter()
    looks = list(look_all(few, lambda task, done, total: None))
    seconds = (perf_counter() - started) / len(few)
    return [look for look in looks if isinstance(look, Look)], seconds


def timed(work: Callable[[], object]) -> float:
    """Return the seconds of doing something, the second time."""
    work()
    started = perf_counter()
    work()
    return perf_counter() - started


def network_seconds(classifier: Classifier) -> float:
    """Return the seconds that a network takes for one image in a batch."""
    preprocess = classifier.header.preprocess
    shape = (BATCH_SIZE, len(preprocess.mean), preprocess.resolution, preprocess.resolution)
    with torch.inference_mode():
        images = torch.zeros(shape, device=classifier.device).contiguous(memory_format=torch.channels_last)
        return timed(lambda: classifier.network(images).cpu()) / BATCH_SIZE


def learn_seconds(num_images: int, num_features: int, num_classes: int) -> float:
    """Return the seconds of all logistic regressions: two products of matrices in each step."""
    inputs = np.ones((ROWS_AT_ONCE, num_features), np.float32)
    weights, errors = (
        np.ones((num_features, num_classes), np.float32),
        np.ones((ROWS_AT_ONCE, num_classes), np.float32),
    )
    step = timed(lambda: (inputs @ weights, inputs.T @ errors)) / ROWS_AT_ONCE
    learned = min(num_images, MAX_LEARNED) * (NUM_FOLDS - 1) / NUM_FOLDS
    return step * learned * MAX_ITERATIONS * NUM_FOLDS
