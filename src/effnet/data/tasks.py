"""What processes that decode images are given to do, and what they send back."""

import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from effnet.data.pixels import PixelFormat
from effnet.errors import DataError

CHUNKS_AHEAD = 2  # for each worker
CHUNK_BYTES = 4 << 20
SHARED_MEMORY = Path("/dev/shm")  # where images lie on their way; containers often have 64 MB

Rows = NDArray[np.int64]
Task = tuple[Rows, tuple[str, ...]]
"""Images to decode: their places in the data, and their names."""
Decoded = tuple[Rows, Tensor, list[tuple[int, str]]]
"""Places, `images (N, C, S, S)` uint8, and which of these (0 … N - 1) cannot be read, and why."""
Sent = tuple[Tensor, list[tuple[int, str]]]
"""What a worker sends of that. It stays short, so that none can die in the middle of its message."""


class Decoder(Dataset[Sent]):
    """What a worker does. Names come with each task, so that no worker holds a copy of a million of them."""

    def __init__(self, read: Callable[[str], Image.Image], form: PixelFormat) -> None:
        self.read = read
        self.form = form

    def __getitem__(self, task: Task) -> Sent:
        _, names = task
        images = self.form.room(len(names))
        problems = []
        for place, name in enumerate(names):
            try:
                images.numpy()[place] = self.form.read(self.read, name)
            except DataError as error:
                problems.append((place, str(error)))
        return images, problems


class Tasks:
    """What the workers shall do next; the DataLoader asks for it at the beginning of each pass."""

    def __init__(self) -> None:
        self.begin(())

    def begin(self, tasks: Iterable[Task]) -> None:
        """Give out these tasks from now on."""
        self._ahead = iter(tasks)
        self.waiting: deque[Task] = deque()
        """What is given out and not yet answered, in order."""

    def __iter__(self) -> Iterator[Task]:
        yield from tuple(self.waiting)  # what dead workers have left
        for task in self._ahead:
            self.waiting.append(task)
            yield task


def images_per_task(form: PixelFormat, count: int) -> int:
    """Return how many images a worker decodes at a time, so that all that are under way fit.

    `count` is that of all workers on this machine: no process has filled its part when the others look.
    """
    room = CHUNK_BYTES
    if count and SHARED_MEMORY.is_dir():
        room = min(room, shutil.disk_usage(SHARED_MEMORY).free // (2 * count * (CHUNKS_AHEAD + 1)))
    return max(1, room // form.num_bytes)
