"""Every stored mode becomes RGB or greyscale pixels that look the same."""

import tracemalloc
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from effnet.imaging import decode as decoding
from effnet.imaging.decode import Mode, decode, to_mode

MODES: tuple[Mode, ...] = ("RGB", "L")
LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "BMP": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "PPM": {},
}

both_modes = pytest.mark.parametrize("mode", MODES)


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(image: Image.Image) -> NDArray[np.int64]:
    return np.asarray(image).astype(np.int64)


def noise(width: int = 9, height: int = 7) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def gradient(side: int = 32) -> Image.Image:
    """Red rises to the right, green downwards; smooth, so that lossy formats keep it."""
    rows, columns = np.mgrid[0:side, 0:side] * (255 / (side - 1))
    return Image.fromarray(np.stack([columns, rows, np.full_like(rows, 100.0)], axis=2).astype(np.uint8))


def plain(colour: int | tuple[int, ...], mode: str) -> Image.Image:
    return Image.new(mode, (4, 3), colour)


@both_modes
@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_give_the_stored_pixels(kind: str, mode: Mode) -> None:
    image = noise()
    decoded = decode(encode(image, kind, **LOSSLESS[kind]), mode)
    assert decoded.mode == mode
    assert np.array_equal(pixels(decoded), pixels(image.convert(mode)))


@both_modes
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_come_close(kind: str, mode: Mode) -> None:
    image = gradient()
    decoded = decode(encode(image, kind, quality=95), mode)
    assert decoded.mode == mode
    assert np.abs(pixels(decoded) - pixels(image.convert(mode))).mean() < 3


@both_modes
def test_a_path_gives_the_same_as_its_bytes(tmp_path: Path, mode: Mode) -> None:
    path = tmp_path / "Käfer 1.PNG"
    path.write_bytes(encode(noise()))
    assert np.array_equal(pixels(decode(path, mode)), pixels(decode(path.read_bytes(), mode)))


def test_rgb_is_the_default() -> None:
    assert decode(encode(noise().convert("L"))).mode == "RGB"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    frames = [plain(colour, "RGB") for colour in ((255, 0, 0), (0, 0, 255), (0, 255, 0))]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    with Image.open(BytesIO(data)) as animation:
        assert getattr(animation, "n_frames", 1) == 3
    assert np.abs(pixels(decode(data)) - (255, 0, 0)).max() <= 4  # lossy WebP


def test_grey_pixels_fill_three_equal_channels() -> None:
    grey = noise().convert("L")
    decoded = pixels(decode(encode(grey)))
    assert np.array_equal(decoded, np.repeat(pixels(grey)[:, :, None], 3, axis=2))


@both_modes
@pytest.mark.parametrize("stored", ["L", "P", "1", "CMYK", "LA", "RGBA"])
def test_grey_input_stays_grey_through_every_mode(stored: str, mode: Mode) -> None:
    values = np.array([[0, 255], [255, 0]], dtype=np.uint8)
    kind = "TIFF" if stored == "CMYK" else "PNG"
    decoded = pixels(decode(encode(Image.fromarray(values).convert("RGB").convert(stored), kind), mode))
    assert np.array_equal(decoded.reshape(2, 2, -1)[:, :, 0], values)


@both_modes
def test_palette_colours_are_looked_up(mode: Mode) -> None:
    image = gradient().quantize(16)
    assert np.array_equal(pixels(decode(encode(image), mode)), pixels(image.convert("RGB").convert(mode)))


@both_modes
@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_transparent_palette_entry_is_white(kind: str, mode: Mode) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putdata([0, 1])
    data = encode(image, kind, transparency=0)
    expected = [[255, 255, 255], [10, 20, 30]] if mode == "RGB" else [255, 18]
    assert pixels(decode(data, mode))[0].tolist() == expected


