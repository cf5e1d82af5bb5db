"""Accuracy at other resolutions than the network was trained for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Unpack

from effnet.data.datasets import DataSet
from effnet.data.pixels import silent
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.opened import Opened, OpenOptions
from effnet.evaluation.robustness.follow import Follow, Part
from effnet.evaluation.robustness.passes import Pass, open_store, run_pass
from effnet.spec.cost import cost

FACTORS = (0.5, 0.625, 0.75, 0.875, 1.0, 1.125, 1.25, 1.5)
"""Of the model's resolution."""

CONDITION = "clean"


@dataclass(frozen=True)
class Point:
    """The network at one resolution."""

    side: int
    """Of the images, in pixels."""
    cells: float
    """Side of the last feature map before it is rounded up: the side divided by the total stride.

    Where it is no whole number, the last cells hang over the border, which may cost accuracy.
    """
    macs: int
    """Of one image."""
    measured: Pass

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"side": self.side, "cells": self.cells, "macs": self.macs, **self.measured.to_dict()}


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
        """The one at the model's own resolution."""
        return next(point for point in self.points if point.side == self.side)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        points = [point.to_dict() for point in self.points]
        return {"side": self.side, "points": points, "below_the_stride": list(self.left_out)}


def sides(resolution: int, total_stride: int) -> tuple[list[int], list[int]]:
    """Return the sides to measure at, the own one among them, and those below the network's total stride."""
    wanted = sorted({round(factor * resolution) for factor in FACTORS})
    measured = [side for side in wanted if side >= total_stride or side == resolution]
    return measured, [side for side in wanted if side not in measured]


def measure_resolutions(
    classifier: Classifier,
    dataset: DataSet,
    own: Pass,
    *,
    follow: Follow,
    **options: Unpack[OpenOptions],
) -> Resolutions:
    """Measure a network at 0.5 to 1.5 times its resolution, never below its total stride.

    Images are read anew for each side, resized from their files as for the model's own; those that are
    smaller in their file are enlarged. Only the input grows or shrinks: the weights stay.

    Args:
        classifier: the network.
        dataset: the images.
        own: what it says of them at its own resolution.
        follow: hears how it goes on.
        options: which images, and how they are read.

    """
    header, own_side = classifier.header, classifier.header.preprocess.resolution
    measured, left_out = sides(own_side, header.spec.total_stride)
    others, made = [side for side in measured if side != own_side], {own_side: own}
    for number, side in enumerate(others):
        part = Part(follow, f"{side}×{side} pixels", number, len(others))
        with classifier.opened(dataset, resolution=side, **options | {"on_measured": part}) as opened:
            made[side] = kept_pass(classifier, opened, own.num_images, options.get("say", silent))
    stride = header.spec.total_stride
    points = tuple(
        Point(side, side / stride, cost(header.spec, header.num_classes, side).macs, made[side])
        for side in sorted(made)
    )
    return Resolutions(own_side, points, tuple(left_out))


def kept_pass(classifier: Classifier, opened: Opened, num_images: int, say: Callable[[str], None]) -> Pass:
    """Measure a network on opened images, unless that was done before."""
    store = open_store(classifier, opened, say)
    found = store.find(CONDITION, num_images)
    if found is None:
        found = run_pass(classifier, opened)
        store.keep(CONDITION, found)
    return found
