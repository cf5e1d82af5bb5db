"""Who is held out: the data set's own split, or a stratified draw that only the seed decides."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

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
    wanted = [] if dataset.is_split else [("test", config.test_fraction)]
    wanted += [("val", config.val_fraction)] if val is None else []
    _check_counts(dataset, train, needed=len(wanted) + 1)
    taken = {}
    for later, (part, share) in zip(reversed(range(len(wanted))), wanted, strict=True):
        train, taken[part] = _draw(
            train, share, keep=later + 1, generator=np.random.default_rng([seed, later])
        )
        drawn[part] = list(taken[part].names)
    test, val = taken.get("test", test), taken.get("val", val)
    assert val is not None  # the data set has one, or it was drawn
    return Splits(train, val, test, drawn)


def absent_classes(splits: Splits, class_names: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the classes that held-out parts have no image of, by the name of the part."""
    found = {"val": splits.val} | ({} if splits.test is None else {"test": splits.test})
    absent = {}
    for part, samples in found.items():
        labels = sorted(set(range(len(class_names))) - set(samples.labels.tolist()))
        if labels:
            absent[part] = [class_names[label] for label in labels]
    return absent


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


def find_part(dataset: DataSet, drawn: dict[str, list[str]], part: str) -> Samples | None:
    """Return a part by its name, as it was when a model was trained; None where there is none.

    `drawn` holds the names of the images that were held out then; `train` is the others.
    """
    everything, held = dataset.all_samples(), frozenset(name for names in drawn.values() for name in names)
    parts = {**dataset.parts, "all": everything}
    if drawn and len(everything.named(held)) == len(held):
        remembered = {name: everything.named(frozenset(names)) for name, names in drawn.items()}
        learned = parts.get("train", everything)
        parts = remembered | parts | {"train": learned.named(frozenset(learned.names) - held)}
    return parts.get(part)


def _draw(
    samples: Samples, share: float, *, keep: int, generator: np.random.Generator
) -> tuple[Samples, Samples]:
    """Split off a share of each class: at least one image, and leave at least `keep`."""
    taken = np.zeros(len(samples), dtype=bool)
    for label in np.unique(samples.labels):
        members = np.flatnonzero(samples.labels == label)
        count = min(max(1, round(share * len(members))), len(members) - keep)
        taken[generator.permutation(members)[:count]] = True
    return samples.take(np.flatnonzero(~taken)), samples.take(np.flatnonzero(taken))


def _check_counts(dataset: DataSet, samples: Samples, needed: int) -> None:
    counts = Counter(samples.labels.tolist())
    for label, name in enumerate(dataset.class_names):
        if counts[label] < needed:
            raise DataError(
                f"class {name!r} has {counts[label]} images; to hold some out, {needed} per class are needed"
            )
