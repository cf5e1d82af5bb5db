"""Data sets: names, labels and a way to read each image; nothing is decoded until it is asked for."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from effnet.data.cifar import ARCHIVES, CifarReader
from effnet.data.cifar import load as load_cifar
from effnet.data.download import OnProgress, ignore
from effnet.data.scan import FileReader, Files, find_images, join
from effnet.errors import DataError, UsageError, some, unknown_name
from effnet.imaging.decode import EXTENSIONS

SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Samples:
    """Labelled images that are not decoded yet."""

    names: tuple[str, ...]
    """Unique name of each image: for a folder its path below the folder, with forward slashes."""
    labels: NDArray[np.int64]
    """Index into the class names, `(N,)`."""
    read: Callable[[str], Image.Image]
    """Decodes the image of a name; raises DataError with the reason. It can be pickled, for workers."""
    files: Files | None = None
    """How they lie on the disk; None where images are no files."""

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: NDArray[np.int64]) -> "Samples":
        """Return the images at these positions, in this order."""
        files = None if self.files is None else self.files.take(indices)
        return Samples(tuple(self.names[i] for i in indices), self.labels[indices], self.read, files)

    def named(self, names: frozenset[str]) -> "Samples":
        """Return the images whose name is in the set, in the order they stand here."""
        return self.take(np.flatnonzero([name in names for name in self.names]))


@dataclass(frozen=True)
class DataSet:
    """A data set as found: its classes, and its images by split, or all in one part named `all`."""

    name: str
    class_names: tuple[str, ...]
    parts: Mapping[str, Samples]
    source: str
    """What opens it again: its name, or its absolute path."""
    recipe: str | None = None
    """Recipe made for this data set, if there is one."""

    @property
    def is_split(self) -> bool:
        """Whether the data set brings its own split into training and held-out images."""
        return "train" in self.parts

    def fingerprint(self) -> str:
        """Return a hash of classes, image names and labels; the pixels are not read."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        content = [list(self.class_names)]
        for part, samples in self.parts.items():
            content.append([part, *samples.names, *map(str, samples.labels.tolist())])
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def all_samples(self) -> Samples:
        """Return the images of all parts together."""
        parts = tuple(self.parts.values())
        names = tuple(name for part in parts for name in part.names)
        labels = np.concatenate([part.labels for part in parts])
        files = [part.files for part in parts if part.files is not None]
        return Samples(names, labels, parts[0].read, join(files) if files else None)


def open_dataset(source: str | Path, *, on_download: OnProgress = ignore) -> DataSet:
    """Open a data set by name (`digits`, `cifar10`, `cifar100`) or a folder of images.

    A folder holds either `train/` with `val/` or `test/`, each with one folder per class, or one folder per
    class alone.

    Args:
        source: name or folder; a folder comes before a data set of that name.
        on_download: told how many bytes are there, of how many, when a data set is downloaded.

    Raises:
        UsageError: neither a known name nor a folder.
        DataError: the folder is empty, its classes do not fit together, or the data set cannot be downloaded.

    """
    path = Path(source)
    if str(source) in DATASETS and not path.is_dir():
        return DATASETS[str(source)](on_download)
    if path.is_dir():
        return open_folder(path)
    if path.exists():
        raise UsageError(f"{path} is a file; a data set is a folder with one folder of images per class")
    raise UsageError(f"{unknown_name('data set', str(source), DATASETS)}; and there is no folder {path}")


def open_folder(root: Path) -> DataSet:
    """Open a folder of images; see `open_dataset`."""
    splits = _split_folders(root) or {"all": root}
    class_names = _class_names(splits.get("train", root))
    parts = {}
    for split, folder in splits.items():
        _check_classes(folder, class_names)
        parts[split] = _scan(root, folder, class_names)
    return DataSet(root.resolve().name, class_names, parts, source=str(root.resolve()))


def _split_folders(root: Path) -> dict[str, Path]:
    """Return the folders of a split by its name, or nothing where there are only classes.

    A folder `train` without folders in it, or alone beside other folders, is a class: trains are things too.
    """
    folders = {path.name.casefold(): path for path in _folders(root)}
    found = {
        split: folders[name]
        for split, names in SPLIT_FOLDERS.items()
        for name in names
        if name in folders and _folders(folders[name])
    }
    if not found or (set(found) == {"train"} and len(folders) > 1):
        return {}
    if "train" not in found:
        raise DataError(
            f"{root} has {', '.join(p.name + '/' for p in found.values())} but no train/ beside it"
        )
    if len(found) == 1:
        raise DataError(f"{root} has {found['train'].name}/ but neither val/ nor test/ beside it")
    return found


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(sorted(path.name for path in _folders(folder)))
    if not names:
        raise DataError(
            f"{folder} has no folders in it; put the images of each class into a folder of its own"
        )
    if len(names) == 1:
        raise DataError(f"{folder} has a single class, {names[0]!r}; a classifier needs at least two folders")
    return names


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))]
    except OSError as error:
        raise DataError(f"cannot read the folder {error.filename}: {error.strerror}") from error


def _check_classes(folder: Path, class_names: tuple[str, ...]) -> None:
    unknown = sorted({path.name for path in _folders(folder)} - set(class_names))
    if unknown:
        raise DataError(
            f"{folder} has classes that the training images lack: {some(unknown)}; "
            f"the classes are {some(class_names)}; rename or remove what is no class"
        )


def _scan(root: Path, folder: Path, class_names: tuple[str, ...]) -> Samples:
    names: list[str] = []
    stamps: list[tuple[int, int]] = []
    labels: list[int] = []
    for label, class_name in enumerate(class_names):
        place = folder / class_name
        files = find_images(place) if place.is_dir() else []
        if not files and folder.name.casefold() not in SPLIT_FOLDERS["val"] + SPLIT_FOLDERS["test"]:
            raise DataError(f"{place} holds no images ({', '.join(sorted(EXTENSIONS))})")
        below = place.relative_to(root).as_posix()
        names += [f"{below}/{name}" for name, _, _ in files]
        stamps += [(num_bytes, changed) for _, num_bytes, changed in files]
        labels += [label] * len(files)
    if not names:
        raise DataError(f"{folder} holds no images ({', '.join(sorted(EXTENSIONS))})")
    found = Files(root.resolve(), np.array(stamps, np.int64))
    return Samples(tuple(names), np.array(labels, np.int64), FileReader(root), found)


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
    """Tell whether opening this data set would download it."""
    archive = ARCHIVES.get(str(source))
    return archive is not None and not Path(source).is_dir() and not archive.path.exists()


DATASETS: dict[str, Callable[[OnProgress], DataSet]] = {
    "digits": lambda on_download: open_digits(),
    **{name: partial(open_cifar, name) for name in ARCHIVES},
}
