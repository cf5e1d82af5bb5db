"""Which image files a folder holds, found in one pass with their size and the time of their last change."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from effnet.errors import DataError
from effnet.imaging.decode import EXTENSIONS, decode

UNKNOWN = -1  # of a file that is listed and cannot be looked at, such as a link that leads nowhere


ImageFile = tuple[str, int, int]
"""Path below the folder with forward slashes, number of bytes, time of the last change in nanoseconds."""


@dataclass(frozen=True)
class FileReader:
    """Decodes images of a folder by their name; a value, so that it can be sent to another process."""

    root: Path

    def __call__(self, name: str) -> Image.Image:
        """Decode an image; raises DataError with the reason."""
        return decode(self.root / name)


@dataclass(frozen=True, eq=False)
class Files:
    """Image files as they stood when they were found."""

    root: Path
    """Absolute path of the folder that their names are below of."""
    stamps: NDArray[np.int64]
    """Bytes and time of the last change (ns) of each, `(N, 2)`."""

    def take(self, indices: NDArray[np.int64]) -> "Files":
        """Return the files at these positions, in this order."""
        return Files(self.root, self.stamps[indices])


def join(parts: Sequence[Files]) -> Files:
    """Return the files of several parts of one folder together."""
    return Files(parts[0].root, np.concatenate([part.stamps for part in parts]))


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
