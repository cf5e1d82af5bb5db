"""Accuracy at other resolutions than the network was trained for."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from effnet.data.datasets import DataSet
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.opened import Opened
from effnet.evaluation.robustness.passes import Pass, open_store, run_pass
from effnet.spec.cost import cost

FACTORS = (0.5, 0.625, 0.75, 0.875, 1.0, 1.125, 1.25, 1.5)
"""Of the model's resolution."""


@dataclass(frozen=True)
class Point:
    """The network at one resolution."""

    side: int
    """Of the images, in pixels."""
    macs: int
    """Of one image."""
    measured: Pass

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"side": self.side, "macs": self.macs, **self.measured.to_dict()}


@dataclass(frozen=True)
class Resolutions:
    """The network at all of them."""

    side: int
    """The model's own."""
    points: tuple[Point, ...]
    """The smallest first."""
    left_out: tuple[int, ...]
    """Sides below the total stride of the network."""

    @property
    def best(self) -> Point:
        """The most accurate one; of equals the smallest."""
        return max(self.points, key=lambda point: (point.measured.top1, -point.side))

    @property
    def own(self) -> Point:
        """The model's own."""
        return next(point for point in self.points if point.side == self.side)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        points = [point.to_dict() for point in self.points]
        return {"side": self.side, "points": points, "left_out": list(self.left_out)}


def sides(resolution: int, total_stride: int) -> tuple[list[int], list[int]]:
    """Return the sides to measure at, and those that the network's total stride is too large for."""
    wanted = sorted({round(factor * resolution) for factor in FACTORS})
    return [side for side in wanted if side >= total_stride], [side for side in wanted if side < total_stride]


def measure_resolutions(
    classifier: Classifier, dataset: DataSet, own: Pass, **options: Unpack[OpenOptions]
) -> Resolutions:
    """Measure a network at 0.5 to 1.5 times its resolution, never below its total stride.

    Images are read anew for each side, resized from the files as for the model's own; what is smaller than
    that in its file is enlarged. Only the network's input grows or shrinks: its weights stay.

    Args:
        classifier: the network.
        dataset: the images.
        own: what it says of them at its own resolution.
        options: which images, and how they are read.

    """
    header = classifier.header
    side = header.preprocess.resolution
    measured, left_out = sides(side, header.spec.total_stride)
    passes = {other: own if other == side else _at(classifier, dataset, other, options) for other in measured}
    points = tuple(
        Point(other, cost(header.spec, header.num_classes, other).macs, made)
        for other, made in passes.items()
    )
    return Resolutions(side, points, tuple(left_out))
