"""Batches on the device: decoded once into one uint8 tensor that stays there, augmented in batches."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effnet.data.augment import Augment
from effnet.data.datasets import Samples
from effnet.data.mixing import Mix
from effnet.data.randomness import batch_draw, permutation, uniform
from effnet.errors import DataError
from effnet.imaging.preprocess import Preprocess

Batch = tuple[Tensor, Tensor]
"""`images (N, C, H, W)` float, normalised, and `labels (N,)` int64, or `(N, K)` probabilities."""


@dataclass(frozen=True)
class Pixels:
    """Decoded images in memory, with the names of those that could not be read."""

    images: Tensor
    """`(N, C, S, S)` uint8."""
    labels: Tensor
    """`(N,)` int64."""
    names: tuple[str, ...]
    broken: tuple[str, ...] = ()
    """One message per skipped image: name and reason."""

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device) -> "Pixels":
        """Return the same images on another device."""
        return Pixels(self.images.to(device), self.labels.to(device), self.names, self.broken)


def ignore(done: int, total: int) -> None:
    """Follow no progress."""


def read_pixels(
    samples: Samples,
    preprocess: Preprocess,
    *,
    side: int,
    max_broken: float,
    on_read: Callable[[int, int], None] = ignore,
) -> Pixels:
    """Decode, resize and crop all images, in parallel.

    Args:
        samples: what to read.
        preprocess: how to resize.
        side: pixels to keep, the resolution or more (room for random crops).
        max_broken: share of images that may be unreadable.
        on_read: told how many images are read, of how many, for a progress bar.

    Raises:
        DataError: more images than allowed are unreadable; names the first ones.

    """
    shape = (len(samples), len(preprocess.mean), side, side)
    check_memory(prod(shape))
    images = np.empty(shape, dtype=np.uint8)
    errors = _decode_into(images, samples, preprocess, on_read)
    broken = tuple(error for error in errors if error is not None)
    _check_broken(broken, len(samples), max_broken)
    good = np.flatnonzero([error is None for error in errors])
    kept = images[good] if broken else images
    names = tuple(samples.names[i] for i in good)
    return Pixels(torch.from_numpy(kept), torch.from_numpy(samples.labels[good]), names, broken)


def check_memory(needed: int) -> None:
    """Refuse to decode what the machine cannot hold, before the system kills the process without a word.

    Raises:
        DataError: `needed` bytes are more than four fifths of the memory.

    """
    if not hasattr(os, "sysconf"):  # Windows: no way to ask without another dependency
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > 0.8 * memory:
        raise DataError(
            f"the decoded images need {needed / 1e9:.1f} GB and this machine has {memory / 1e9:.1f} GB; "
            f"take a lower --resolution or fewer images"
        )


def _decode_into(
    images: NDArray[np.uint8], samples: Samples, preprocess: Preprocess, on_read: Callable[[int, int], None]
) -> list[str | None]:
    """Fill `images (N, C, S, S)`; return for each image what is wrong with it, or None."""

    def read(index: int) -> str | None:
        try:
            images[index] = preprocess.square(samples.read(samples.names[index]), images.shape[-1])
        except DataError as error:
            return str(error)
        return None

    errors = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow releases the interpreter lock
        for count, error in enumerate(pool.map(read, range(len(samples))), start=1):
            errors.append(error)
            on_read(count, len(samples))
    return errors


def _check_broken(broken: tuple[str, ...], total: int, max_broken: float) -> None:
    allowed = max(1.0, max_broken * total) if max_broken else 0.0  # one bad image never ends a run
    if broken and (len(broken) > allowed or len(broken) == total):
        listed = "; ".join(broken[:5]) + ("; …" if len(broken) > 5 else "")
        raise DataError(
            f"{len(broken)} of {total} images cannot be read, more than the {max_broken:.1%} that may be "
            f"skipped (data.max_broken): {listed}"
        )


class TrainLoader:
    """Batches of an epoch: order, augmentation and mixing are functions of (seed, epoch, image index)."""

    def __init__(self, pixels: Pixels, augment: Augment, mix: Mix, batch_size: int, seed: int) -> None:
        self.pixels = pixels
        self.augment = augment
        self.mix = mix
        self.batch_size = min(batch_size, len(pixels))
        self.seed = seed

    @property
    def num_steps(self) -> int:
        """Batches in an epoch; what does not fill the last one is left for the next epoch's order."""
        return len(self.pixels) // self.batch_size

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the augmented batches of an epoch, from its batch `start` on."""
        order = self.order(epoch)
        for step in range(start, self.num_steps):
            part = slice(step * self.batch_size, (step + 1) * self.batch_size)
            draw = batch_draw(self.seed, epoch, step)
            yield self._batch(epoch, order[part], self.keys(order)[part], draw)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the images of an epoch in their order, `(N,)` indices."""
        return permutation(self.seed, epoch, len(self.pixels))

    def keys(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return what the draws of each image are keyed by: the image itself, `(N,)`."""
        return order

    def class_weights(self) -> Tensor:
        """Return the weight of each class in the loss, inverse to its number of images, `(K,)`."""
        counts = torch.bincount(self.pixels.labels)
        return counts.sum() / (len(counts) * counts.clamp(min=1))

    def _batch(self, epoch: int, index: NDArray[np.int64], keys: NDArray[np.int64], draw: float) -> Batch:
        rows = torch.from_numpy(index).to(self.pixels.images.device)
        own = self.augment.num_draws
        draws = uniform(self.seed, epoch, keys, own + self.mix.num_draws)
        images = self.augment(self.pixels.images[rows], draws[:, :own])
        images, labels = self.mix(images, self.pixels.labels[rows], draws[:, own:], draw)
        return images.contiguous(memory_format=torch.channels_last), labels


class BalancedLoader(TrainLoader):
    """Batches in which all classes are equally frequent: images are drawn with replacement."""

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the images of an epoch in their order, `(N,)` indices; some twice, some not at all."""
        return balanced_order(self.pixels.labels.cpu().numpy(), self.seed, epoch)

    def keys(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Key draws by the place in the order: an image that comes twice is augmented in two ways."""
        return np.arange(len(order))


def balanced_order(labels: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """Draw as many images as there are, of all classes equally often, with replacement: `(N,)` indices."""
    classes, counts = np.unique(labels, return_counts=True)
    by_class = np.argsort(labels, kind="stable")
    firsts = np.cumsum(counts) - counts
    draws = uniform(seed ^ 0xBA1A4CE, epoch, np.arange(len(labels)), 2)
    picked = (draws[:, 0] * len(classes)).astype(np.int64)
    within = (draws[:, 1] * counts[picked]).astype(np.int64)
    chosen: NDArray[np.int64] = by_class[firsts[picked] + within]
    return chosen


LOADERS = {"none": TrainLoader, "weights": TrainLoader, "sampling": BalancedLoader}


class EvalLoader:
    """Batches in order, preprocessed and not augmented; every image once."""

    def __init__(self, pixels: Pixels, preprocess: Preprocess, batch_size: int) -> None:
        self.pixels = pixels
        self.preprocess = preprocess
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[Batch]:
        pixels = self.pixels
        for start in range(0, len(pixels), self.batch_size):
            part = slice(start, start + self.batch_size)
            images = self.preprocess.normalise(pixels.images[part].float() / 255.0)
            yield images.contiguous(memory_format=torch.channels_last), pixels.labels[part]
