"""Which image files a folder holds, one after the other: of a million names only some are in memory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from effnet.errors import DataError
from effnet.imaging.decode import EXTENSIONS

CHUNK = 100_000
"""Names of one folder that are in memory at a time."""


def images_below(folder: Path) -> Iterator[Path]:
    """Yield the image files at any depth below a folder, folder by folder in the order of their names.

    Hidden files and folders are left out, and links to folders, which may lead back.

    Raises:
        DataError: a folder cannot be read.

    """
    with _named():
        for entry in _sorted(folder):
            if entry.is_folder:
                yield from images_below(folder / entry.name)
            elif entry.is_image(folder):
                yield folder / entry.name


def count_images(folder: Path) -> int:
    """Count the image files at any depth below a folder; raises DataError as `images_below` does."""
    with _named():
        return sum(
            count_images(folder / entry.name) if entry.is_folder else entry.is_image(folder)
            for entry in _unsorted(folder, after="")
        )


class _Entry(NamedTuple):
    """What a folder holds: another folder, or what has the name of an image."""

    name: str
    is_folder: bool
    is_link: bool

    def is_image(self, folder: Path) -> bool:
        """Tell whether it is no link to a folder; only for links the file system is asked."""
        return not self.is_link or not (folder / self.name).is_dir()


def _sorted(folder: Path) -> Iterator[_Entry]:
    """Yield what a folder holds, by name.

    To sort without holding all, a large folder is listed several times: 300,000 names took 3 s, their images
    take minutes at least.
    """
    last = ""
    while True:
        entries = _first(_unsorted(folder, after=last))
        yield from entries
        if len(entries) < CHUNK:
            return
        last = entries[-1].name


def _first(entries: Iterator[_Entry]) -> list[_Entry]:
    """Return the first ones by name, sorted, as many as are in memory at a time."""
    kept: list[_Entry] = []
    while more := list(islice(entries, CHUNK)):
        kept = sorted(kept + more)[:CHUNK]  # which is quick: what was kept is sorted already
    return kept


def _unsorted(folder: Path, *, after: str) -> Iterator[_Entry]:
    """Yield what comes after this name, in the order of the file system."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(".") or name <= after:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield _Entry(name, True, False)
            elif name[name.rfind(".") :].lower() in EXTENSIONS:
                yield _Entry(name, False, entry.is_symlink())


@contextmanager
def _named() -> Iterator[None]:
    """Name the folder that cannot be read."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot read the folder {error.filename}: {error.strerror}") from error
