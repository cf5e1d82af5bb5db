"""Real images for an export: to prove it, to calibrate int8, to choose by, and to judge the choice."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effnet.config import DataConfig
from effnet.data.datasets import DATASETS, DataSet, Samples, needs_download, open_dataset
from effnet.data.splits import HeldOut, find_parts, held_out, split
from effnet.errors import DataError, UsageError
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.metrics import CAUTIONS, chosen_on_val
from effnet.evaluation.opened import BATCH_SIZE, Opened, open_held
from effnet.exporting.listener import Listener
from effnet.imaging.preprocess import Preprocess
from effnet.spec.cost import cost

SEED = 0

MACS_TO_PROVE, MACS_TO_CALIBRATE, MACS_TO_CHOOSE = 25e9, 100e9, 800e9
"""Multiply-adds that each piece of work may have; for B0 at 224 64, 256 and 2,000 images."""


@dataclass(frozen=True)
class Images:
    """Images in memory, as a network sees them."""

    pixels: NDArray[np.uint8]
    """`(N, C, S, S)`, not normalised."""
    labels: NDArray[np.int64]
    """`(N,)`, places among the model's classes."""


@dataclass(frozen=True)
class Parts:
    """Who is used for what in making int8: nobody is judged by what chose it."""

    calibration: HeldOut
    choice: HeldOut
    final: HeldOut
    caution: str | None
    """Why the accuracy on the last part is too high, if it is."""


def affordable(classifier: Classifier, macs: float, *, least: int, most: int) -> int:
    """Return how many images a network can compute with so many multiply-adds, within limits."""
    header = classifier.header
    each = cost(header.spec, header.num_classes, header.preprocess.resolution).macs
    return int(min(max(macs / each, least), most))


def own_data(classifier: Classifier, listener: Listener) -> DataSet:
    """Open the data that a model was trained on, if it can be found by the name in the model file.

    Raises:
        UsageError: it is not there, or no longer what it was.

    """
    training = classifier.header.training
    name, fingerprint = str(training.get("data", "")), training.get("fingerprint")
    remedy = "say which with --calibrate-on DATA: best the images that the model was trained on"
    is_there = Path(name).is_dir() if name not in DATASETS else not needs_download(name)
    if not name or not is_there:
        what = (
            f"the data that the model was trained on, {name!r}, is not here" if name else "no data is known"
        )
        raise UsageError(f"--int8 needs images, and {what}; {remedy}")
    dataset = open_dataset(name, on_download=listener.downloading)
    if dataset.fingerprint() != fingerprint:
        raise UsageError(
            f"--int8 needs images, and {name} is not what the model was trained on, by names and classes; "
            f"{remedy}"
        )
    listener.message(f"int8: calibrating on {dataset.name}, which the model was trained on")
    return dataset


def parts_of(dataset: DataSet, classifier: Classifier) -> Parts:
    """Divide a data set: training images calibrate, validation images choose, test images judge at the end.

    Where it is not the data of the training, or has no validation part, one is drawn.

    Raises:
        DataError: a class has too few images to appear in every part.

    """
    found, caution = find_parts(dataset, classifier.drawn), None
    if not {"train", "val"} <= found.keys():
        drawn = split(dataset, DataConfig(), SEED)
        found = {**found, "train": drawn.train, "val": drawn.val}
        if drawn.test is not None:
            found.setdefault("test", drawn.test)
        lost = classifier.drawn.lost(dataset, classifier.drawn.names)
        if "test" not in dataset.parts:
            reason = lost or "the model file does not say what was held out from it"
            caution = f"{reason}: the network may have learned from the images of all parts"
    part = "test" if "test" in found else "val"
    return Parts(
        HeldOut("train", found["train"]),
        HeldOut("val", found["val"]),
        HeldOut(part, found[part]),
        caution
        or (CAUTIONS["val"].format(chosen=chosen_on_val(classifier.header)) if part == "val" else None),
    )


@contextmanager
def opened(held: HeldOut, dataset: DataSet, classifier: Classifier, listener: Listener) -> Iterator[Opened]:
    """Open images as the network of a classifier sees them, labelled by its classes.

    Raises:
        DataError: there are classes that the model does not know, or too many images are unreadable.

    """
    on_read = partial(listener.reading, f"{held.part} images")
    reading = classifier.reading(on_read=on_read, say=listener.message)
    header = classifier.header
    with open_held(dataset, held, header.class_names, header.preprocess, reading) as images:
        yield images


def normalised(pixels: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.float32]:
    """Turn `pixels (N, C, S, S)` into the input of a network."""
    images: NDArray[np.float32] = preprocess.normalise(pixels.astype(np.float32) / 255.0)
    return images


def read(
    held: HeldOut, count: int, *, dataset: DataSet, classifier: Classifier, listener: Listener
) -> Images:
    """Read at most `count` images, drawn at random, into memory.

    Raises:
        DataError: none of them can be read; and as `opened` does.

    """
    chosen = replace(held, samples=some_of(held.samples, count))
    with opened(chosen, dataset, classifier, listener) as images:
        batches = [(stored.numpy(), labels.numpy()) for stored, labels in images.pixels.once(BATCH_SIZE)]
    if not batches:
        raise DataError(f"{dataset.name}: none of the {held.part} images can be read")
    pixels, labels = zip(*batches, strict=True)
    return Images(np.concatenate(pixels), np.concatenate(labels))


def some_of(samples: Samples, count: int) -> Samples:
    """Draw at most so many images, by the seed alone, and keep their order."""
    if len(samples) <= count:
        return samples
    return samples.take(np.sort(np.random.default_rng(SEED).permutation(len(samples))[:count]))


def real_images(dataset: DataSet, classifier: Classifier, listener: Listener) -> NDArray[np.uint8]:
    """Read images of a data set to prove an export with: `(N, C, S, S)`, at most 256.

    Raises:
        DataError: its classes are not the model's, or its images cannot be read.

    """
    held = held_out(dataset, classifier.drawn)
    count = affordable(classifier, 4 * MACS_TO_PROVE, least=8, most=256)
    return read(held, count, dataset=dataset, classifier=classifier, listener=listener).pixels
