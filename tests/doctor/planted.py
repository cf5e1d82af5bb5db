"""Data sets with faults that are known, for the tests of the doctor."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from effnet.data.datasets import DataSet, Samples, open_digits
from effnet.doctor.survey import Survey, survey
from planted_faults import Planted, plant

Pictures = Mapping[str, Image.Image]


def still(task: str, done: int, total: int) -> None:
    """Follow no progress."""


def noise(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """Return a picture like no other one: smooth, as photographs are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def look_up(pictures: Pictures, name: str) -> Image.Image:
    return pictures[name]


def in_memory(pictures: Pictures, *, name: str = "pictures") -> DataSet:
    """Return a data set of pictures that are called PART/CLASS/FILE."""
    class_names = tuple(sorted({path.split("/")[1] for path in pictures}))
    parts = {}
    for part in dict.fromkeys(path.split("/")[0] for path in pictures):
        names = tuple(path for path in pictures if path.startswith(f"{part}/"))
        labels = np.array([class_names.index(path.split("/")[1]) for path in names])
        parts[part] = Samples(names, labels, partial(look_up, pictures))
    return DataSet(name, class_names, parts, source=name)


def surveyed(pictures: Pictures) -> Survey:
    return survey(in_memory(pictures), still)


def on_disk(folder: Path, pictures: Pictures) -> Path:
    """Write pictures into a folder, under their names."""
    for name, picture in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / name)
    return folder


def planted(*, num_images: int, num_swapped: int, num_copies: int = 0, seed: int = 0) -> Planted:
    """Draw digits, give some a wrong label, and add near copies of some of the others."""
    return plant(open_digits(), images=num_images, swaps=num_swapped, copies=num_copies, seed=seed)


def uniform(rng: np.random.Generator, count: int) -> NDArray[np.uint64]:
    """Return random hashes."""
    return rng.integers(0, 2**64, count, dtype=np.uint64)
