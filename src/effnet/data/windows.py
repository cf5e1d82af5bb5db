"""Shards that are read side by side: the order of an epoch for sets that are larger than what is near."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effnet.config import DataConfig
from effnet.data.randomness import permutation, uniform
from effnet.data.samples import Samples


@dataclass(frozen=True, eq=False)
class Windows:
    """The shards of images, and how many of them are read side by side."""

    shards: NDArray[np.int64]
    """Number of the shard that each image lies in, `(N,)`."""
    size: int
    """Shards in a window."""

    def take(self, rows: NDArray[np.int64]) -> "Windows":
        """Return the same for the images at these positions."""
        return Windows(self.shards[rows], self.size)

    def of_images(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Return in which window of an epoch each image comes, from 0, `(N,)`."""
        present, place = np.unique(self.shards, return_inverse=True)
        order = np.argsort(uniform(seed ^ 0x54A2D, epoch, present, 1)[:, 0], kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        window: NDArray[np.int64] = rank[place] // self.size
        return window


def windows_of(samples: Samples, config: DataConfig) -> Windows | None:
    """Return the windows of images in more shards with an index than one window has; None for all others."""
    if samples.shards is None or len(np.unique(samples.shards)) <= config.window:
        return None
    return Windows(samples.shards, config.window)


def order_of(seed: int, epoch: int, count: int, windows: Windows | None) -> NDArray[np.int64]:
    """Return the order of an epoch: a permutation of `count` image indices, `(count,)`.

    With windows, the shards are put in an order first: the images of the first few are mixed with one another
    and come first, then those of the next few.
    """
    order = permutation(seed, epoch, count)
    if windows is None:
        return order
    return order[np.argsort(windows.of_images(seed, epoch)[order], kind="stable")]
