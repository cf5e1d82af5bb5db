"""Images opened for evaluation: of which part, read for which input, labelled in which order of classes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np

from effnet.data.datasets import DataSet
from effnet.data.loaders import EvalLoader, Transform, unchanged
from effnet.data.pixels import PixelFormat, PixelSource, Reading
from effnet.data.splits import HeldOut
from effnet.data.storage import open_pixels
from effnet.data.stream import released
from effnet.device import kept_memory
from effnet.errors import DataError, some
from effnet.imaging import preprocess as preprocessing
from effnet.imaging.preprocess import Preprocess

BATCH_SIZE = 64


class ReadOptions(TypedDict, total=False):
    """How images are read, as keyword arguments."""

    max_broken: float | None
    """Share of images that may be unreadable, to be skipped; by default as in training."""
    on_read: Callable[[int, int], None]
    """Told how many images are read, of how many, for a progress bar."""
    say: Callable[[str], None]
    """Told of each image that is skipped, and when they do not fit into memory."""


@dataclass(frozen=True)
class Opened:
    """Images that a network can be measured on, as often as needed, while they are open."""

    dataset: DataSet
    held: HeldOut
    """Which images; their labels are places in the order of the model's classes."""
    pixels: PixelSource
    preprocess: Preprocess
    batch_size: int = BATCH_SIZE

    def batches(self, transform: Transform = unchanged) -> EvalLoader:
        """Return batches `images (N, C, S, S)`, normalised, and `labels (N,)`, on the device.

        Args:
            transform: changes the stored images, uint8, before they are normalised; see `EvalLoader`.

        """
        return EvalLoader(self.pixels, self.preprocess, self.batch_size, transform)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the readable images, in order; in a stream they are known after a pass."""
        return self.pixels.names

    @property
    def broken(self) -> tuple[str, ...]:
        """One message per image that cannot be read and is skipped."""
        return self.pixels.broken

    @property
    def lost(self) -> str | None:
        """Why these are all images, though some were held out in training; see `HeldOut`."""
        return self.held.lost


@contextmanager
def open_held(
    dataset: DataSet, held: HeldOut, class_names: tuple[str, ...], preprocess: Preprocess, reading: Reading
) -> Iterator[Opened]:
    """Read images for a network with these classes and this input; they are given back afterwards.

    Raises:
        DataError: the data set has classes that the network lacks, or too many images are unreadable.

    """
    held = matched(held, dataset, class_names)
    pixels = open_pixels(held.samples, PixelFormat(preprocess, preprocess.resolution), reading)
    with released(pixels), kept_memory(reading.device):
        yield Opened(dataset, held, pixels, preprocess)


def matched(held: HeldOut, dataset: DataSet, class_names: tuple[str, ...]) -> HeldOut:
    """Label images by the places of a model's classes: classes are the same if they have the same name.

    Classes of the model that the data set lacks are fine; they have no images.

    Raises:
        DataError: the data set has classes that the model does not know.

    """
    theirs = dataset.class_names
    if theirs == class_names:
        return held
    missing, extra = sorted(set(class_names) - set(theirs)), sorted(set(theirs) - set(class_names))
    if extra:
        raise DataError(
            f"{dataset.name} has {len(theirs)} classes and the model {len(class_names)}; missing: "
            f"{some(missing) or 'none'}; unknown to the model: {some(extra)}; folders must be "
            f"named as the model's classes"
        )
    places = np.array([class_names.index(name) for name in theirs], np.int64)
    return replace(held, samples=replace(held.samples, labels=places[held.samples.labels]))


def with_side(preprocess: Preprocess, resolution: int | None) -> Preprocess:
    """Return the preprocessing with another side of the images; None leaves it.

    Raises:
        UsageError: the side is out of range.

    """
    if resolution is None:
        return preprocess
    return preprocessing.from_dict(preprocessing.to_dict(preprocess) | {"resolution": resolution})
