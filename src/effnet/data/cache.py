"""Decoded images of a folder, kept on the disk: the next start reads them instead of decoding the files.

A folder of the cache belongs to one folder of images and one way of storing them. Every reading that decodes
many images adds a file of them, so another split finds its images and a few changed ones are all that is new.
"""

import os
import shutil
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from io import BufferedReader
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effnet.data.datasets import Samples
from effnet.data.scan import UNKNOWN
from effnet.errors import EffnetError
from effnet.files import write_bytes

SUFFIX = ".pixels"
MAGIC = b"effnetpx"
HEADER = struct.Struct("<8sIIIIII")
"""Magic, CRC-32 of what follows, number of images, bytes of their names, shape of an image (C, H, W).

Then come the sizes and times of the files, their names (each ends with a zero byte), and the images.
"""
STAMP_BYTES = 16
NAME_ERRORS = "surrogateescape"  # names need not be Unicode
BLOCK_BYTES = 1 << 20  # stays in the processor's cache, and takes no new pages of memory each time

Images = NDArray[np.uint8]
Rows = NDArray[np.int64]


class UnusableError(Exception):
    """A file of the cache is not what was once written."""


@dataclass(frozen=True)
class Limits:
    """When keeping decoded images pays, and what it may cost."""

    min_images: int = 1000
    """Fewer are decoded again in a moment."""
    max_file_bytes: int = 4 << 30
    """More at once, and reading them is not much faster than the disk's cache of the image files."""
    max_bytes: int = 16 << 30
    """Of the whole cache; what was not used for longest is removed."""
    disk_share: float = 0.5
    """Of what is free on the disk."""


@dataclass(frozen=True)
class DecodedCache:
    """What was decoded before, and a place for what is decoded now."""

    folder: Path | None
    """Of one folder of images and one way of storing them; None keeps nothing."""
    say: Callable[[str], None] = field(repr=False)
    limits: Limits = Limits()

    def load(self, images: Images, samples: Samples) -> NDArray[np.bool_]:
        """Fill the rows of `images (N, C, S, S)` that are in the cache; return which, `(N,)`."""
        found = np.zeros(len(samples), dtype=bool)
        if self.folder is None or samples.files is None:
            return found
        wanted = {name: row for row, name in enumerate(samples.names)}
        for path in sorted(self.folder.glob(f"[!.]*{SUFFIX}")):  # hidden ones are being written
            found[self._load_file(path, images, wanted, samples.files.stamps)] = True
            wanted = {name: row for name, row in wanted.items() if not found[row]}
        if found.any():
            self.say(f"read {found.sum():,} decoded images from the cache")
        return found

    def _load_file(self, path: Path, images: Images, wanted: Mapping[str, int], stamps: Rows) -> Rows:
        try:
            rows = read_file(path, images, wanted, stamps)
            with suppress(OSError):  # a cache that may not be written to forgets what was used last, no more
                os.utime(path)
        except FileNotFoundError:  # another run has just removed it
            return np.empty(0, np.int64)
        except (UnusableError, OSError) as error:
            self.say(f"warning: {path} is unusable ({error}); its images are decoded again")
            with suppress(OSError):  # it is said again next time
                path.unlink()
            return np.empty(0, np.int64)
        return rows

    def keep(self, images: Images, samples: Samples, rows: Rows) -> None:
        """Write these rows of `images (N, C, S, S)`, just decoded, if that pays; failing is no error."""
        if self.folder is None or samples.files is None:
            return
        rows = rows[samples.files.stamps[rows, 0] != UNKNOWN]
        num_bytes = len(rows) * images[0].nbytes
        if len(rows) < self.limits.min_images or num_bytes > self.limits.max_file_bytes:
            return
        files = describe([samples.names[row] for row in rows], samples.files.stamps[rows])
        path = self.folder / f"{blake2b(files, digest_size=16).hexdigest()}{SUFFIX}"
        try:
            make_room(self.folder.parent, num_bytes, self.limits)
            write_bytes(path, lambda temporary: write_file(temporary, images, rows, files))
        except (EffnetError, OSError) as error:
            self.say(f"warning: decoded images are not kept for the next start: {error}")
        else:
            size = f"{num_bytes / 1e9:.2f} GB"
            self.say(f"kept {len(rows):,} decoded images for the next start ({size} in {self.folder.parent})")


NO_CACHE = DecodedCache(None, lambda text: None)


