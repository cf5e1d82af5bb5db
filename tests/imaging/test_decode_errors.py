"""What cannot be decoded is one kind of error, that names the file and the reason."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from broken import png_header
from effnet.errors import DataError, NotAnImageError, TooManyPixelsError
from effnet.imaging.decode import Bounds, decode


def encoded(kind: str) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.XResolution] = 72.5
    exif[ExifTags.Base.ImageDescription] = "text"
    values = np.random.default_rng(0).integers(0, 256, (12, 9, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(values).save(file, kind, **({} if kind in ("BMP", "GIF", "PPM") else {"exif": exif}))
    return file.getvalue()


UNREADABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty file"),
    "text": (lambda: b"label,name\n1,cat\n", "not an image"),
    "truncated": (lambda: encoded("JPEG")[:-40], "truncated"),
    "half": (lambda: encoded("PNG")[:150], "damaged image"),
    "bomb": (lambda: png_header(60_000, 60_000), "too many pixels, by its header; at most 178,956,970"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_bytes_say_why(name: str) -> None:
    make, reason = UNREADABLE[name]
    with pytest.raises(DataError, match=f"^image: .*{reason}"):
        decode(make())


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_files_are_named(name: str, mode: str, tmp_path: Path) -> None:
    make, reason = UNREADABLE[name]
    path = tmp_path / "Urlaub 1.jpg"
    path.write_bytes(make())
    with pytest.raises(DataError, match=rf"Urlaub 1\.jpg: .*{reason}"):
        decode(path, "RGB" if mode == "RGB" else "L")


@pytest.mark.skipif(sys.platform != "linux", reason="no limit of memory, or no way to ask for its use")
def test_a_bomb_is_refused_in_little_memory(tmp_path: Path) -> None:
    """Its pixels would need 3.6 GB; with libraries loaded, 200 MB more are allowed."""
    (tmp_path / "bomb.png").write_bytes(png_header(60_000, 60_000))
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from effnet.errors import DataError\n"
        "from effnet.imaging.decode import decode\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 200_000_000,) * 2)\n"
        "try:\n"
        "    decode(Path(sys.argv[1]))\n"
        "except DataError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "bomb.png")], capture_output=True, text=True, check=True
    )
    assert "too many pixels" in done.stdout


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cat\.png: no such file"):
        decode(tmp_path / "cat.png")


def test_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "cat.png").mkdir()
    with pytest.raises(DataError, match=r"cat\.png: .*directory"):
        decode(tmp_path / "cat.png")


def test_messages_are_one_line(tmp_path: Path) -> None:
    for make, _ in UNREADABLE.values():
        with pytest.raises(DataError) as caught:
            decode(make())
        assert "\n" not in str(caught.value)


@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM", "TIFF"]),
    missing=st.one_of(st.just(0), st.integers(0, 500)),
    damage=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=4),
)
def test_damaged_files_give_an_image_or_a_data_error(
    kind: str, missing: int, damage: list[tuple[int, int]]
) -> None:
    data = bytearray(encoded(kind))
    for place, value in damage:
        data[place % len(data)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of many kinds of damage before it gives up
        try:
            image = decode(bytes(data[: max(0, len(data) - missing)]))
        except DataError:
            return
    assert image.mode == "RGB"


def test_a_truncated_pillow_image_is_called_by_its_name() -> None:
    file = encoded("PNG")
    with (
        Image.open(BytesIO(file[: len(file) * 2 // 3])) as image,
        pytest.raises(DataError, match=r"^image 3: damaged image: "),
    ):
        decode(image, name="image 3")


def test_fewer_pixels_can_be_allowed() -> None:
    file = encoded("PNG")
    assert decode(file, bounds=Bounds(max_pixels=9 * 12)).mode == "RGB"
    with pytest.raises(TooManyPixelsError, match=r"^image: 9×12 pixels; at most 107 pixels are read: scale"):
        decode(file, bounds=Bounds(max_pixels=107))


def test_other_formats_can_be_excluded() -> None:
    bounds = Bounds(formats=("PNG",))
    assert decode(encoded("PNG"), bounds=bounds).mode == "RGB"
    with pytest.raises(NotAnImageError, match=r"^image: not an image in a format that is read here: PNG$"):
        decode(encoded("JPEG"), bounds=bounds)


def test_a_signalling_nan_is_as_black_as_others() -> None:
    values = np.array([0x7FA00000, 0x3F800000], dtype=np.uint32).view(np.float32).reshape(1, 2)
    file = BytesIO()
    Image.fromarray(values).save(file, "TIFF")
    assert np.asarray(decode(file.getvalue(), "L")).tolist() == [[0, 255]]


def test_a_program_that_draws_is_not_run(tmp_path: Path) -> None:
    """Pillow would start Ghostscript with it, whatever the file is called."""
    disguised = tmp_path / "photo.jpg"
    Image.new("RGB", (8, 8)).save(disguised, format="EPS")
    with Image.open(disguised) as image:
        assert image.format == "EPS"
    with pytest.raises(NotAnImageError, match=r"photo\.jpg: EPS is a program, and is not run"):
        decode(disguised)
