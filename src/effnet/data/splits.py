"""Who is held out: the data set's own split, or a stratified draw that only the seed decides."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effnet.config import DataConfig
from effnet.data.datasets import DataSet, Samples
from effnet.errors import DataError


@dataclass(frozen=True)
class Splits:
    """Images to learn from, to choose by, and to test on once at the end."""

    train: Samples
    val: Samples
    test: Samples | None
    """None when the data set brings a validation part but no test part."""
    drawn: dict[str, list[str]]
    """Names of the held-out images of each part that was drawn here; goes into the model file."""


def split(dataset: DataSet, config: DataConfig, seed: int) -> Splits:
    """Divide a data set. Parts that it lacks are drawn, stratified by class, from what it has.

    Raises:
        DataError: a class has too few images to appear in every part.

    """
    drawn: dict[str, list[str]] = {}
    test = dataset.parts.get("test")
    val = dataset.parts.get("val")
    train = dataset.parts["train"] if dataset.is_split else dataset.parts["all"]
    if not dataset.is_split:
        _check_counts(dataset, train, 3)
        train, test = _draw(train, config.test_fraction, seed)
        drawn["test"] = list(test.names)
    if val is None:
        _check_counts(dataset, train, 2)
        train, val = _draw(train, config.val_fraction, seed)
        drawn["val"] = list(val.names)
    return Splits(train, val, test, drawn)


def held_out(dataset: DataSet, drawn: dict[str, list[str]]) -> tuple[str, Samples]:
    """Return what a model should be evaluated on, with the name of that part.

    That is the data set's test part, else the part that was drawn from it for testing when the model was
    trained (if all of those images are here), else its validation part, else everything.
    """
    if "test" in dataset.parts:
        return "test", dataset.parts["test"]
    names = frozenset(drawn.get("test", ()))
    remembered = dataset.all_samples().named(names)
    if names and len(remembered) == len(names):
        return "test", remembered
    if "val" in dataset.parts:
        return "val", dataset.parts["val"]
    return "all", dataset.all_samples()


def _draw(samples: Samples, share: float, seed: int) -> tuple[Samples, Samples]:
    """Split off a stratified share, at least one image per class on average and never all of them."""
    from sklearn.model_selection import train_test_split

    num_classes = len(np.unique(samples.labels))
    size = min(max(round(share * len(samples)), num_classes), len(samples) - num_classes)
    indices = np.arange(len(samples))
    kept, taken = train_test_split(
        indices, test_size=size, stratify=samples.labels, random_state=seed % 2**32
    )
    return samples.take(_sorted(kept)), samples.take(_sorted(taken))


def _sorted(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.sort(indices)


def _check_counts(dataset: DataSet, samples: Samples, needed: int) -> None:
    counts = Counter(samples.labels.tolist())
    for label, name in enumerate(dataset.class_names):
        if counts[label] < needed:
            raise DataError(
                f"class {name!r} has {counts[label]} images; to hold some out, {needed} per class are needed"
            )
