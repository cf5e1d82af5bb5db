"""Images that do not fit into memory: they are decoded again whenever a batch needs them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effnet.data.broken import check_broken, skipped
from effnet.data.datasets import Samples
from effnet.data.pixels import PixelFormat, PixelSource, Reading, Storage, Stored
from effnet.data.share import WHOLE, Share
from effnet.data.tasks import Decoded, Decoder, Rows, Task, images_per_task
from effnet.data.windows import windows_of
from effnet.data.workers import Workers, num_workers
from effnet.errors import DataError

Problems = dict[int, str]
"""Why images cannot be read, by their places in the data."""


class Stream:
    """Images of a data set, decoded whenever they are asked for; see `PixelSource`.

    Unreadable images show themselves on the way. In training the next readable one of the data set stands in
    for each, so that every batch, and what a resumed training does, depends on the files alone.
    """

    def __init__(self, samples: Samples, form: PixelFormat, reading: Reading) -> None:
        count = num_workers(reading.config.workers)
        self.samples = samples
        self.form = form
        self.reading = reading
        self.labels = torch.from_numpy(samples.labels).to(reading.device)
        self.windows = windows_of(samples, reading.config)
        self._workers = Workers(Decoder(samples.read, form), count, reading.say)
        self._per_task = images_per_task(form, count * reading.num_here)
        self._problems: Problems = {}
        self._places = np.arange(len(samples))
        self._stand_ins = self._places.copy()

    @property
    def storage(self) -> Storage:
        """Where the images live."""
        return "stream"

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images that can be read, as far as that is known."""
        return tuple(name for row, name in enumerate(self.samples.names) if row not in self._problems)

    @property
    def broken(self) -> tuple[str, ...]:
        """One message per image that cannot be read, as far as that is known: name and reason."""
        return tuple(problem for _, problem in sorted(self._problems.items()))

    def batches(self, rows: Sequence[Rows]) -> Iterator[Stored]:
        """Yield the images at each of these places; the next readable one stands in for an unreadable one.

        Raises:
            DataError: more images than allowed turned out to be unreadable; names the first ones.

        """
        return self._decode(rows, self._stand_ins, self._replace)

    def once(self, batch_size: int, share: Share = WHOLE) -> Iterator[Stored]:
        """Yield every image of a share once, in order; unreadable ones are left out.

        Raises:
            DataError: more images than allowed turned out to be unreadable; names the first ones. For a share
                `learn` raises it, in all processes alike.

        """
        own = self._places[share.of(len(self))]
        rows = [own[start : start + batch_size] for start in range(0, len(own), batch_size)]
        stored = self._decode(rows, self._places, partial(self._leave_out, check=share == WHOLE))
        try:
            for batch, (images, labels) in zip(rows, stored, strict=True):
                self.reading.on_read(int(batch[-1]), len(self))
                if len(labels):
                    yield images, labels
        finally:
            self.reading.on_read(len(self), len(self))  # who looks at the beginning alone is done as well

    def learn(self, everyone: Callable[[Problems], Sequence[Problems]]) -> None:
        """Learn what other processes could not read, which `everyone` returns for what was found here.

        What is new is said.

        Raises:
            DataError: more images than allowed are unreadable, in all processes together.

        """
        for problems in everyone(dict(self._problems)):
            for row, problem in problems.items():
                self._note(row, problem, check=False)
        self._check()

    def release(self) -> None:
        """End the processes that decode; the next batch starts new ones."""
        self._workers.release()

    def _decode(
        self, rows: Sequence[Rows], stand_ins: Rows, mend: Callable[[Decoded], tuple[Rows, Tensor]]
    ) -> Iterator[Stored]:
        """Yield batches in their order; `mend` deals with what cannot be read."""
        decoded = self._workers.run(task for batch in rows for task in self._split(batch, stand_ins))
        device = self.reading.device
        for batch in rows:
            images = self.form.room(len(batch), pinned=device.type == "cuda")
            taken = np.empty(0, np.int64)
            for _ in range(ceil(len(batch) / self._per_task)):
                found, part = mend(next(decoded))
                images[len(taken) : len(taken) + len(found)] = part
                taken = np.concatenate([taken, found])
            labels = torch.from_numpy(self.samples.labels[taken])
            yield images[: len(taken)].to(device, non_blocking=True), labels.to(device, non_blocking=True)

    def _split(self, batch: Rows, stand_ins: Rows) -> Iterator[Task]:
        for part in even_parts(batch, self._per_task):
            rows = stand_ins[part]
            yield rows, tuple(self.samples.names[row] for row in rows)

    def _leave_out(self, decoded: Decoded, *, check: bool) -> tuple[Rows, Tensor]:
        rows, images, problems = decoded
        for place, problem in problems:
            self._note(int(rows[place]), problem, check=check)
        readable = np.delete(np.arange(len(rows)), [place for place, _ in problems])
        return rows[readable], images[readable]

    def _replace(self, decoded: Decoded) -> tuple[Rows, Tensor]:
        rows, images, problems = decoded
        for place, problem in problems:
            row = int(rows[place])
            self._note(row, problem)
            rows[place], images.numpy()[place] = self._next_readable(row)
            self._stand_ins[row] = rows[place]  # from now on it is asked for at once
        return rows, images

    def _next_readable(self, row: int) -> tuple[int, NDArray[np.uint8]]:
        """Return place and pixels of the first readable image after `row`; the first follows the last."""
        while True:  # ends: when no image is readable, noting the last one is an error
            row = (row + 1) % len(self)
            if row not in self._problems:
                try:
                    image = self.form.read(self.samples.read, self.samples.names[row])
                except DataError as error:
                    self._note(row, str(error))
                else:
                    return row, image

    def _note(self, row: int, problem: str, *, check: bool = True) -> None:
        """Say once that an image cannot be read; too many are an error, if that is checked now."""
        if row not in self._problems:
            self._problems[row] = problem
            self.reading.say(skipped(problem))
            if check:
                self._check()

    def _check(self) -> None:
        check_broken(self.broken, len(self), self.reading.config.max_broken)


def even_parts(batch: Rows, most: int) -> list[Rows]:
    """Divide a batch into as few parts as hold `most` images each, of one size or one image less.

    Parts go to the workers in turns: one that always had the larger would be waited for.
    """
    return np.array_split(batch, ceil(len(batch) / most)) if len(batch) else []


@contextmanager
def released(*sources: PixelSource) -> Iterator[None]:
    """Release sources afterwards."""
    try:
        yield
    finally:
        for source in sources:
            source.release()
