"""Who is held out: the data set's own split, or a stratified draw that only the seed decides."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from effnet.config import DataConfig
from effnet.data.datasets import DataSet, Samples
from effnet.data.folds import take_fold
from effnet.errors import DataError, UsageError, some

# Second words of the generators for `data.max_train`, `data.max_val` and a sample to evaluate on; 0 and 1
# draw what is held out, 5 draws folds.
_MAX_TRAIN, _MAX_VAL, _SAMPLE = 2, 3, 4


@dataclass(frozen=True)
class Splits:
    """Images to learn from, to choose by, and to test on once at the end."""

    train: Samples
    val: Samples
    test: Samples | None
    """None when the data set brings a validation part but no test part."""
    drawn: dict[str, list[str]]
    """Names of the images of each part that was drawn here; goes into the model file."""
    num_left_out: int = 0
    """Training images that are not learned from, because of `data.max_train`."""


def split(dataset: DataSet, config: DataConfig, seed: int) -> Splits:
    """Divide a data set. Parts that it lacks are drawn, stratified by class, from what it has.

    `max_train` and `max_val` leave that many images of a part, each class with its share, at least one. With
    a fold of cross-validation that fold of the training images is the part to test, and not the real one.

    Raises:
        DataError: a class has too few images to appear in every part, or in every fold.
        UsageError: `max_train` or `max_val` is less than one image of each class.

    """
    drawn: dict[str, list[str]] = {}
    test = dataset.parts.get("test")
    val = dataset.parts.get("val")
    train = dataset.parts["train"] if dataset.is_split else dataset.parts["all"]
    num_drawn = (not dataset.is_split) + (val is None) + (config.fold is not None)
    _check_counts(dataset, train, needed=num_drawn + 1)
    if not dataset.is_split:
        counts = _counts(train, config.test_fraction, keep=2)
        train, test = _draw(train, counts, np.random.default_rng([seed, 1]))
        drawn["test"] = list(test.names)
    if config.fold is not None:
        train, test = take_fold(train, dataset.class_names, config.fold, seed)
        drawn["test"] = list(test.names)
    if val is None:
        counts = _limited(_counts(train, config.val_fraction, keep=1), config.max_val, "max_val")
        train, val = _draw(train, counts, np.random.default_rng([seed, 0]))
        drawn["val"] = list(val.names)
    if config.fold is not None:  # what is in no part cannot be told from what was learned from otherwise
        drawn["train"] = list(train.names)
    return _limit(Splits(train, val, test, drawn), config, seed)


def _limit(splits: Splits, config: DataConfig, seed: int) -> Splits:
    """Leave no more images than `max_train` and `max_val`; the others belong to no part."""
    train, val, drawn = splits.train, splits.val, dict(splits.drawn)
    if config.max_train is not None and len(train) > config.max_train:
        counts = _limited(_counts(train, 1.0, keep=0), config.max_train, "max_train")
        train = _draw(train, counts, np.random.default_rng([seed, _MAX_TRAIN]))[1]
        drawn["train"] = list(train.names)
    if config.max_val is not None and len(val) > config.max_val:
        counts = _limited(_counts(val, 1.0, keep=0), config.max_val, "max_val")
        val = _draw(val, counts, np.random.default_rng([seed, _MAX_VAL]))[1]
        drawn["val"] = list(val.names)
    left_out = len(splits.train) - len(train)
    return replace(splits, train=train, val=val, drawn=drawn, num_left_out=left_out)


def absent_classes(splits: Splits, class_names: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the classes that held-out parts have no image of, by the name of the part."""
    found = {"val": splits.val} | ({} if splits.test is None else {"test": splits.test})
    absent = {}
    for part, samples in found.items():
        labels = sorted(set(range(len(class_names))) - set(samples.labels.tolist()))
        if labels:
            absent[part] = [class_names[label] for label in labels]
    return absent


@dataclass(frozen=True)
class Drawn:
    """What was drawn when a model was trained, as its model file remembers it."""

    names: Mapping[str, Sequence[str]]
    """Names of the images of each part."""
    fingerprint: str | None = None
    """Of the data set that they were drawn from; None in older model files, which trust the names alone."""

    def lost(self, dataset: DataSet, parts: Iterable[str]) -> str | None:
        """Say why the images of these parts cannot be told in a data set; None where they can."""
        wanted = {name for part in parts for name in self.names.get(part, ())}
        missing = sorted(wanted.difference(dataset.all_samples().names))
        if missing and len(missing) == len(wanted):
            return f"none of the {len(wanted)} images that were drawn when the model was trained is here"
        if missing:
            return (
                f"of the {len(wanted)} images that were drawn when the model was trained, {len(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing ({some(missing, limit=3)})"
            )
        if wanted and self.fingerprint not in (None, dataset.fingerprint()):
            return "these are not the images that the training began with, by their names and classes"
        return None


