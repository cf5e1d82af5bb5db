"""Decode an image file into RGB or greyscale pixels, whatever mode it was stored in."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from effnet.errors import DataError, NotAnImageError, TooManyPixelsError

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
)
MAX_PIXELS = 178_956_970  # Pillow's own limit against decompression bombs: 179 megapixels
PIECE = 1 << 20
"""Pixels that are converted at a time where that takes more memory than the picture: 64 megapixels of 16 bits
took 2.4 GB at once."""

Mode = Literal["RGB", "L"]


@dataclass(frozen=True)
class Bounds:
    """What is decoded at all; narrower where images come from strangers."""

    max_pixels: int = MAX_PIXELS
    """Width times height, by the header; no more than Pillow's own limit."""
    formats: tuple[str, ...] | None = None
    """Formats by Pillow's names; every one that it reads when None."""

    @property
    def rule(self) -> str:
        """What to do about an image with more pixels."""
        return f"at most {self.max_pixels:,} pixels are read: scale the image down, or remove it"


ANYTHING = Bounds()

# What makes the stored picture upright, by the value of the EXIF tag; 1 is upright already.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(
    source: Path | bytes | Image.Image,
    mode: Mode = "RGB",
    name: str | None = None,
    *,
    bounds: Bounds = ANYTHING,
    at_least: int = 0,
) -> Image.Image:
    """Decode an image, turn it upright (EXIF) and convert it to RGB or greyscale.

    Transparent pixels are laid over white; 16-bit greyscale is scaled to 8 bits, not cut off; of an
    animation the first frame is taken. A Pillow image is treated as its file would be, at the frame where
    it stands, and left open; messages call an image by `name`, if it is given.

    Raises:
        DataError: not an image, truncated, too large, or missing; the message names the file and the reason.

    """
    called = name or (str(source) if isinstance(source, Path) else "image")
    try:
        if isinstance(source, Image.Image):
            return _finished(source, mode, bounds)
        with Image.open(
            BytesIO(source) if isinstance(source, bytes) else source, formats=bounds.formats
        ) as image:
            if image.format == "EPS":  # whatever the file is called, Pillow lets Ghostscript run what it says
                raise NotAnImageError(f"{called}: EPS is a program, and is not run; save it as PNG")
            return _finished(image, mode, bounds, at_least)
    except NotAnImageError:
        raise
    except FileNotFoundError:
        raise DataError(f"{called}: no such file") from None
    except UnidentifiedImageError:
        raise NotAnImageError(f"{called}: {_not_an_image(source, bounds)}") from None
    except Image.DecompressionBombError:
        raise TooManyPixelsError(f"{called}: too many pixels, by its header; {bounds.rule}") from None
    except TooManyPixelsError as error:
        raise TooManyPixelsError(f"{called}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # in a damaged file Pillow meets TypeError, struct.error, RuntimeError, …
        raise DataError(f"{called}: damaged image: {error}") from error


def _finished(image: Image.Image, mode: Mode, bounds: Bounds, at_least: int = 0) -> Image.Image:
    if image.width * image.height > bounds.max_pixels:
        raise TooManyPixelsError(f"{image.width}×{image.height} pixels; {bounds.rule}")
    if at_least:
        image.draft(None, (at_least, at_least))  # does nothing where the format is not JPEG
    return to_mode(_upright(image), mode)


def _upright(image: Image.Image) -> Image.Image:
    """Turn by the EXIF orientation alone.

    Pillow's `exif_transpose` also rewrites the other tags, and fails where one of them is damaged.
    """
    image.load()  # turns a TIFF already, and takes the tag away
    turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    if turn is None:
        return image
    upright = image.transpose(turn)
    for tag in ("exif", "xmp", "XML:com.adobe.xmp"):  # a saved copy must not be turned again
        upright.info.pop(tag, None)
    return upright


def to_mode(image: Image.Image, mode: Mode) -> Image.Image:
    """Convert any Pillow mode to RGB or greyscale without losing range or transparency."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _from_wide(image).convert(mode)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _over_white(image, mode)
    return image.convert(mode)


def _over_white(image: Image.Image, mode: Mode) -> Image.Image:
    """Lay transparent pixels over white."""
    laid = Image.new(mode, image.size)
    for box in _pieces(*image.size):
        rgba = image.crop(box).convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        laid.paste(Image.alpha_composite(white, rgba).convert(mode), box)
    return laid


def _pieces(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Divide a picture into boxes of at most `PIECE` pixels: left, top, right, bottom."""
    wide = min(width, PIECE)
    high = max(1, PIECE // max(1, wide))
    for top in range(0, height, high):
        for left in range(0, width, max(1, wide)):
            yield left, top, min(left + wide, width), min(top + high, height)


def _from_wide(image: Image.Image) -> Image.Image:
    """Scale 16-bit (or 32-bit integer, or float) greyscale to 8 bits.

    Integer files hold 16 bits of range; float files hold 0 to 1, or 0 to 255 when they exceed 1.
    """
    stored = np.asarray(image)
    flat = stored.reshape(-1)
    pieces = [slice(start, start + PIECE) for start in range(0, flat.size, PIECE)]
    factor = 255.0 / 65535.0
    if image.mode == "F":
        factor = 255.0 if all(_finite(flat[piece]).max(initial=0.0) <= 1.0 for piece in pieces) else 1.0
    narrow = np.empty(flat.shape, dtype=np.uint8)
    for piece in pieces:
        narrow[piece] = np.clip(np.rint(_finite(flat[piece]) * factor), 0, 255)
    return Image.fromarray(narrow.reshape(stored.shape))


def _finite(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return values as numbers that can be counted with."""
    with np.errstate(invalid="ignore"):  # a signalling NaN is one that numpy warns of
        wide = values.astype(np.float64)
    return np.nan_to_num(wide, nan=0.0, posinf=1.0, neginf=0.0)


def _not_an_image(source: Path | bytes | Image.Image, bounds: Bounds) -> str:
    if source == b"" or (isinstance(source, Path) and source.stat().st_size == 0):
        return "empty file"
    if bounds.formats is None:
        return "not an image in a format that Pillow reads"
    return f"not an image in a format that is read here: {', '.join(bounds.formats)}"
