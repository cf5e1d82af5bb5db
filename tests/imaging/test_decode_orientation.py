"""Photos are turned upright by their EXIF tag, whatever else the EXIF data holds."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from effnet.imaging.decode import Mode, decode

Pixels = NDArray[np.uint8]

# EXIF 2.3, tag 0x0112: which visual side the first row and the first column are.
UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda stored: stored,  # top, left
    2: lambda stored: stored[:, ::-1],  # top, right
    3: lambda stored: stored[::-1, ::-1],  # bottom, right
    4: lambda stored: stored[::-1],  # bottom, left
    5: lambda stored: stored.swapaxes(0, 1),  # left, top
    6: lambda stored: np.rot90(stored, -1),  # right, top
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda stored: np.rot90(stored, 1),  # left, bottom
}
LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}


def photo(stored: Pixels, orientation: int, kind: str = "PNG", **options: Any) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = BytesIO()
    Image.fromarray(stored).save(file, kind, exif=exif, **options)
    return file.getvalue()


def noise() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_every_orientation_is_undone(orientation: int, kind: str) -> None:
    decoded = decode(photo(noise(), orientation, kind, **LOSSLESS[kind]))
    assert np.array_equal(np.asarray(decoded), UPRIGHT[orientation](noise()))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_is_undone_in_both_modes(mode: Mode) -> None:
    stored = np.zeros((16, 32, 3), dtype=np.uint8)
    stored[:, :16] = 255  # white on the left, which orientation 6 shows at the top
    decoded = np.asarray(decode(photo(stored, 6, "JPEG"), mode))
    assert decoded.shape[:2] == (32, 16)
    assert decoded[:12].min() > 200
    assert decoded[-12:].max() < 50


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_undefined_orientation_changes_nothing(orientation: int) -> None:
    assert np.array_equal(np.asarray(decode(photo(noise(), orientation))), noise())


def test_a_saved_copy_is_not_turned_again() -> None:
    upright = decode(photo(noise(), 6))
    file = BytesIO()
    upright.save(file, "PNG", exif=upright.info.get("exif", b""))
    assert np.array_equal(np.asarray(decode(file.getvalue())), np.asarray(upright))


def test_damage_in_another_tag_does_not_hurt_the_picture() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    exif[ExifTags.Base.XResolution] = 72.5
    file = BytesIO()
    Image.fromarray(noise()).save(file, "WEBP", lossless=True, exif=exif)
    fraction, text = bytes.fromhex("011a 0005"), bytes.fromhex("011a 0002")  # tag 282 and its type
    damaged = file.getvalue().replace(fraction, text)
    assert damaged != file.getvalue()
    assert np.array_equal(np.asarray(decode(damaged)), noise()[::-1, ::-1])


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_pillow_image_is_turned_as_its_file_and_left_as_it_was(orientation: int) -> None:
    file = photo(noise(), orientation)
    with Image.open(BytesIO(file)) as image:
        assert np.array_equal(np.asarray(decode(image)), np.asarray(decode(file)))
        assert np.array_equal(np.asarray(image), noise())


def test_an_upright_image_is_not_turned_again() -> None:
    upright = decode(photo(noise(), 6))
    assert np.array_equal(np.asarray(decode(upright)), np.asarray(upright))
