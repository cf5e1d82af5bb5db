"""Folds for cross-validation: every training image is held out once, classes spread evenly."""

import numpy as np

from effnet.data.datasets import Samples
from effnet.errors import DataError, UsageError

_FOLDS = 5  # second word of the generator; see `effnet.data.splits`
LEAST = 2


def take_fold(
    samples: Samples, class_names: tuple[str, ...], fold: str, seed: int
) -> tuple[Samples, Samples]:
    """Divide images into those that a fold leaves, and those that it holds out.

    Args:
        samples: the training images.
        class_names: their classes, for messages.
        fold: such as `2/5`, the second of five.
        seed: decides who is in which fold.

    Raises:
        UsageError: no such fold, or more folds than images of a class.

    """
    number, count = map(int, fold.split("/"))
    if number > count:
        raise UsageError(f"data.fold = {fold!r}: the last of {count} folds is {count}/{count}")
    check_folds(samples, class_names, count)
    held = folds_of(samples, count, seed) == number - 1
    return samples.take(np.flatnonzero(~held)), samples.take(np.flatnonzero(held))


def folds_of(samples: Samples, count: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the fold of each image, `(N,)`, from 0.

    The images of a class are shuffled and dealt out in turn; the next class goes on where the last one
    ended, so that no fold is more than one image larger than another.
    """
    generator = np.random.default_rng([seed, _FOLDS])
    order = [
        generator.permutation(np.flatnonzero(samples.labels == label)) for label in np.unique(samples.labels)
    ]
    folds = np.empty(len(samples), np.int64)
    folds[np.concatenate(order)] = np.arange(len(samples)) % count
    return folds


def check_folds(samples: Samples, class_names: tuple[str, ...], count: int) -> None:
    """Make sure that each fold can hold out an image of each class, and leaves some.

    Raises:
        UsageError: fewer than two folds.
        DataError: more folds than images of a class; names the smallest one.

    """
    if count < LEAST:
        raise UsageError(f"{count} folds: there must be at least {LEAST}")
    sizes = np.bincount(samples.labels, minlength=len(class_names))
    smallest = int(sizes.argmin())
    if sizes[smallest] < count:
        raise DataError(
            f"{count} folds, and class {class_names[smallest]!r} has {sizes[smallest]} images to train on; "
            f"take at most {max(LEAST, int(sizes[smallest]))} folds, or bring more images of it"
        )
