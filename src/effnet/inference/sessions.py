"""Runs of onnxruntime: one image on all threads together, many images side by side, each on one thread.

Threads that share an image wait for each other at each of its two hundred operators; threads with an image each do
not. On 2 cores 16 images of B0 at 224 pixels take 51 ms that way, and 73 ms with both threads at every operator
(docs/experiments.md).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    def run(self, outputs: Sequence[str], name: str, given: NDArray[Any]) -> list[NDArray[Any]]:
        """Compute outputs of `given (N, …)`, the input of this name; each output has N rows."""
        total, threads = len(given), self.num_threads
        size = min(self.most_at_once, -(-total // threads))
        parts = [given[start : start + size] for start in range(0, total, size)]
        if total < threads or total == 1:
            found: list[NDArray[Any]] = self.shared.run(outputs, {name: given})
            return found
        if threads == 1:
            answers = [self.shared.run(outputs, {name: part}) for part in parts]
        else:
            single = self.single
            answers = list(self.pool.map(lambda part: single.run(outputs, {name: part}), parts))
        return [np.concatenate(rows) for rows in zip(*answers, strict=True)]
