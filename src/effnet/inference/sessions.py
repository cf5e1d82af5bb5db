"""Runs of onnxruntime: one image on all threads together, many images side by side, each on one thread.

Threads that share an image wait for each other at each of its two hundred operators; threads with an image
each do not. On 2 cores 16 images of B0 at 224 pixels take 51 ms that way, and 76 ms with both threads at
every operator (docs/experiments.md).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Feed = dict[str, NDArray[Any]]

ACTIVATIONS_AT_ONCE = 16_000_000
"""Outputs of convolutions that a thread computes at once: of more images they leave the processor's cache."""


class Sessions:
    """Sessions of one file, with all threads and with one. Several threads may use it at once."""

    def __init__(self, open_session: Callable[[int], Any], num_threads: int, activations: int) -> None:
        """Open a file.

        Args:
            open_session: opens it with so many threads.
            num_threads: threads that compute.
            activations: outputs of all convolutions for one image.

        """
        self.open_session = open_session
        self.num_threads = num_threads
        self.most_at_once = max(1, ACTIVATIONS_AT_ONCE // activations)
        self.shared = open_session(num_threads)

    @cached_property
    def single(self) -> Any:
        """The session with one thread, opened when it is first needed."""
        return self.shared if self.num_threads == 1 else self.open_session(1)

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        """The threads that have an image each."""
        return ThreadPoolExecutor(self.num_threads, thread_name_prefix="effnet-images")

    def run(
        self, outputs: Sequence[str], images: NDArray[Any], feed: Callable[[NDArray[Any]], Feed]
    ) -> list[NDArray[Any]]:
        """Compute outputs of `images (N, …)`, each with N rows.

        Args:
            outputs: names of what is wanted.
            images: any number, one at least.
            feed: turns some of the images into what the graph takes, by name.

        """
        total, threads = len(images), self.num_threads
        if total < max(2, threads):
            found: list[NDArray[Any]] = self.shared.run(outputs, feed(images))
            return found
        size = min(self.most_at_once, -(-total // threads))
        parts = [images[start : start + size] for start in range(0, total, size)]
        session = self.single
        side_by_side = map if threads == 1 else self.pool.map  # with one thread whoever calls computes
        answers = side_by_side(lambda part: session.run(outputs, feed(part)), parts)
        return [np.concatenate(rows) for rows in zip(*answers, strict=True)]
