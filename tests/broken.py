"""Files that cannot be read as images, for the tests of all that reads images."""

import zlib
from io import BytesIO

import numpy as np
from PIL import Image


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and holds one row of nothing."""
    sizes = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 0, 0, 0, 0])
    rows = chunk(b"IDAT", zlib.compress(bytes(width + 1))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", sizes) + rows


def truncated_jpeg() -> bytes:
    file = BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()[:-200]


BROKEN = {
    "empty.png": (b"", "empty file"),
    "cut.jpg": (truncated_jpeg(), "damaged image: image file is truncated"),
    "bomb.png": (
        png_header(60_000, 60_000),
        "too many pixels, by its header; at most 178,956,970 pixels are",
    ),
    "large.png": (png_header(12_000, 12_000)[:-20], "damaged image: image file is truncated"),
    "text.jpg": (b"label,name\n1,cat\n", "not an image in a format that Pillow reads"),
}
"""Content and reason by name; Pillow warns of the size of `large.png`, before it finds the file cut off."""
