"""Randomness as a function: the same (seed, epoch, image index) gives the same draws, in any order, anywhere.

No generator has a state that must be saved, so resuming, the number of workers and the batch size change
nothing. The hash is SplitMix64 (Steele, Lea, Flood 2014), whose output passes BigCrush.
"""

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def uniform(seed: int, epoch: int, index: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Draw `count` numbers from [0, 1) for each image.

    Args:
        seed: seed of the training, at least 0.
        epoch: number of the epoch, from 0.
        index: positions of the images in their split, `(N,)`.
        count: numbers per image.

    Returns:
        `(N, count)` float64.

    """
    key = _hash(_hash(_hash(_as_words(seed)) ^ np.uint64(epoch)) ^ index.astype(np.uint64))  # (N,)
    steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN  # (count,)
    high = (_hash(key[:, None] + steps) >> np.uint64(11)).astype(np.float64)
    return high * 2.0**-53  # 53 bits fill a float64


def permutation(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """Return the order of an epoch: a permutation of `count` image indices, `(count,)`."""
    draws = uniform(seed ^ 0x5EED, epoch, np.arange(count), 1)[:, 0]
    return np.argsort(draws, kind="stable")


def batch_draw(seed: int, epoch: int, batch: int) -> float:
    """Return the one random number from [0, 1) of a batch, counted from the start of its epoch."""
    return float(uniform(seed ^ 0xBA7C4, epoch, np.array([batch]), 1)[0, 0])


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Return the seed for what torch draws inside an optimizer step: dropout and drop-path.

    Each process of a training draws for its own images, so the seed differs by its `rank`.
    """
    key = _hash(_hash(_as_words(seed)) ^ np.uint64(step))
    return int((_hash(key ^ np.uint64(rank)) if rank else key)[0] >> np.uint64(1))


def _as_words(number: int) -> NDArray[np.uint64]:
    return np.array([number], dtype=np.uint64)


def _hash(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser; wraps around as unsigned arithmetic does."""
    value = value + _GOLDEN
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return value ^ (value >> np.uint64(31))
