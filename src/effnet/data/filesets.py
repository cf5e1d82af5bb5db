"""Which files a data set of several files consists of: shards or tables, by pattern or folder."""

import glob
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from effnet.data.download import OnProgress
from effnet.data.sources import SPLIT_NAMES, Source, map_splits, part_of
from effnet.errors import DataError, UsageError
from effnet.imaging.decode import EXTENSIONS

T = TypeVar("T")

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MAX_FILES = 100_000


def expand(pattern: str) -> list[Path]:
    """Return the files of a pattern: `{0000..0009}` counts, `*` and `?` stand for any characters.

    Raises:
        UsageError: no such file; of a range, one that is missing.

    """
    if os.path.isfile(pattern):  # whatever its name looks like
        return [Path(pattern)]
    found = RANGE.search(pattern)
    if found is None:
        if not glob.has_magic(pattern):
            return [Path(pattern)]
        matches = [Path(path) for path in sorted(glob.glob(pattern))]
        if not matches:
            raise UsageError(f"no file is called like {pattern}")
        return matches
    first, last = (int(text) for text in found.groups())
    if not 0 <= last - first < MAX_FILES:
        raise UsageError(f"{pattern}: {found.group()} must count up, to at most {MAX_FILES:,} files")
    texts = [f"{number:0{len(found[1])}}" for number in range(first, last + 1)]
    paths = [path for t in texts for path in expand(pattern[: found.start()] + t + pattern[found.end() :])]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise UsageError(f"{pattern}: {len(missing)} of {len(paths)} files are missing, such as {missing[0]}")
    return paths


def find_files(root: Path, suffix: str) -> list[Path]:
    """Return the files with this suffix in a folder and in the folders in it, sorted; hidden ones left out.

    Raises:
        DataError: a folder cannot be read.

    """
    found: list[str] = []
    try:
        for folder in (str(root), *_folders_in(root)):
            with os.scandir(folder) as entries:
                found += [e.path for e in entries if is_visible(e.name, suffix) and e.is_file()]
    except OSError as error:
        raise DataError(f"cannot read the folder {error.filename}: {error.strerror}") from error
    return sorted(map(Path, found))


def _folders_in(root: Path) -> list[str]:
    with os.scandir(root) as entries:
        return [e.path for e in entries if e.is_dir() and not e.name.startswith(".")]


def is_visible(name: str, suffix: str) -> bool:
    """Tell whether a file has this suffix and is not hidden."""
    return name.lower().endswith(suffix) and not name.startswith(".")


def holds_images(root: Path) -> bool:
    """Tell whether folders in a folder hold image files, as classes do; looks no further than needed."""
    return any(path.is_dir() and not path.is_symlink() and _has_image(path) for path in root.iterdir())


def _has_image(folder: Path) -> bool:
    below = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name[entry.name.rfind(".") :].lower() in EXTENSIONS:
                return True
            if entry.is_dir(follow_symlinks=False):
                below.append(Path(entry.path))
    return any(map(_has_image, below))


def common_root(source: Source, files: Sequence[Path]) -> Path:
    """Return the absolute folder that names of files are below of."""
    place = Path(source.place)
    if place.is_dir():
        return place.absolute()
    return Path(os.path.commonpath([path.absolute().parent for path in files]))


def file_splits(files: Sequence[Path], root: Path) -> dict[str, list[Path]]:
    """Return files by split: `train-00001.tar` and `train/00001.tar` belong to train.

    Where none is called so, all are one split; else a file that is called otherwise is a split of its own.
    """
    by_split: dict[str, list[Path]] = {}
    for path in files:
        by_split.setdefault(split_of(path.absolute().relative_to(root)), []).append(path.absolute())
    if any(part_of(split) for split in by_split):
        return by_split
    return {"all": [path.absolute() for path in files]}


def read_parts(
    source: Source, files: Sequence[Path], *, root: Path, read: Callable[[Path], T], on_progress: OnProgress
) -> dict[str, dict[str, T]]:
    """Read the files of each part; each is called by its path below `root`. Progress is in their bytes."""
    by_split = file_splits(files, root)
    parts: dict[str, dict[str, T]] = {}
    done, total = 0, sum(path.stat().st_size for path in files)
    for part, splits in map_splits(by_split, source).items():
        parts[part] = {}
        for path in (path for split in splits for path in by_split[split]):
            parts[part][path.relative_to(root).as_posix()] = read(path)
            done += path.stat().st_size
            on_progress(done, total)
    on_progress(total, total)
    return parts


def split_of(path: Path) -> str:
    """Return the split that a file belongs to by its folders, or by how its name begins."""
    known = {name for names in SPLIT_NAMES.values() for name in names}
    words = [*path.parts[:-1], re.split(r"[-_.\d]", path.stem, maxsplit=1)[0]]
    return next((word for word in words if word.casefold() in known), path.stem)