def describe(names: Sequence[str], stamps: Rows) -> bytes:
    """Return sizes and times `(N, 2)`, then names of files, as they stand in a file of the cache."""
    return stamps.astype("<i8").tobytes() + "".join(f"{name}\0" for name in names).encode(errors=NAME_ERRORS)


def write_file(path: Path, images: Images, rows: Rows, files: bytes) -> None:
    """Write rows of `images (N, C, S, S)` with what describes their files."""
    crc = zlib.crc32(files)
    step = rows_per_block(images)
    with path.open("wb") as file:
        file.write(bytes(HEADER.size))
        file.write(files)
        for start in range(0, len(rows), step):
            block = np.ascontiguousarray(images[rows[start : start + step]]).data
            crc = zlib.crc32(block, crc)
            file.write(block)
        file.seek(0)
        name_bytes = len(files) - len(rows) * STAMP_BYTES
        file.write(HEADER.pack(MAGIC, crc, len(rows), name_bytes, *images.shape[1:]))


def read_file(path: Path, images: Images, wanted: Mapping[str, int], stamps: Rows) -> Rows:
    """Copy the wanted images of a file to their rows in `images (N, C, S, S)`; return these rows.

    Args:
        path: the file.
        images: filled where the file has what is wanted.
        wanted: rows by the names of their files.
        stamps: size and time of the file of each row, `(N, 2)`; images of others are not wanted.

    Raises:
        UnusableError: it is damaged or cut off; the wanted rows may have been overwritten.

    """
    with path.open("rb") as file:
        crc, count, name_bytes = read_header(file, images.shape[1:])
        files = file.read(count * STAMP_BYTES + name_bytes)
        own = np.frombuffer(files, "<i8", 2 * count).reshape(-1, 2)
        names = files[count * STAMP_BYTES :].decode(errors=NAME_ERRORS).split("\0")[:-1]
        if len(names) != count:
            raise UnusableError("names")
        rows = np.array([wanted.get(name, -1) for name in names], np.int64)
        rows[(own != stamps[rows]).any(1)] = -1
        if (rows >= 0).any() and read_images(file, images, rows, zlib.crc32(files)) != crc:
            raise UnusableError("checksum")
    return rows[rows >= 0]


def read_header(file: BufferedReader, shape: Sequence[int]) -> tuple[int, int, int]:
    """Return checksum, number of images and bytes of their names, of a file that has the size they say."""
    head = file.read(HEADER.size)
    magic, crc, count, name_bytes, *stored = (
        HEADER.unpack(head) if len(head) == HEADER.size else (b"", 0, 0, 0)
    )
    if magic != MAGIC or stored != list(shape):
        raise UnusableError("not of this cache")
    expected = HEADER.size + count * (STAMP_BYTES + prod(shape)) + name_bytes
    if os.fstat(file.fileno()).st_size != expected:
        raise UnusableError("cut off")
    return int(crc), int(count), int(name_bytes)


def read_images(file: BufferedReader, images: Images, rows: Rows, crc: int) -> int:
    """Copy each image of a file to its row in `images (N, C, S, S)`, -1 to nowhere; return the checksum."""
    block = np.empty((rows_per_block(images), *images.shape[1:]), np.uint8)
    for start in range(0, len(rows), len(block)):
        places = rows[start : start + len(block)]
        part = block[: len(places)]
        if file.readinto(part.data) != part.nbytes:
            raise UnusableError("cut off")
        crc = zlib.crc32(part.data, crc)
        images[places[places >= 0]] = part[places >= 0]
    return crc


def rows_per_block(images: Images) -> int:
    """Return how many images are read or written at once."""
    return max(1, BLOCK_BYTES // prod(images.shape[1:]))


def make_room(top: Path, num_bytes: int, limits: Limits) -> None:
    """Remove from the whole cache what was not used for longest, until so many bytes more are within limits.

    Raises:
        EffnetError: the disk has too little free space.

    """
    top.mkdir(parents=True, exist_ok=True)
    used = []
    for path in top.rglob(f"*{SUFFIX}"):
        with suppress(FileNotFoundError):  # another run has removed or renamed it
            used.append((path.stat().st_mtime_ns, path.stat().st_size, path))
    total = sum(size for _, size, _ in used)
    for _, size, path in sorted(used):
        if total + num_bytes > limits.max_bytes:
            path.unlink(missing_ok=True)
            total -= size
    free = shutil.disk_usage(top).free
    if num_bytes > limits.disk_share * free:
        raise EffnetError(f"they need {num_bytes / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free in {top}")
