"""Which image files a folder holds, found in one pass with their size and the time of their last change."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from effnet.errors import DataError
from effnet.imaging.decode import EXTENSIONS, decode

UNKNOWN = -1  # of a file that is listed and cannot be looked at, such as a link that leads nowhere


ImageFile = tuple[str, int, int]
"""Path below the folder with forward slashes, number of bytes, time of the last change in nanoseconds."""


class EncodedReader(ABC):
    """Decodes images that are stored as files or as the bytes of files, by their name.

    A value that can be pickled, so that it can be sent to another process.
    """

    @abstractmethod
    def content(self, name: str) -> Path | bytes:
        """Return the file of an image, or its bytes; raises DataError with the reason."""

    def called(self, name: str) -> str:
        """Return what messages call an image."""
        return name

    def __call__(self, name: str) -> Image.Image:
        """Decode an image; raises DataError with the reason."""
        return decode(self.content(name), name=self.called(name))

    def small(self, name: str, at_least: int) -> Image.Image:
        """Decode an image, a JPEG at no more than needed for a short side of `at_least` pixels."""
        return decode(self.content(name), name=self.called(name), at_least=at_least)


@dataclass(frozen=True)
class FileReader(EncodedReader):
    """Decodes images of a folder by their path below it."""

    root: Path

    def content(self, name: str) -> Path:
        """Return the file of an image."""
        return self.root / name

    def called(self, name: str) -> str:
        """Return the path of an image."""
        return str(self.root / name)


@dataclass(frozen=True, eq=False)
class Files:
    """Image files as they stood when they were found."""

    root: Path
    """Absolute path of the folder that their names are below of."""
    stamps: NDArray[np.int64]
    """Bytes and time of the last change (ns) of each, `(N, 2)`."""
    single: bool = True
    """Whether each image is a file of its own; else these are the sizes and times of what holds it."""

    def take(self, indices: NDArray[np.int64]) -> "Files":
        """Return the files at these positions, in this order."""
        return replace(self, stamps=self.stamps[indices])


def join(parts: Sequence[Files]) -> Files:
    """Return the files of several parts of one folder together."""
    return replace(parts[0], stamps=np.concatenate([part.stamps for part in parts]))


def find_images(folder: Path) -> list[ImageFile]:
    """Image files at any depth below a folder, sorted; hidden files and folders are left out.

    Raises:
        DataError: a folder cannot be read.

    """
    found: list[ImageFile] = []
    try:
        _collect(folder, "", found)
    except OSError as error:
        raise DataError(f"cannot read the folder {error.filename}: {error.strerror}") from error
    if any("/" in name for name, _, _ in found):
        return sorted(found, key=lambda file: file[0].split("/"))
    return sorted(found)


def _collect(folder: str | Path, prefix: str, found: list[ImageFile]) -> None:
    """Add what `os.walk` would list.

    For 60,000 files every object counts: with paths this took four times as long, and tuples with names of
    their fields, which the garbage collector follows, a third longer.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            if entry.is_dir():
                if not entry.is_symlink():  # it may lead back here
                    _collect(entry.path, f"{prefix}{name}/", found)
            elif name[name.rfind(".") :].lower() in EXTENSIONS:
                try:
                    stat = entry.stat()
                except OSError:  # decoding it will say why
                    found.append((prefix + name, UNKNOWN, UNKNOWN))
                else:
                    found.append((prefix + name, stat.st_size, stat.st_mtime_ns))


def image_files(folder: Path) -> list[Path]:
    """Paths of the image files at any depth below a folder; see `find_images`."""
    return [folder / name for name, _, _ in find_images(folder)]
