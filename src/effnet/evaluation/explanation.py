"""Why a network says what it says: for each image, maps of what speaks for a class."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effnet.device import kept_memory
from effnet.errors import DataError, UsageError, unknown_name
from effnet.evaluation.cam import METHODS, Method
from effnet.evaluation.classifier import Classifier, Prediction
from effnet.evaluation.inputs import ImageLike, read_batches
from effnet.modelfile import ModelHeader

NAMED = 5  # classes in the prediction beside the maps


@dataclass(frozen=True)
class Wish:
    """What to map for each image."""

    maps: int
    """How many classes, the most probable first; of fewer classes all."""
    classes: tuple[str, ...]
    """These classes instead, if any are named."""
    method: Method


@dataclass(frozen=True, eq=False)
class ClassMap:
    """What speaks for a class, place by place."""

    name: str
    probability: float
    values: NDArray[np.float32]
    """`(h, w)`, one for each cell of the last feature maps; as the method gives them."""

    def heat(self, side: int) -> NDArray[np.float64]:
        """Spread the cells over `(side, side)` pixels, from 0 at the lowest to 1 at the highest.

        Between the middles of cells it is interpolated linearly. A map that is the same everywhere is 0.
        """
        low, high = float(self.values.min()), float(self.values.max())
        scaled = (self.values - low) / (high - low) if high > low else np.zeros_like(self.values)
        rows, columns = (_spread(cells, side) for cells in self.values.shape)
        heat: NDArray[np.float64] = rows.T @ scaled @ columns
        return heat

    def peak(self, side: int) -> tuple[int, int]:
        """Return the pixel in the middle of the highest cell, as (x, y), in an image of `side` pixels."""
        y, x = np.unravel_index(int(self.values.argmax()), self.values.shape)
        height, width = self.values.shape
        return int((x + 0.5) * side / width), int((y + 0.5) * side / height)


@dataclass(frozen=True, eq=False)
class Explanation:
    """An image as a network sees it, what the network says of it, and what speaks for that."""

    prediction: Prediction
    pixels: NDArray[np.uint8]
    """`(C, S, S)`, resized and cropped: the network sees nothing else."""
    maps: tuple[ClassMap, ...]
    method: Method
    classifier: Classifier

    @property
    def image(self) -> str:
        """Name of the image, as in a prediction."""
        return self.prediction.image

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `peak` is a pixel [x, y] of the `side`² pixels that the network sees."""
        side = self.pixels.shape[-1]
        maps = [
            {"name": one.name, "probability": one.probability, "peak": list(one.peak(side))}
            for one in self.maps
        ]
        return {**self.prediction.to_dict(), "side": side, "method": self.method, "maps": maps}


def explain(
    classifier: Classifier,
    images: ImageLike | Sequence[ImageLike],
    wish: Wish,
    on_broken: Callable[[DataError], None],
) -> list[Explanation]:
    """Classify images and map what speaks for classes.

    In Python: `effnet.load("model.safetensors").explain(images, classes=["bee"])`.

    Args:
        classifier: the network.
        images: as in `Classifier.predict`.
        wish: which classes, by which method (`cam` or `grad-cam`).
        on_broken: told of each image that cannot be read, which is then left out.

    Raises:
        DataError: as `Classifier.predict`.
        UsageError: an unknown class or method, less than one map, or the network's maps have a single cell.

    """
    chosen = check(classifier.header, wish)
    with kept_memory(classifier.device):
        return [
            explanation
            for names, inputs in read_batches(images, classifier.header.preprocess, on_broken)
            for explanation in _explain_batch(classifier, names, inputs, (wish, chosen))
        ]


def _explain_batch(
    classifier: Classifier, names: list[str], inputs: Tensor, wished: tuple[Wish, list[int]]
) -> Iterator[Explanation]:
    (wish, chosen), header = wished, classifier.header
    probs = classifier.probs(inputs)
    best = probs.argsort(1, descending=True)  # (N, K)
    classes = torch.tensor(chosen).expand(len(inputs), -1) if chosen else best[:, : wish.maps]
    maps = class_maps(classifier, inputs, classes, wish.method)
    pixels = header.preprocess.denormalise(inputs.numpy())
    for row, name in enumerate(names):
        prediction = Prediction(name, _named(header, probs[row], best[row, :NAMED]))
        mapped = zip(_named(header, probs[row], classes[row]), maps[row], strict=True)
        shown = tuple(ClassMap(*named, values) for named, values in mapped)
        yield Explanation(prediction, pixels[row], shown, wish.method, classifier)


def class_maps(
    classifier: Classifier, inputs: Tensor, classes: Tensor, method: Method
) -> NDArray[np.float32]:
    """Map what speaks for `classes (N, k)` in preprocessed `inputs (N, C, S, S)`: `(N, k, h, w)`."""
    device = classifier.device
    maps = METHODS[method](classifier.network, inputs.to(device), classes.to(device))
    return cast(NDArray[np.float32], maps.cpu().numpy())


def single_cell(header: ModelHeader) -> str | None:
    """Say why the maps of a network would show nothing, if they have a single cell."""
    spec, side = header.spec, header.preprocess.resolution
    if side > spec.total_stride:
        return None
    return (
        f"{spec.name} sees {side}×{side} pixels and ends in a single cell, for {spec.total_stride}×"
        f"{spec.total_stride} pixels: a map of it has one colour everywhere"
    )


def check(header: ModelHeader, wish: Wish) -> list[int]:
    """Return the indices of the classes that are named.

    Raises:
        UsageError: as `explain`.

    """
    if wish.method not in METHODS:
        raise unknown_name("method", wish.method, METHODS)
    if wish.maps < 1:
        raise UsageError(f"maps = {wish.maps}: must be at least 1")
    names = header.class_names
    for name in wish.classes:
        if name not in names:
            raise unknown_name("class", name, names)
    problem = single_cell(header)
    if problem is not None:
        raise UsageError(f"{problem}; train with a --resolution above {header.spec.total_stride}")
    return [names.index(name) for name in wish.classes]


def _named(header: ModelHeader, probs: Tensor, classes: Tensor) -> tuple[tuple[str, float], ...]:
    return tuple((header.class_names[index], float(probs[index])) for index in classes.tolist())


def _spread(cells: int, side: int) -> NDArray[np.float64]:
    """Return the share of each cell in each pixel of a row, `(cells, side)`; cells are side / cells wide."""
    middles = (np.arange(cells) + 0.5) * side / cells - 0.5
    pixels = np.arange(side)
    return np.array([np.interp(pixels, middles, one) for one in np.eye(cells)])
