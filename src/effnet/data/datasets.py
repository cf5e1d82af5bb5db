"""Data sets by what they are called: a name, a folder, a file, or several files."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from effnet.data.cifar import ARCHIVES, CifarReader
from effnet.data.cifar import load as load_cifar
from effnet.data.download import OnProgress, ignore
from effnet.data.filesets import expand, find_files, holds_images
from effnet.data.folders import SPLIT_FOLDERS, open_folder, split_folders
from effnet.data.hub import open_hub
from effnet.data.hub_library import PREFIX, is_remote
from effnet.data.manifest import SUFFIXES, open_manifest
from effnet.data.parquet import open_parquet
from effnet.data.samples import DataSet, Samples
from effnet.data.sharded.index import INDEX_FILE, is_index
from effnet.data.sharded.opening import open_remote, open_sharded
from effnet.data.sharded.remote import is_url
from effnet.data.shards import open_shards
from effnet.data.sources import Source, parse_source
from effnet.data.transfer import TRANSFER, open_transfer
from effnet.errors import DataError, UsageError, unknown_name

__all__ = ["DATASETS", "SPLIT_FOLDERS", "DataSet", "Samples", "needs_download", "open_dataset", "open_digits"]

PACKED = (".parquet", ".tar")


def open_dataset(source: str | Path, *, on_download: OnProgress = ignore) -> DataSet:
    """Open a data set: by name, from a folder of images, a CSV file, shards, parquet files, or the Hub.

    A folder of images holds either `train/` with `val/` or `test/`, each with one folder per class, or one
    folder per class alone. Behind the place, after commas, options say which columns and splits are meant:
    `photos.csv,label=species`.

    Args:
        source: name, folder, file, pattern of files (`data-{0000..0009}.tar`), `hf:NAME[:CONFIG]`, or the URL
            of a folder that `effnet shard` wrote; a folder comes before a data set of that name.
        on_download: told how many bytes are there, of how many, when a data set is downloaded or taken out of
            its files.

    Raises:
        UsageError: neither a known name nor a folder or file; an option that means nothing for it.
        DataError: nothing in it, its classes do not fit together, or the data set cannot be downloaded.

    """
    asked = at_home(parse_source(str(source)))
    if is_url(asked.place):
        return open_remote(asked, on_download)
    if not os.path.isdir(asked.place):  # a Path raises where a text is too long for one
        if asked.place in DATASETS:
            asked.allow(f"the data set {asked.place}", ())
            return DATASETS[asked.place](on_download)
        if asked.place in TRANSFER:
            return open_transfer(asked)
        if asked.place.startswith(PREFIX):
            return open_hub(asked)
        return open_files(asked, expand(asked.place), on_download)
    return open_tree(asked, Path(asked.place), on_download)


def at_home(source: Source) -> Source:
    """Return the source with a path instead of a `file://` URL; others stay as they are."""
    if not source.place.lower().startswith("file://"):
        return source
    return replace(source, place=url2pathname(urlsplit(source.place).path))


def open_tree(source: Source, root: Path, on_progress: OnProgress) -> DataSet:
    """Open a folder: of images, or of shards or parquet files where it holds no images in folders."""
    if has_index(root):
        return open_sharded(source, on_progress)
    found = next((files for suffix in PACKED if (files := find_files(root, suffix))), [])
    if found and not split_folders(root) and not holds_images(root):
        return open_files(source, found, on_progress)
    source.allow("a folder of images", ())
    try:
        return open_folder(root)
    except DataError as error:
        if not found:
            raise
        raise DataError(
            f"{error}; if its {found[0].suffix} files are meant: {root}/*{found[0].suffix}"
        ) from error


def has_index(root: Path) -> bool:
    """Tell whether a folder holds shards with an index of ours."""
    try:
        with (root / INDEX_FILE).open("rb") as file:
            return is_index(file.read(200))
    except OSError:
        return False


def open_files(source: Source, files: list[Path], on_progress: OnProgress) -> DataSet:
    """Open files of one kind, by their suffix."""
    known = f"known names: {', '.join([*DATASETS, *TRANSFER])}"
    suffixes = {path.suffix.lower() for path in files}
    absent = next((path for path in files if not os.path.isfile(path)), None)
    if absent is not None and not suffixes & {*SUFFIXES, *PACKED}:
        unknown = unknown_name("data set", source.place, [*DATASETS, *TRANSFER])
        raise UsageError(f"{unknown}; and there is no folder {absent}")
    if absent is not None:
        raise UsageError(f"there is no file {absent}")
    if suffixes == {".tar"}:
        return open_shards(source, files, on_progress)
    if suffixes == {".parquet"}:
        return open_parquet(source, files, on_progress)
    if suffixes <= SUFFIXES.keys() and len(files) == 1:
        return open_manifest(source)
    raise UsageError(
        f"{source.place} is a file, and not one with data: a data set is a folder with one folder of images "
        f"per class, a .csv file, or .tar or .parquet files; {known}"
    )


@cache
def _digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8); values were 0 to 16
    return pixels, bunch.target.astype(np.int64)


@dataclass(frozen=True)
class DigitsReader:
    """Reads the handwritten digits: `0042.png` is the one in place 42."""

    def __call__(self, name: str) -> Image.Image:
        """Return the image of a name."""
        return Image.fromarray(_digits()[0][int(name.removesuffix(".png"))])


def open_digits() -> DataSet:
    """Open the handwritten digits inside scikit-learn: 1,797 real scans, 8×8, ten classes, no split."""
    labels = _digits()[1]
    names = tuple(f"{index:04d}.png" for index in range(len(labels)))
    class_names = tuple(str(digit) for digit in range(10))
    samples = Samples(names, labels, DigitsReader())
    return DataSet("digits", class_names, {"all": samples}, source="digits", recipe="digits")


def open_cifar(name: str, on_download: OnProgress = ignore) -> DataSet:
    """Open `cifar10` or `cifar100`: 50,000 images to train on, 10,000 to test, 32×32, in colour."""
    content = load_cifar(ARCHIVES[name], on_download)
    read = CifarReader(content)
    parts = {
        part: Samples(tuple(f"{part}/{i:05d}.png" for i in range(len(images.labels))), images.labels, read)
        for part, images in content.parts.items()
    }
    return DataSet(name, content.class_names, parts, source=name)


def needs_download(source: str | Path) -> bool:
    """Tell whether opening this data set may download it."""
    place = str(source).partition(",")[0]
    if place in TRANSFER and not Path(place).is_dir():
        return True
    if is_remote(str(source)) or is_url(str(source)):
        return True
    archive = ARCHIVES.get(str(source))
    return archive is not None and not Path(source).is_dir() and not archive.path.exists()


DATASETS: dict[str, Callable[[OnProgress], DataSet]] = {
    "digits": lambda on_download: open_digits(),
    **{name: partial(open_cifar, name) for name in ARCHIVES},
}