@dataclass(frozen=True)
class HeldOut:
    """The images that a model should be evaluated on."""

    part: str
    samples: Samples
    lost: str | None = None
    """Why these are all images of the data set, though some of it was drawn for testing."""
    num_left_out: int = 0
    """Images of the part that are not evaluated; see `sampled`."""


def sampled(held: HeldOut, max_images: int | None, seed: int) -> HeldOut:
    """Draw at most so many images, of each class its share, at least one; None takes all.

    Raises:
        UsageError: there are more classes than that.

    """
    counts = np.unique(held.samples.labels, return_counts=True)[1]
    if max_images is None or len(held.samples) <= max_images:
        return held
    if max_images < len(counts):
        raise UsageError(
            f"max_images = {max_images}: there are {len(counts)} classes, and each needs an image; "
            f"take {len(counts)} or more"
        )
    generator = np.random.default_rng([seed, _SAMPLE])
    drawn = _draw(held.samples, apportion(counts, max_images), generator)[1]
    return replace(held, samples=drawn, num_left_out=len(held.samples) - len(drawn))


def held_out(dataset: DataSet, drawn: Drawn) -> HeldOut:
    """Return what a model should be evaluated on.

    That is the part that was drawn from it for testing when the model was trained (if this is that data set),
    else its own test part, else its validation part, else everything.
    """
    names, lost = frozenset(drawn.names.get("test", ())), drawn.lost(dataset, ["test"])
    if names and lost is None:
        return HeldOut("test", dataset.all_samples().named(names))
    if "test" in dataset.parts:
        return HeldOut("test", dataset.parts["test"])
    if "val" in dataset.parts:
        return HeldOut("val", dataset.parts["val"])
    return HeldOut("all", dataset.all_samples(), lost)


def find_parts(dataset: DataSet, drawn: Drawn) -> dict[str, Samples]:
    """Return all parts by name, as they were when a model was trained, if this is the data set of then.

    Unless training images were drawn, `train` is what was not. Of another data set these are its own parts.
    """
    everything = dataset.all_samples()
    parts = {**dataset.parts, "all": everything}
    if drawn.names and drawn.lost(dataset, drawn.names) is None:
        remembered = {name: everything.named(frozenset(names)) for name, names in drawn.names.items()}
        held = frozenset(name for names in drawn.names.values() for name in names)
        learned = parts.get("train", everything)
        parts |= {"train": learned.named(frozenset(learned.names) - held)} | remembered
    return parts


def _counts(samples: Samples, share: float, *, keep: int) -> NDArray[np.int64]:
    """Return how many images a share of each class is: at least one, and it leaves at least `keep`."""
    sizes = np.unique(samples.labels, return_counts=True)[1]
    return np.array([min(max(1, round(share * size)), size - keep) for size in sizes.tolist()], np.int64)


def _limited(counts: NDArray[np.int64], limit: int | None, key: str) -> NDArray[np.int64]:
    """Lower the numbers of images of the classes in proportion, so that their sum is at most the limit."""
    if limit is None or counts.sum() <= limit:
        return counts
    if limit < len(counts):
        raise UsageError(f"data.{key} = {limit}: there are {len(counts)} classes, and each needs an image")
    return apportion(counts, limit)


def apportion(counts: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Share out a total, less than the sum of the counts and at least 1 each, in proportion to them.

    By largest remainders: no share is off by more than one, but for those raised to 1 and who paid for it.
    """
    exact = counts * (total / counts.sum())
    given: NDArray[np.int64] = np.maximum(1, np.floor(exact)).astype(np.int64)
    while (missing := total - int(given.sum())) != 0:
        short = exact - given
        if missing > 0:
            given[np.argmax(short)] += 1
        else:
            given[np.argmin(np.where(given > 1, short, np.inf))] -= 1
    return given


def _draw(
    samples: Samples, counts: NDArray[np.int64], generator: np.random.Generator
) -> tuple[Samples, Samples]:
    """Draw that many images of each class that there is; return the others and them."""
    taken = np.zeros(len(samples), dtype=bool)
    for label, count in zip(np.unique(samples.labels), counts, strict=True):
        members = np.flatnonzero(samples.labels == label)
        taken[generator.permutation(members)[:count]] = True
    return samples.take(np.flatnonzero(~taken)), samples.take(np.flatnonzero(taken))


def _check_counts(dataset: DataSet, samples: Samples, needed: int) -> None:
    counts = Counter(samples.labels.tolist())
    for label, name in enumerate(dataset.class_names):
        if counts[label] < needed:
            raise DataError(
                f"class {name!r} has {counts[label]} images; to hold some out, {needed} per class are needed"
            )
