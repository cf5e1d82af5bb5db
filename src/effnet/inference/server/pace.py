"""How many images are best computed together: measured, since on some processors batches are slower."""

from collections.abc import Callable
from time import perf_counter

import numpy as np

from effnet.errors import ModelFileError
from effnet.inference.runtime import OnnxClassifier

SIZES = (1, 2, 4, 8, 16)
PATIENCE_SECONDS = 2.0
"""A size is not tried when the one before already took a quarter of this time."""
TOLERANCE = 1.02
"""A larger batch may be slower by this factor: what happens around the network is shared by all in it."""
ROUNDS = 3


def prove(classifier: OnnxClassifier) -> None:
    """Let a model answer once, for one image and for two, before anybody depends on it.

    Raises:
        ModelFileError: it does not compute, or no finite numbers, or not one for each class.

    """
    num_classes, path = classifier.header.num_classes, classifier.path
    for num_images in (1, 2):
        try:
            logits, features = classifier.logits_and_features(noise(classifier, num_images))
            classifier.maps_of(features, [0])
        except Exception as error:
            raise ModelFileError(f"{path}: the network does not compute: {error}") from error
        if logits.shape != (num_images, num_classes) or not np.isfinite(logits).all():
            raise ModelFileError(f"{path}: the network gives no {num_classes} finite numbers an image")


def best_batch(classifier: OnnxClassifier) -> int:
    """Measure how many images are best computed together, at most those that come next in `SIZES`."""

    def seconds(size: int) -> float:
        pixels = noise(classifier, size)
        return fastest(lambda: classifier.logits(pixels))

    return best_size(seconds)


def best_size(seconds: Callable[[int], float]) -> int:
    """Return the best of `SIZES`, for a function that measures the seconds of a batch."""
    best, spent = SIZES[0], seconds(SIZES[0])
    shortest = spent
    for size in SIZES[1:]:
        if spent * 4 > PATIENCE_SECONDS:
            break
        spent = seconds(size)
        if spent / size <= TOLERANCE * shortest:
            best = size
        shortest = min(shortest, spent / size)
    return best


def fastest(run: Callable[[], object]) -> float:
    """Return the seconds of the fastest of some runs: what else goes on makes them slower only."""
    times = []
    for _ in range(ROUNDS):
        started = perf_counter()
        run()
        times.append(perf_counter() - started)
    return min(times)


def noise(classifier: OnnxClassifier, num_images: int) -> np.ndarray:
    """Return images of noise as the network takes them, `(N, C, S, S)` uint8."""
    preprocess = classifier.header.preprocess
    shape = (num_images, len(preprocess.mean), preprocess.resolution, preprocess.resolution)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
