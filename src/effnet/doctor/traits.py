"""Classes and shapes: how many images there are of each class, how large they are, and which stand out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from effnet.data.datasets import DataSet
from effnet.doctor.findings import Finding
from effnet.doctor.survey import Survey

FEW = 10  # images of a class: with the default shares, one is held out to choose by and two to test on
IMBALANCE = 10.0  # times as many images in the largest class as in the smallest
SMALL = 0.25  # of the median short side
LONG = 3.0  # times as long as wide
BLANK = 2.0  # grey levels: the deviation of all pixels of an empty picture, noise of JPEG included
MAX_SIZES = 8


@dataclass(frozen=True)
class ClassCount:
    """How many images of a class there are, unreadable ones included."""

    name: str
    parts: dict[str, int]

    @property
    def total(self) -> int:
        """In all parts together."""
        return sum(self.parts.values())


def count_classes(dataset: DataSet) -> tuple[ClassCount, ...]:
    """Count the images of each class in each part."""
    counts = {
        part: np.bincount(samples.labels, minlength=len(dataset.class_names)).tolist()
        for part, samples in dataset.parts.items()
    }
    return tuple(
        ClassCount(name, {part: numbers[label] for part, numbers in counts.items()})
        for label, name in enumerate(dataset.class_names)
    )


def class_findings(classes: tuple[ClassCount, ...]) -> Iterator[Finding]:
    """Yield what is wrong with the number of images of a class."""
    for each in classes:
        if each.total < FEW:
            images = "image" if each.total == 1 else "images"
            yield Finding("few", f"{each.total} {images} in all", class_name=each.name)
        for part, number in each.parts.items():
            if number == 0:
                yield Finding("absent", f"no image in the part {part!r}", part=part, class_name=each.name)
    smallest, largest = (f(classes, key=lambda each: each.total) for f in (min, max))
    if largest.total >= IMBALANCE * smallest.total:
        times = largest.total / max(1, smallest.total)
        what = (
            f"{smallest.total:,} images, and {largest.total:,} of {largest.name}: {times:.0f} times as many"
        )
        yield Finding("imbalance", what, class_name=smallest.name)


def shape_findings(survey: Survey) -> Iterator[Finding]:
    """Yield the images that are empty, tiny beside the others, or very long."""
    short, long = survey.sizes.min(1), survey.sizes.max(1)
    usual = float(np.median(short))
    for row, thumb in enumerate(survey.thumbs):
        width, height = survey.sizes[row].tolist()
        if float(thumb.std((1, 2)).max()) < BLANK:
            yield stands_out("blank", survey, row, "all of one colour")
        if short[row] < SMALL * usual:
            what = f"{width}×{height} pixels; half of the images have at least {usual:.0f} on the short side"
            yield stands_out("small", survey, row, what)
        if long[row] >= LONG * short[row]:
            yield stands_out("long", survey, row, f"{width}×{height} pixels")


def stands_out(kind: str, survey: Survey, row: int, what: str) -> Finding:
    """Return a finding of an image."""
    part = survey.part_names[survey.parts[row]]
    class_name = survey.dataset.class_names[survey.samples.labels[row]]
    return Finding(kind, what, survey.samples.names[row], part, class_name)


def unreadable_findings(survey: Survey) -> Iterator[Finding]:
    """Yield the images that cannot be read."""
    for each in survey.unreadable:
        class_name = survey.dataset.class_names[each.label]
        yield Finding("unreadable", each.reason, each.name, survey.part_names[each.part], class_name)


@dataclass(frozen=True)
class Shapes:
    """Sizes and modes of all readable images."""

    sizes: tuple[tuple[str, int], ...]
    """The most frequent sizes, and how many images have them."""
    num_sizes: int
    """How many different sizes there are."""
    short_sides: tuple[int, int, int]
    """Least, median and greatest short side, in pixels."""
    modes: tuple[tuple[str, int], ...]
    """Pillow's modes, and how many images have them."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "sizes": dict(self.sizes),
            "num_sizes": self.num_sizes,
            "short_sides": list(self.short_sides),
            "modes": dict(self.modes),
        }


def shapes_of(survey: Survey) -> Shapes:
    """Sum up sizes and modes."""
    sizes = Counter(f"{width}×{height}" for width, height in survey.sizes.tolist())
    short = np.sort(survey.sizes.min(1))
    return Shapes(
        sizes=tuple(sizes.most_common(MAX_SIZES)),
        num_sizes=len(sizes),
        short_sides=(int(short[0]), int(np.median(short)), int(short[-1])),
        modes=tuple(Counter(survey.modes).most_common()),
    )
