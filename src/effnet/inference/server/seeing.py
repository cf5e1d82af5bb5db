"""From the bytes of an image to what the network sees, and from what it says to an answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import features

from effnet.errors import DataError, NotAnImageError, TooManyPixelsError
from effnet.imaging.decode import Bounds, decode
from effnet.imaging.preprocess import Preprocess
from effnet.inference.prediction import softmax
from effnet.inference.server.bodies import Upload
from effnet.inference.server.live import Served
from effnet.inference.server.maps import MapKind, drawn
from effnet.inference.server.refusals import RefusedError

# What strangers may send. Pillow reads more, among it EPS, for which it starts another program.
_ALWAYS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
FORMATS = (*_ALWAYS, "AVIF") if features.check("avif") else _ALWAYS

MAX_MAPS = 20  # classes of one image whose maps are drawn

STATUSES: Mapping[type[DataError], int] = {NotAnImageError: 415, TooManyPixelsError: 422, DataError: 422}


@dataclass(frozen=True)
class Wanted:
    """What a request asks for."""

    top: int = 5
    maps: MapKind = "none"


@dataclass(frozen=True, eq=False)
class Seen:
    """An image as a network sees it."""

    name: str
    model: Served
    pixels: NDArray[np.uint8]
    """`(C, S, S)`."""
    region: tuple[float, float, float, float]
    """The part of the upright picture that it is: left, top, right, bottom, as shares."""
    wanted: Wanted


def see(upload: Upload, model: Served, max_pixels: int, wanted: Wanted) -> Seen:
    """Decode and preprocess an image, as everywhere in effnet.

    Raises:
        RefusedError: 415, not an image; 422, too many pixels, or damaged.

    """
    preprocess: Preprocess = model.classifier.header.preprocess
    try:
        image = decode(upload.content, preprocess.mode, upload.name, bounds=Bounds(max_pixels, FORMATS))
        pixels = preprocess.pixels(image)
    except DataError as error:
        raise RefusedError(STATUSES[type(error)], str(error)) from None
    return Seen(upload.name, model, pixels, preprocess.region(*image.size), wanted)


@dataclass(frozen=True, eq=False)
class Said:
    """What a network says of an image."""

    best: list[int]
    """The most probable classes, as many as were asked for."""
    probs: NDArray[Any]
    """Of these classes."""
    maps: NDArray[np.float32] | None
    """`(k, h, w)`, if they were asked for."""


def look(images: Sequence[Seen]) -> list[Said]:
    """Compute images of one model together."""
    classifier = images[0].model.classifier
    logits = classifier.logits(np.stack([seen.pixels for seen in images]))
    probs = softmax(logits, classifier.header.temperature)
    return [_said(seen, row) for seen, row in zip(images, probs, strict=True)]


def _said(seen: Seen, probs: NDArray[Any]) -> Said:
    best = np.argsort(-probs, kind="stable")[: seen.wanted.top].tolist()
    wants_maps = seen.wanted.maps != "none"
    maps = seen.model.classifier.maps(seen.pixels[None], best)[0] if wants_maps else None
    return Said(best, probs[best], maps)


def answer(seen: Seen, said: Said) -> dict[str, Any]:
    """Return the answer to an image as plain JSON values."""
    names = seen.model.classifier.header.class_names
    classes: list[dict[str, Any]] = [
        {"name": names[index], "probability": float(probability)}
        for index, probability in zip(said.best, said.probs, strict=True)
    ]
    if said.maps is None:
        return {"image": seen.name, "classes": classes}
    drawings = drawn(said.maps, seen.wanted.maps, seen.pixels.shape[1])
    with_maps = [entry | {"map": drawing} for entry, drawing in zip(classes, drawings, strict=True)]
    return {"image": seen.name, "classes": with_maps, "region": seen.region}
