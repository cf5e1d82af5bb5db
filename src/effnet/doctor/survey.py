"""What every image is, found in one pass: size, mode, a hash of its pixels, and a small copy of it."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from effnet.data.datasets import DataSet, Samples
from effnet.doctor.reporter import Progress
from effnet.errors import DataError

SIDE = 32  # pixels of a small copy, as ImageHash's phash wants them
AT_ONCE = 256  # images that are read between two words to whoever waits
MAX_MEMORY_BYTES = 1 << 30  # of the small copies, 3 kB each; beyond, they lie in a temporary file

Thumbs = NDArray[np.uint8]
"""Small copies in colour, `(N, 3, 32, 32)`, whatever the shape of the image was."""


@dataclass(frozen=True)
class Unreadable:
    """An image that cannot be read, and why."""

    name: str
    label: int
    part: int
    reason: str


@dataclass(frozen=True)
class Look:
    """What is kept of one image."""

    size: tuple[int, int]
    mode: str
    digest: int
    hash: int
    thumb: Thumbs


@dataclass(frozen=True, eq=False)
class Survey:
    """All readable images of a data set; rows of the arrays are images."""

    dataset: DataSet
    samples: Samples
    """The readable images, in the order of the parts."""
    parts: NDArray[np.int64]
    """Index into the names of the data set's parts, `(N,)`."""
    sizes: NDArray[np.int64]
    """Width and height once upright, `(N, 2)`."""
    modes: tuple[str, ...]
    """Pillow's mode of each file: RGB, L (grey), P (palette), RGBA …"""
    digests: NDArray[np.uint64]
    """Hash of size and pixels, `(N,)`: the same for the same picture, whatever file it is in."""
    hashes: NDArray[np.uint64]
    """Perceptual hash, `(N,)`: it differs in few of its 64 bits where pictures look alike."""
    thumbs: Thumbs
    unreadable: tuple[Unreadable, ...]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def part_names(self) -> tuple[str, ...]:
        """The data set's parts."""
        return tuple(self.dataset.parts)


def survey(dataset: DataSet, on_progress: Progress, *, max_memory: int = MAX_MEMORY_BYTES) -> Survey:
    """Read every image of a data set once, in threads.

    Raises:
        DataError: not one of them can be read.

    """
    samples = dataset.all_samples()
    parts = np.repeat(np.arange(len(dataset.parts)), [len(part) for part in dataset.parts.values()])
    thumbs = allocate((len(samples), 3, SIDE, SIDE), max_memory)
    looks: list[Look] = []
    unreadable, readable = [], []
    for row, found in enumerate(look_all(samples, on_progress)):
        if isinstance(found, str):
            unreadable.append(
                Unreadable(samples.names[row], int(samples.labels[row]), int(parts[row]), found)
            )
            continue
        thumbs[len(looks)] = found.thumb
        looks.append(found)
        readable.append(row)
    if not looks:
        first = unreadable[0]
        raise DataError(f"none of the {len(samples):,} images can be read; {first.name}: {first.reason}")
    kept = np.array(readable, np.int64)
    return Survey(
        dataset=dataset,
        samples=samples.take(kept),
        parts=parts[kept],
        sizes=np.array([look.size for look in looks], np.int64),
        modes=tuple(look.mode for look in looks),
        digests=np.array([look.digest for look in looks], np.uint64),
        hashes=np.array([look.hash for look in looks], np.uint64),
        thumbs=thumbs[: len(looks)],
        unreadable=tuple(unreadable),
    )


def allocate(shape: tuple[int, ...], max_memory: int) -> Thumbs:
    """Return an array in memory, or in a temporary file if it is large."""
    if np.prod(shape, dtype=np.int64) <= max_memory:
        return np.empty(shape, np.uint8)
    with TemporaryFile() as file:  # the map keeps it open
        return np.memmap(file, np.uint8, "w+", shape=shape)


def look_all(samples: Samples, on_progress: Progress) -> Iterator[Look | str]:
    """Yield what each image is, in order, or why it cannot be read."""
    look = looker(samples)
    with ThreadPoolExecutor() as pool:  # Pillow releases the interpreter lock
        for start in range(0, len(samples), AT_ONCE):
            on_progress("reading images", start, len(samples))
            yield from pool.map(look, samples.names[start : start + AT_ONCE])
    on_progress("reading images", len(samples), len(samples))


def looker(samples: Samples) -> Callable[[str], Look | str]:
    """Return what looks at the image of a name."""
    import imagehash

    def look(name: str) -> Look | str:
        path = samples.files.root / name if samples.files is not None and samples.files.single else None
        try:
            image = samples.read(name)
        except DataError as error:
            return str(error).removeprefix(f"{path}: ").removeprefix(f"{name}: ")
        colour = image.convert("RGB")
        small = colour.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        bits = np.packbits(imagehash.phash(small).hash)
        if path is not None:
            with Image.open(path) as file:  # reads the header only; what was decoded is in colour already
                mode = file.mode
        return Look(
            size=colour.size,
            mode=image.mode if path is None else mode,
            digest=digest_of(colour),
            hash=int.from_bytes(bits.tobytes()),
            thumb=np.asarray(small).transpose(2, 0, 1),
        )

    return look


def digest_of(image: Image.Image) -> int:
    """Return a 64-bit hash of an image's size and pixels."""
    digest = hashlib.blake2b(repr(image.size).encode(), digest_size=8)
    digest.update(image.tobytes())
    return int.from_bytes(digest.digest())