@both_modes
def test_transparent_pixels_are_white_whatever_colour_they_hide(mode: Mode) -> None:
    assert (pixels(decode(encode(plain((200, 0, 0, 0), "RGBA")), mode)) == 255).all()


@both_modes
@pytest.mark.parametrize(("stored", "colour"), [("RGBA", (0, 0, 0, 128)), ("LA", (0, 128))])
def test_half_transparent_black_is_grey(stored: str, colour: tuple[int, ...], mode: Mode) -> None:
    assert (pixels(decode(encode(plain(colour, stored)), mode)) == 127).all()


@both_modes
def test_opaque_pixels_keep_their_colour(mode: Mode) -> None:
    image = noise()
    with_alpha = image.copy()
    with_alpha.putalpha(255)
    assert np.array_equal(pixels(decode(encode(with_alpha), mode)), pixels(image.convert(mode)))


@both_modes
def test_colour_key_transparency_is_white(mode: Mode) -> None:
    data = encode(plain((1, 2, 3), "RGB"), transparency=(1, 2, 3))
    assert (pixels(decode(data, mode)) == 255).all()


@both_modes
def test_cmyk_jpeg_shows_its_colours_and_not_their_negative(mode: Mode) -> None:
    image = gradient()
    decoded = decode(encode(image.convert("CMYK"), "JPEG", quality=95), mode)
    assert np.abs(pixels(decoded) - pixels(image.convert(mode))).mean() < 4


@both_modes
def test_16_bit_values_are_scaled_and_not_cut_off(mode: Mode) -> None:
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    decoded = pixels(decode(encode(Image.fromarray(levels * 257)), mode))
    assert np.array_equal(decoded.reshape(16, 16, -1)[:, :, 0], levels)


@pytest.mark.parametrize("maximum", [1.0, 255.0])
def test_float_images_are_scaled_by_their_range(maximum: float) -> None:
    shares = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    decoded = decode(encode(Image.fromarray(shares * np.float32(maximum)), "TIFF"), "L")
    assert np.array_equal(pixels(decoded).ravel(), np.arange(256))


def test_missing_values_of_a_float_image_are_black() -> None:
    values = np.array([[np.nan, 0.5], [1.0, np.inf]], dtype=np.float32)
    assert pixels(decode(encode(Image.fromarray(values), "TIFF"), "L")).tolist() == [[0, 128], [255, 255]]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_grey_from_the_file_equals_grey_from_rgb(kind: str) -> None:
    data = encode(gradient(), kind)
    assert np.array_equal(pixels(decode(data, "L")), pixels(decode(data, "RGB").convert("L")))


def wide(dtype: str, size: tuple[int, int], top: float = 65535.0) -> Image.Image:
    values = np.random.default_rng(0).random(size[::-1]) * top
    return Image.fromarray(values.astype(dtype))


def transparent(size: tuple[int, int], mode: str) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (*size[::-1], len(mode)), dtype=np.uint8)
    return Image.fromarray(values)


@both_modes
@pytest.mark.parametrize("size", [(40, 30), (1, 900), (900, 1), (1, 1)])
def test_large_pictures_are_converted_in_pieces_with_the_same_result(
    size: tuple[int, int], mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [transparent(size, "RGBA"), transparent(size, "LA"), wide("uint16", size), wide("int32", size)]
    images += [wide("float32", size, 1.0), wide("float32", size, 255.0)]
    whole = [pixels(to_mode(image, mode)) for image in images]
    monkeypatch.setattr(decoding, "PIECE", 77)
    for image, expected in zip(images, whole, strict=True):
        assert np.array_equal(pixels(to_mode(image, mode)), expected)


def test_a_picture_of_16_bits_takes_little_more_memory_than_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "PIECE", 1 << 16)
    image = wide("uint16", (1500, 1000))
    tracemalloc.start()
    try:
        to_mode(image, "RGB")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10 * 1500 * 1000  # bytes; 24 a pixel in one piece
