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
from effnet.inference.prediction import Prediction, softmax, top_classes
from effnet.inference.server.bodies import Upload
from effnet.inference.server.live import Served
from effnet.inference.server.maps import MapKind, drawn
from effnet.inference.server.refusals import RefusedError

# What strangers may send. Pillow reads more, among it EPS, for which it starts another program.
_ALWAYS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
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

    probs: NDArray[np.float32]
    """`(K,)`."""
    features: NDArray[np.float32] | None
    """`(F, h, w)`, if maps were asked for."""


def look(images: Sequence[Seen]) -> list[Said]:
    """Compute images of one model together."""
    classifier = images[0].model.classifier
    pixels = np.stack([seen.pixels for seen in images])
    temperature = classifier.header.temperature
    if all(seen.wanted.maps == "none" for seen in images):
        return [Said(probs, None) for probs in softmax(classifier.logits(pixels), temperature)]
    logits, features = classifier.logits_and_features(pixels)
    return [Said(*pair) for pair in zip(softmax(logits, temperature), features, strict=True)]


def answer(seen: Seen, said: Said) -> dict[str, Any]:
    """Return the answer to an image as plain JSON values."""
    classifier, wanted = seen.model.classifier, seen.wanted
    prediction = Prediction(seen.name, top_classes(said.probs, classifier.header.class_names, wanted.top))
    given = prediction.to_dict()
    if wanted.maps == "none" or said.features is None:
        return given
    best = np.argsort(-said.probs, kind="stable")[: wanted.top].tolist()
    drawings = drawn(classifier.maps_of(said.features[None], best)[0], wanted.maps, seen.pixels.shape[1])
    classes = [entry | {"map": drawing} for entry, drawing in zip(given["classes"], drawings, strict=True)]
    return given | {"classes": classes, "region": seen.region}
