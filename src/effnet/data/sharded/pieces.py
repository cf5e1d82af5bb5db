"""What of an image goes into a shard: the bytes of its file as they are, or a smaller picture of it."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from effnet.data.packed import MAX_IMAGE_BYTES
from effnet.data.scan import EncodedReader
from effnet.errors import DataError
from effnet.imaging.decode import EXTENSIONS, Mode, decode

FORMATS = {
    "JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tif",
    "AVIF": "avif", "PPM": "ppm",
}  # fmt: skip
"""Extension by Pillow's name of a format: what a file is, not what it is called."""
GREY = ("1", "L")
ROOM = 2  # a photo is decoded at no less than this times the side that it is resized to


@dataclass(frozen=True)
class Smaller:
    """How large photos are made smaller."""

    side: int
    """Pixels of the short side."""
    quality: int
    """Of JPEG, 1 to 95."""


@dataclass(frozen=True)
class Piece:
    """An image as it is stored."""

    content: bytes
    extension: str


def piece_of(read: Callable[[str], Image.Image], name: str, smaller: Smaller | None) -> Piece:
    """Return what is stored of an image.

    Every image is decoded here once, so that what cannot be read is found now and not in a training.

    Raises:
        DataError: it cannot be read; the message names it and the reason.

    """
    if not isinstance(read, EncodedReader):
        image = read(name)
        small = None if smaller is None else shrunk(image, smaller)
        return Piece(encoded(image, "PNG"), "png") if small is None else small
    content = bytes_of(read, name)
    extension, mode, short_side = kind_of(content, name)
    room = 0 if smaller is None or short_side <= smaller.side else ROOM * smaller.side
    image = decode(content, mode, read.called(name), at_least=room)
    small = None if not room or smaller is None else shrunk(image, smaller)
    return Piece(content, extension) if small is None else small


def bytes_of(read: EncodedReader, name: str) -> bytes:
    """Return the bytes of an image's file.

    Raises:
        DataError: it cannot be read, or is larger than is read.

    """
    found = read.content(name)
    if not isinstance(found, Path):
        return found
    called = read.called(name)
    try:
        with found.open("rb") as file:
            content = file.read(MAX_IMAGE_BYTES + 1)
    except FileNotFoundError:
        raise DataError(f"{called}: no such file") from None
    except OSError as error:
        raise DataError(f"{called}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_IMAGE_BYTES:
        raise DataError(f"{called}: more than {MAX_IMAGE_BYTES:,} bytes; larger files are not read")
    return content


def kind_of(content: bytes, name: str) -> tuple[str, Mode, int]:
    """Return extension, mode and pixels of the short side, by the header; decoding says what is wrong."""
    try:
        with Image.open(BytesIO(content)) as image:
            suffix = name[name.rfind(".") :].lower()
            own = suffix[1:] if suffix in EXTENSIONS else "png"
            extension = FORMATS.get(image.format or "", own)
            return extension, "L" if image.mode in GREY else "RGB", min(image.size)
    except Exception:  # whatever it is, `decode` meets it too and words it
        return "png", "RGB", 0


def shrunk(image: Image.Image, smaller: Smaller) -> Piece | None:
    """Return an image with that short side, as JPEG; None where it is no larger."""
    short = min(image.size)
    if short <= smaller.side:
        return None
    size = tuple(max(1, round(side * smaller.side / short)) for side in image.size)
    resized = image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    return Piece(encoded(resized, "JPEG", quality=smaller.quality), "jpg")


def encoded(image: Image.Image, form: str, **options: int) -> bytes:
    """Return the bytes of an image's file, the same for the same pixels."""
    file = BytesIO()
    Image.fromarray(np.asarray(image)).save(file, form, **options)  # no EXIF, no profile, no text
    return file.getvalue()
