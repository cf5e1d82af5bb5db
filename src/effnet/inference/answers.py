"""From images to predictions, batch by batch, whatever computes them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from effnet.errors import DataError
from effnet.imaging.decode import decode
from effnet.imaging.preprocess import Preprocess
from effnet.inference.inputs import ImageLike
from effnet.inference.prediction import Prediction, top_classes
from effnet.inference.urls import Url
from effnet.modelfile import ModelHeader

T = TypeVar("T")

Pixels = NDArray[np.uint8]
"""Images `(N, C, S, S)`, of which `Preprocess.pixels` gives each."""


class Model(Protocol):
    """A network that tells probabilities, whatever computes it; threads may share it."""

    header: ModelHeader
    batch_size: int
    """How many images it computes best at a time."""

    def computing(self) -> AbstractContextManager[None]:
        """Hold what makes many batches faster, around them."""

    def probs(self, pixels: Pixels) -> NDArray[np.float32]:
        """Map `pixels (N, C, S, S)` uint8 to `probs (N, K)`, calibrated where the model is."""


def predict(
    model: Model,
    named: Iterable[tuple[str, ImageLike]],
    *,
    top: int,
    on_broken: Callable[[DataError], None],
) -> Iterator[Prediction]:
    """Yield the prediction of each image, given with its name; `on_broken` is told of what cannot be read."""
    for batch in batches(named, model.batch_size):
        yield from predict_batch(model, batch, top=top, on_broken=on_broken)


def predict_batch(
    model: Model,
    named: Sequence[tuple[str, ImageLike | Url]],
    *,
    top: int,
    on_broken: Callable[[DataError], None],
) -> list[Prediction]:
    """Return the predictions of the readable ones of a few images; see `predict`."""
    names, pixels = [], []
    for name, image in named:
        try:
            pixels.append(read_pixels(model.header.preprocess, image, name))
            names.append(name)
        except DataError as error:
            on_broken(error)
    if not pixels:
        return []
    probs, known = model.probs(np.stack(pixels)), model.header.class_names
    return [Prediction(name, top_classes(row, known, top)) for name, row in zip(names, probs, strict=True)]


def read_pixels(preprocess: Preprocess, image: ImageLike | Url | bytes, name: str) -> Pixels:
    """Decode an image, or the bytes of its file, for a network: `(C, S, S)`; messages call it by `name`.

    Raises:
        DataError: it cannot be read.

    """
    if isinstance(image, Url):
        image = image.read()
    source = Path(image) if isinstance(image, str) else image
    return preprocess.pixels(decode(source, preprocess.mode, name))


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items as lists of `size`, the last one shorter."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
