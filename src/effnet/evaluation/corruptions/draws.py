"""Random numbers of a corruption: a function of (seed, corruption, severity, image), whatever the batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_EMPTY: dict[str, Any] = {"buffer": np.zeros(4, np.uint64), "buffer_pos": 4, "has_uint32": 0, "uinteger": 0}


@dataclass(frozen=True)
class Draws:
    """Draws for the images of a batch.

    They come from Philox (Salmon, Moraes, Dror and Shaw, Parallel Random Numbers: As Easy as 1, 2, 3, 2011),
    whose state is a place in a sequence: the key is seed and corruption, the place the image and the use.
    Each use, `stream`, has numbers of its own.
    """

    seed: int
    corruption: int
    """Number of corruption and severity."""
    images: NDArray[np.integer[Any]]
    """Number of each image, at least 0, `(N,)`."""

    def normal(self, *shape: int, stream: int) -> Tensor:
        """Draw from the standard normal distribution: `(N, *shape)` float64."""
        return self._stack([generator.standard_normal(shape) for generator in self._each(stream)])

    def uniform(self, *shape: int, stream: int) -> Tensor:
        """Draw from [0, 1): `(N, *shape)` float64."""
        return self._stack([generator.random(shape) for generator in self._each(stream)])

    def integers(self, low: int, high: int, *shape: int, stream: int) -> Tensor:
        """Draw whole numbers, at least `low` and below `high`: `(N, *shape)` int64."""
        return (self.uniform(*shape, stream=stream) * (high - low)).floor().long() + low

    def words(self, *shape: int, stream: int) -> Tensor:
        """Draw whole numbers of 16 bits: `(N, *shape)` int64."""
        rows = [generator.integers(1 << 16, size=shape, dtype=np.uint16) for generator in self._each(stream)]
        return torch.from_numpy(np.array(rows, dtype=np.int64))

    def _stack(self, rows: list[Any]) -> Tensor:
        return torch.from_numpy(np.array(rows, dtype=np.float64))

    def _each(self, stream: int) -> Iterator[np.random.Generator]:
        """Yield a generator for each image: the same one, set to its place, as a new one takes longer."""
        bits = np.random.Philox(0)
        generator = np.random.Generator(bits)
        key = np.array([self.seed, self.corruption], np.uint64)
        for image in self.images:
            place = np.array([0, 0, image, stream], np.uint64)
            state: Any = _EMPTY | {"bit_generator": "Philox", "state": {"counter": place, "key": key}}
            bits.state = state
            yield generator
