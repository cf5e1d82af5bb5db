"""One small file of each kind of image that people have, for tests of all ways to predict."""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import numpy as np
from PIL import ExifTags, Image


def scene(width: int, height: int) -> Image.Image:
    """Return a picture with colours, edges and a little noise, which is the same every time."""
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    red = 255 * across
    green = 255 * (np.sin(9 * across + 4 * down) > 0)
    blue = 255 * (1 - down)
    noise = np.random.default_rng(width * height).uniform(-20, 20, (height, width, 3))
    return Image.fromarray(np.clip(np.dstack([red, green, blue]) + noise, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def transparent(width: int, height: int) -> Image.Image:
    """Return a picture that fades away to the left."""
    image = scene(width, height)
    fading = np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))
    image.putalpha(Image.fromarray(fading))
    return image


def palette_with_hole(width: int, height: int) -> Image.Image:
    image = scene(width, height).quantize(16)
    image.info["transparency"] = 3
    return image


def wide_greyscale(width: int, height: int) -> Image.Image:
    """Return 16 bits a pixel."""
    grey = np.asarray(scene(width, height).convert("L"), dtype=np.uint16)
    return Image.fromarray(grey * 257)


def animation(form: str) -> bytes:
    """Return a first frame, then others that look different."""
    frames = [scene(40, 30), Image.new("RGB", (40, 30), "red"), Image.new("RGB", (40, 30), "blue")]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=100)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(scene(48, 20), "JPEG", quality=90, exif=exif)


_KINDS: Mapping[str, Callable[[], bytes]] = {
    "photo.jpg": lambda: encoded(scene(61, 47), "JPEG", quality=90),
    "progressive.jpg": lambda: encoded(scene(61, 47), "JPEG", quality=90, progressive=True),
    "grey.jpg": lambda: encoded(scene(40, 40).convert("L"), "JPEG"),
    "cmyk.jpg": lambda: encoded(scene(40, 30).convert("CMYK"), "JPEG"),
    "turned 3.jpg": lambda: turned(3),
    "turned 6.jpg": lambda: turned(6),
    "mirrored 5.jpg": lambda: turned(5),
    "plain.png": lambda: encoded(scene(50, 33), "PNG"),
    "grey.png": lambda: encoded(scene(33, 50).convert("L"), "PNG"),
    "bits.png": lambda: encoded(scene(33, 50).convert("1"), "PNG"),
    "palette.png": lambda: encoded(scene(30, 30).quantize(16), "PNG"),
    "palette, hole.png": lambda: encoded(palette_with_hole(30, 30), "PNG", transparency=3),
    "alpha.png": lambda: encoded(transparent(30, 40), "PNG"),
    "grey, alpha.png": lambda: encoded(transparent(30, 40).convert("LA"), "PNG"),
    "16 bits.png": lambda: encoded(wide_greyscale(30, 40), "PNG"),
    "16 bits.tiff": lambda: encoded(wide_greyscale(30, 40), "TIFF"),
    "odd.png": lambda: encoded(scene(17, 31), "PNG"),
    "one pixel.png": lambda: encoded(scene(1, 1), "PNG"),
    "one pixel wide.png": lambda: encoded(scene(1, 300), "PNG"),
    "one pixel high.jpg": lambda: encoded(scene(300, 1), "JPEG"),
    "large.jpg": lambda: encoded(scene(800, 600), "JPEG", quality=85),
    "plain.webp": lambda: encoded(scene(40, 30), "WEBP", quality=90),
    "animated.webp": lambda: animation("WEBP"),
    "animated.gif": lambda: animation("GIF"),
    "plain.bmp": lambda: encoded(scene(40, 30), "BMP"),
}

IMAGES: Mapping[str, bytes] = {name: make() for name, make in _KINDS.items()}
"""Content by name."""
