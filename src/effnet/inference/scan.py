"""Which image files a folder holds, one after the other: of a million names only some are in memory."""

import heapq
import os
from collections.abc import Iterator
from pathlib import Path

from effnet.errors import DataError
from effnet.imaging.decode import EXTENSIONS

CHUNK = 50_000
"""Names of one folder that are in memory at a time."""


def images_below(folder: Path) -> Iterator[Path]:
    """Yield the image files at any depth below a folder, folder by folder in the order of their names.

    Hidden files and folders are left out, and links to folders, which may lead back.

    Raises:
        DataError: a folder cannot be read.

    """
    try:
        for name, is_folder in _entries(folder):
            if is_folder:
                yield from images_below(folder / name)
            else:
                yield folder / name
    except OSError as error:
        raise DataError(f"cannot read the folder {error.filename}: {error.strerror}") from error


def count_images(folder: Path) -> int:
    """Count the image files at any depth below a folder; raises DataError as `images_below` does."""
    try:
        return sum(
            count_images(folder / name) if is_folder else 1 for name, is_folder in _unsorted(folder, after="")
        )
    except OSError as error:
        raise DataError(f"cannot read the folder {error.filename}: {error.strerror}") from error


def _entries(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield names of images and folders, sorted, with whether each is a folder.

    To sort them without holding all, a large folder is listed several times: a listing of a million names
    takes a second, its images hours.
    """
    last = ""
    while True:
        entries = heapq.nsmallest(CHUNK, _unsorted(folder, after=last))
        yield from entries
        if len(entries) < CHUNK:
            return
        last = entries[-1][0]


def _unsorted(folder: Path, *, after: str) -> Iterator[tuple[str, bool]]:
    """Yield the entries whose name comes after this one, in the order of the file system."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(".") or name <= after:
                continue
            if entry.is_dir():
                if not entry.is_symlink():
                    yield name, True
            elif name[name.rfind(".") :].lower() in EXTENSIONS:
                yield name, False
