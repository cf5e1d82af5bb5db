"""Folders of images: one folder for each class, in the parts of a split or alone."""

from pathlib import Path

import numpy as np

from effnet.data.samples import DataSet, Samples
from effnet.data.scan import FileReader, Files, find_images
from effnet.errors import DataError, some
from effnet.imaging.decode import EXTENSIONS

SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


def open_folder(root: Path) -> DataSet:
    """Open a folder of images; see `open_dataset`."""
    splits = split_folders(root) or {"all": root}
    class_names = _class_names(splits.get("train", root))
    parts = {}
    for split, folder in splits.items():
        _check_classes(folder, class_names)
        parts[split] = _scan(root, folder, class_names)
    return DataSet(root.resolve().name, class_names, parts, source=str(root.resolve()))


def split_folders(root: Path) -> dict[str, Path]:
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
