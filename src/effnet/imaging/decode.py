"""Decode an image file into RGB or greyscale pixels, whatever mode it was stored in."""

from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from effnet.errors import DataError

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
MAX_PIXELS = 178_956_970  # Pillow's own limit against decompression bombs: 179 megapixels

Mode = Literal["RGB", "L"]


def decode(source: Path | bytes, mode: Mode = "RGB") -> Image.Image:
    """Decode an image, turn it upright (EXIF) and convert it to RGB or greyscale.

    Transparent pixels are laid over white; 16-bit greyscale is scaled to 8 bits, not cut off; of an
    animation the first frame is taken.

    Raises:
        DataError: not an image, truncated, too large, or missing; the message names the file and the reason.

    """
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(
                    f"{_name(source)}: {image.width}×{image.height} pixels are more than {MAX_PIXELS:,}"
                )
            return to_mode(ImageOps.exif_transpose(image), mode)
    except FileNotFoundError:
        raise DataError(f"{_name(source)}: no such file") from None
    except UnidentifiedImageError:
        raise DataError(f"{_name(source)}: {_not_an_image(source)}") from None
    except Image.DecompressionBombError:
        raise DataError(f"{_name(source)}: more than {MAX_PIXELS:,} pixels") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{_name(source)}: damaged image: {error}") from error


def to_mode(image: Image.Image, mode: Mode) -> Image.Image:
    """Convert any Pillow mode to RGB or greyscale without losing range or transparency."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _from_wide(image).convert(mode)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert(mode)
    return image.convert(mode)


def _from_wide(image: Image.Image) -> Image.Image:
    """Scale 16-bit (or 32-bit integer, or float) greyscale to 8 bits.

    Integer files hold 16 bits of range; float files hold 0 to 1, or 0 to 255 when they exceed 1.
    """
    values = np.asarray(image, dtype=np.float64)
    if image.mode == "F":
        values = values * (255.0 if values.max(initial=0.0) <= 1.0 else 1.0)
    else:
        values = values * (255.0 / 65535.0)
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _name(source: Path | bytes) -> str:
    return "image" if isinstance(source, bytes) else str(source)


def _not_an_image(source: Path | bytes) -> str:
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    return "empty file" if size == 0 else "not an image in a format that Pillow reads"
