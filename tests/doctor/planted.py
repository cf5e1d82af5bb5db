"""Data sets with faults that are known, for the tests of the doctor."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from effnet.data.datasets import DataSet, Samples, open_digits
from effnet.doctor.survey import Survey, survey

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


@dataclass(frozen=True)
class Planted:
    """Digits, some of them with a wrong label, and near copies of others."""

    dataset: DataSet
    swapped: frozenset[str]
    copies: frozenset[frozenset[str]]


CHANGES: Sequence[Callable[[Image.Image], Image.Image]] = (
    lambda picture: ImageEnhance.Brightness(picture).enhance(0.85),
    lambda picture: ImageEnhance.Contrast(picture).enhance(0.9),
    lambda picture: picture.resize((16, 16), Image.Resampling.BICUBIC),
    lambda picture: picture.resize((12, 12), Image.Resampling.BICUBIC),
    lambda picture: Image.fromarray(np.asarray(picture) // 2 + 40),
)


def planted(*, num_images: int, num_swapped: int, num_copies: int = 0, seed: int = 0) -> Planted:
    """Draw digits, give some a wrong label, and add near copies of some of the others."""
    rng, digits = np.random.default_rng(seed), open_digits().parts["all"]
    drawn = digits.take(rng.permutation(len(digits))[:num_images])
    rows = rng.permutation(num_images)
    labels = drawn.labels.copy()
    labels[rows[:num_swapped]] = (labels[rows[:num_swapped]] + rng.integers(1, 10, num_swapped)) % 10
    originals = rows[num_swapped : num_swapped + num_copies]
    copies = {f"copy-{drawn.names[row]}": CHANGES[place % 5] for place, row in enumerate(originals)}
    samples = Samples(
        drawn.names + tuple(copies),
        np.concatenate([labels, labels[originals]]),
        partial(changed, drawn, copies),
    )
    class_names = tuple(map(str, range(10)))
    return Planted(
        DataSet("planted", class_names, {"all": samples}, source="planted"),
        frozenset(drawn.names[row] for row in rows[:num_swapped]),
        frozenset(frozenset({name, name.removeprefix("copy-")}) for name in copies),
    )


def changed(
    samples: Samples, copies: Mapping[str, Callable[[Image.Image], Image.Image]], name: str
) -> Image.Image:
    picture = samples.read(name.removeprefix("copy-"))
    return copies[name](picture) if name in copies else picture


def uniform(rng: np.random.Generator, count: int) -> NDArray[np.uint64]:
    """Return random hashes."""
    return rng.integers(0, 2**64, count, dtype=np.uint64)
