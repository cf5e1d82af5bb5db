"""Batches on the device: stored images, augmented or only preprocessed there."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effnet.data.augment import Augment
from effnet.data.mixing import Mix
from effnet.data.pixels import PixelSource, Stored
from effnet.data.randomness import batch_draw, uniform
from effnet.data.share import WHOLE
from effnet.data.windows import order_of
from effnet.imaging.preprocess import Preprocess

Batch = tuple[Tensor, Tensor]
"""`images (N, C, H, W)` float, normalised, and `labels (N,)` int64, or `(N, K)` probabilities."""

Transform = Callable[[Tensor, NDArray[np.int64]], Tensor]
"""Maps stored images `(N, C, S, S)` uint8 and their places in the order to images of the same kind."""


def unchanged(images: Tensor, places: NDArray[np.int64]) -> Tensor:
    """Return the images as they are."""
    return images


class TrainLoader:
    """Batches of an epoch: order, augmentation and mixing are functions of (seed, epoch, image index).

    Where several processes share a training, each gets its `share` of every batch: together they see what one
    process would, image for image.
    """

    def __init__(self, pixels: PixelSource, augment: Augment, mix: Mix, batch_size: int, seed: int) -> None:
        self.pixels = pixels
        self.augment = augment
        self.mix = mix
        self.batch_size = min(batch_size, len(pixels))
        """Images of a whole batch, whoever computes them."""
        self.seed = seed
        self.share = WHOLE

    @property
    def num_steps(self) -> int:
        """Batches in an epoch; what does not fill the last one is left for the next epoch's order."""
        return len(self.pixels) // self.batch_size

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the share of each augmented batch of an epoch, from its batch `start` on."""
        order, steps = self.order(epoch), range(start, self.num_steps)
        keys, within = self.keys(order), self._places()
        places = [step * self.batch_size + within for step in steps]
        batches = self.pixels.batches([order[place] for place in places])
        for step, place, stored in zip(steps, places, batches, strict=True):
            yield self._augment(stored, epoch, keys[place], batch_draw(self.seed, epoch, step))

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the images of an epoch in their order, `(N,)` indices."""
        return order_of(self.seed, epoch, len(self.pixels), self.pixels.windows)

    def keys(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return what the draws of each image are keyed by: the image itself, `(N,)`."""
        return order

    def class_weights(self) -> Tensor:
        """Return the weight of each class in the loss, inverse to its number of images, or 0: `(K,)`."""
        counts = torch.bincount(self.pixels.labels, minlength=self.mix.num_classes)
        return (counts > 0) * counts.sum() / ((counts > 0).sum() * counts.clamp(min=1))

    @property
    def _before(self) -> int:
        """How many images before its share this process needs: for the first of it, the batch is a circle."""
        return 0 if self.share == WHOLE else self.mix.reach

    def _places(self) -> NDArray[np.int64]:
        """Return where in a batch the images are that are computed here: `(N,)`."""
        own = self.share.of(self.batch_size)
        return np.arange(own.start - self._before, own.stop) % self.batch_size

    def _augment(self, stored: Stored, epoch: int, keys: NDArray[np.int64], draw: float) -> Batch:
        own = self.augment.num_draws
        draws = uniform(self.seed, epoch, keys, own + self.mix.num_draws)
        images = self.augment(stored[0], draws[:, :own])
        images, labels = self.mix(images, stored[1], draws[:, own:], draw)
        images, labels = images[self._before :], labels[self._before :]
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
    """Batches in order, preprocessed and not augmented; every readable image once.

    `transform` changes the stored images before they are normalised, such as by a corruption. The place of an
    image is its number among those that can be read, from 0.
    """

    def __init__(
        self,
        pixels: PixelSource,
        preprocess: Preprocess,
        batch_size: int,
        transform: Transform = unchanged,
    ) -> None:
        self.pixels = pixels
        self.preprocess = preprocess
        self.batch_size = batch_size
        self.transform = transform
        self.share = WHOLE
        """Which part of the images is looked at here."""

    def __iter__(self) -> Iterator[Batch]:
        first = self.share.of(len(self.pixels)).start
        for stored, labels in self.pixels.once(self.batch_size, self.share):
            places = np.arange(first, first + len(labels))
            first += len(labels)
            images = self.preprocess.normalise(self.transform(stored, places).float() / 255.0)
            yield images.contiguous(memory_format=torch.channels_last), labels
