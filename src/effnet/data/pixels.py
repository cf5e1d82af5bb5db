"""Stored pixels of images: small enough to keep, large enough to augment; here all in memory."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from effnet.config import DataConfig
from effnet.data.broken import check_broken
from effnet.data.cache import NO_CACHE, DecodedCache
from effnet.data.datasets import Samples
from effnet.data.resizing import quick_square
from effnet.data.scan import EncodedReader
from effnet.data.share import WHOLE, Share
from effnet.data.windows import Windows
from effnet.errors import DataError
from effnet.imaging.preprocess import Preprocess

Stored = tuple[Tensor, Tensor]
"""`images (N, C, S, S)` uint8 and `labels (N,)` int64, on the device."""

Storage = Literal["memory", "stream"]

MOVED_AT_ONCE = 1024  # images


class PixelSource(Protocol):
    """Where loaders take stored images from: all in memory, or a stream."""

    @property
    def storage(self) -> Storage:
        """Where the images live."""

    @property
    def labels(self) -> Tensor:
        """Class of each image, `(N,)` int64, on the device."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images that can be read, as far as that is known."""

    @property
    def broken(self) -> tuple[str, ...]:
        """One message per image that cannot be read: name and reason."""

    @property
    def windows(self) -> Windows | None:
        """Which shards are read side by side, of images in more shards than that."""

    def __len__(self) -> int: ...

    def batches(self, rows: Sequence[NDArray[np.int64]]) -> Iterator[Stored]:
        """Yield the images at each of these places: as many, an unreadable one replaced by another."""

    def once(self, batch_size: int, share: Share = WHOLE) -> Iterator[Stored]:
        """Yield every readable image of a share once, in order."""

    def release(self) -> None:
        """Give back what it holds beside memory; it can be used again."""


def ignore(done: int, total: int) -> None:
    """Follow no progress."""


def silent(text: str) -> None:
    """Drop a message."""


@dataclass(frozen=True)
class Reading:
    """How images come within reach of the device, and who hears of it."""

    config: DataConfig
    device: torch.device
    on_read: Callable[[int, int], None] = field(default=ignore, repr=False)
    """Told how many images are read, of how many, for a progress bar."""
    say: Callable[[str], None] = field(default=silent, repr=False)
    """Told what is worth a line: the choice made, each image that is skipped."""
    num_here: int = 1
    """How many processes on this machine read in the same way, and so share what it has."""


@dataclass(frozen=True)
class PixelFormat:
    """How an image is stored: resized as configured, its middle cut out with a side of its own."""

    preprocess: Preprocess
    side: int
    """The resolution, or more: room for random crops."""
    draft: bool = False
    """Whether large photos may be decoded smaller, and resized by torch: for training images only."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of a stored image, `(C, S, S)`."""
        return len(self.preprocess.mean), self.side, self.side

    @property
    def num_bytes(self) -> int:
        """Bytes of a stored image."""
        return len(self.preprocess.mean) * self.side**2

    @property
    def least_side(self) -> int:
        """Pixels of the short side that an image is decoded with at least: those it is resized to."""
        return max(self.side, self.preprocess.resized_short_side)

    def room(self, count: int, *, pinned: bool = False) -> Tensor:
        """Return room for stored images, `(N, C, S, S)` uint8; `pinned` for a fast way to a GPU.

        Drafts lie in it channels last, as the decoder gives them and the network takes them.
        """
        lie = torch.channels_last if self.draft else torch.contiguous_format
        return torch.empty((count, *self.shape), dtype=torch.uint8, memory_format=lie, pin_memory=pinned)

    def read(self, read: Callable[[str], Image.Image], name: str) -> NDArray[np.uint8]:
        """Return what is stored of the image of a name, `(C, S, S)` uint8.

        Raises:
            DataError: it cannot be decoded.

        """
        if self.draft and isinstance(read, EncodedReader):
            return quick_square(read.small(name, self.least_side), self.preprocess, self.side)
        return self.pixels(read(name))

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return what is stored of an image, `(C, S, S)` uint8."""
        return self.preprocess.square(image, self.side)


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
    windows: Windows | None = None
    """See `PixelSource`."""

    @property
    def storage(self) -> Storage:
        """Where the images live."""
        return "memory"

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device) -> "Pixels":
        """Return the same images on another device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def batches(self, rows: Sequence[NDArray[np.int64]]) -> Iterator[Stored]:
        """Yield the images at each of these places."""
        for batch in rows:
            index = torch.from_numpy(batch).to(self.images.device)
            yield self.images.index_select(0, index), self.labels[index]  # ten times as fast as [index]

    def once(self, batch_size: int, share: Share = WHOLE) -> Iterator[Stored]:
        """Yield every image of a share once, in order."""
        own = share.of(len(self))
        parts = (torch.split(tensor[own], batch_size) for tensor in (self.images, self.labels))
        yield from zip(*parts, strict=True)

    def release(self) -> None:
        """Hold nothing but memory."""


def read_pixels(
    samples: Samples,
    form: PixelFormat,
    *,
    max_broken: float,
    on_read: Callable[[int, int], None] = ignore,
    cache: DecodedCache = NO_CACHE,
) -> Pixels:
    """Decode, resize and crop all images, in parallel.

    Args:
        samples: what to read.
        form: how to store it.
        max_broken: share of images that may be unreadable.
        on_read: told how many images are read, of how many, for a progress bar.
        cache: where decoded images are kept; they are not decoded again.

    Raises:
        DataError: more images than allowed are unreadable; names the first ones.

    """
    images = np.empty((len(samples), *form.shape), dtype=np.uint8)
    missing = np.flatnonzero(~cache.load(images, samples))
    on_read(len(samples) - len(missing), len(samples))
    errors = decode_into(images, samples, missing, form=form, on_read=on_read)
    broken = tuple(errors.values())
    check_broken(broken, len(samples), max_broken)
    cache.keep(images, samples, np.setdiff1d(missing, list(errors)))
    good = np.setdiff1d(np.arange(len(samples)), list(errors))
    kept = torch.from_numpy(_move_together(images, good))
    return Pixels(kept, torch.from_numpy(samples.labels[good]), tuple(samples.names[i] for i in good), broken)


def decode_into(
    images: NDArray[np.uint8],
    samples: Samples,
    rows: NDArray[np.int64],
    *,
    form: PixelFormat,
    on_read: Callable[[int, int], None],
) -> dict[int, str]:
    """Fill some rows of `images (N, C, S, S)`; return what is wrong with those that cannot be read."""

    def read(row: int) -> str | None:
        try:
            images[row] = form.read(samples.read, samples.names[row])
        except DataError as error:
            return str(error)
        return None

    errors = {}
    before = len(samples) - len(rows)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow releases the interpreter lock
        for count, (row, error) in enumerate(zip(rows.tolist(), pool.map(read, rows), strict=True), start=1):
            if error is not None:
                errors[row] = error
            on_read(before + count, len(samples))
    return errors


def _move_together(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Move rows, in rising order, to the front and return them: a copy would need the memory twice."""
    if len(rows) < len(images):
        for start in range(0, len(rows), MOVED_AT_ONCE):
            part = rows[start : start + MOVED_AT_ONCE]
            images[start : start + len(part)] = images[part]
    return images[: len(rows)]
