"""Decoded images on the disk: used again while the files are the same, rebuilt when anything is wrong."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from effnet.config import DataConfig
from effnet.data.cache import HEADER, STAMP_BYTES, DecodedCache, Limits
from effnet.data.datasets import Samples, open_dataset
from effnet.data.pixels import PixelFormat, Pixels, PixelSource, Reading, read_pixels
from effnet.data.storage import open_pixels
from effnet.imaging.preprocess import Preprocess

FORM = PixelFormat(Preprocess(4), 4)
IMAGE_BYTES = 3 * 4 * 4
FEW = Limits(min_images=2)


def save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(12):
        save(tmp_path / "data" / "ab"[index % 2] / f"{index:02d}.png", index)
    return tmp_path / "data"


class Shelf:
    """A cache of one folder, what it said, and a reading through it."""

    def __init__(self, folder: Path, limits: Limits = FEW) -> None:
        self.said: list[str] = []
        self.cache = DecodedCache(folder, self.said.append, limits)

    def read(self, samples: Samples, max_broken: float = 0.0) -> Pixels:
        self.said.clear()
        return read_pixels(samples, FORM, max_broken=max_broken, cache=self.cache)

    def files(self) -> list[Path]:
        assert self.cache.folder is not None
        return sorted(self.cache.folder.glob("*"))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "cache" / "decoded" / "this")


def samples_of(folder: Path) -> Samples:
    return open_dataset(folder).parts["all"]


def fresh(folder: Path) -> torch.Tensor:
    return read_pixels(samples_of(folder), FORM, max_broken=0.0).images


def hidden(folder: Path) -> None:
    """Overwrite every file with something that no decoder reads; size and time stay as they were."""
    for path in folder.rglob("*.png"):
        stamp = path.stat()
        path.write_bytes(bytes(stamp.st_size))
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def test_a_second_reading_decodes_nothing(folder: Path, shelf: Shelf) -> None:
    first = shelf.read(samples_of(folder))
    assert shelf.said[0].startswith("kept 12 decoded images for the next start (0.00 GB in ")
    hidden(folder)
    second = shelf.read(samples_of(folder))
    assert shelf.said == ["read 12 decoded images from the cache"]
    assert torch.equal(first.images, second.images)
    assert (first.labels.tolist(), first.names) == (second.labels.tolist(), second.names)


def test_another_split_finds_its_images_too(folder: Path, shelf: Shelf) -> None:
    samples, images = samples_of(folder), fresh(folder)
    shelf.read(samples.take(np.array([0, 1, 2, 3, 4, 5, 6, 7])))
    shelf.read(samples.take(np.array([8, 9, 10, 11])))
    hidden(folder)
    mixed = np.array([11, 2, 7, 9, 0])
    assert torch.equal(shelf.read(samples.take(mixed)).images, images[mixed])
    assert shelf.said == ["read 5 decoded images from the cache"]


def test_large_images_are_read_in_several_pieces(folder: Path, shelf: Shelf) -> None:
    form = PixelFormat(Preprocess(300), 300)
    first = read_pixels(samples_of(folder), form, max_broken=0.0, cache=shelf.cache)
    hidden(folder)
    order = np.array([7, 1, 11, 0, 4])
    second = read_pixels(samples_of(folder).take(order), form, max_broken=0.0, cache=shelf.cache)
    assert torch.equal(second.images, first.images[order])


def test_a_changed_file_is_decoded_again_and_the_others_are_not(folder: Path, shelf: Shelf) -> None:
    """Name and size are the same, as always without compression: the time tells."""
    victim = folder / "a" / "04.bmp"
    Image.new("RGB", (4, 4), "red").save(victim)
    shelf.read(samples_of(folder))
    stamp = victim.stat()
    hidden(folder)
    Image.new("RGB", (4, 4), "blue").save(victim)
    os.utime(victim, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    assert victim.stat().st_size == stamp.st_size
    pixels = shelf.read(samples_of(folder))
    assert shelf.said == ["read 12 decoded images from the cache"]
    assert pixels.images[pixels.names.index("a/04.bmp")].float().mean((1, 2)).tolist() == [0, 0, 255]


def test_a_file_of_another_size_is_decoded_again(folder: Path, shelf: Shelf) -> None:
    shelf.read(samples_of(folder))
    victim = folder / "a" / "04.png"
    stamp = victim.stat()
    Image.new("RGB", (4, 4), "blue").save(victim)
    os.utime(victim, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    shelf.read(samples_of(folder))
    assert shelf.said == ["read 11 decoded images from the cache"]


def test_a_file_that_moved_to_another_class_is_decoded_again(folder: Path, shelf: Shelf) -> None:
    shelf.read(samples_of(folder))
    (folder / "a" / "04.png").rename(folder / "b" / "04.png")
    shelf.read(samples_of(folder))
    assert shelf.said == ["read 11 decoded images from the cache"]


def test_broken_images_are_named_at_every_start(folder: Path, shelf: Shelf) -> None:
    (folder / "a" / "04.png").write_text("not an image")
    first = shelf.read(samples_of(folder), max_broken=0.1)
    second = shelf.read(samples_of(folder), max_broken=0.1)
    assert shelf.said == ["read 11 decoded images from the cache"]
    assert (
        first.broken
        == second.broken
        == (f"{folder / 'a' / '04.png'}: not an image in a format that Pillow reads",)
    )
    assert torch.equal(first.images, second.images)


NAMES = HEADER.size + 12 * STAMP_BYTES


@pytest.mark.parametrize("place", [8, HEADER.size + 3, NAMES + 2, NAMES + 12 * len("a/00.png ") + 5, -1])
def test_a_damaged_file_is_named_and_rebuilt(folder: Path, shelf: Shelf, place: int) -> None:
    """One bit is turned over: in the checksum, a size, a name, the first image, the last."""
    shelf.read(samples_of(folder))
    (path,) = shelf.files()
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert torch.equal(shelf.read(samples_of(folder)).images, fresh(folder))
    assert shelf.said[0] == f"warning: {path} is unusable (checksum); its images are decoded again"
    assert shelf.said[1].startswith("kept 12")
    shelf.read(samples_of(folder))
    assert shelf.said == ["read 12 decoded images from the cache"]


@pytest.mark.parametrize(
    ("size", "reason"), [(0, "not of this cache"), (HEADER.size - 1, "not of this cache"), (700, "cut off")]
)
def test_a_truncated_file_is_named_and_rebuilt(folder: Path, shelf: Shelf, size: int, reason: str) -> None:
    shelf.read(samples_of(folder))
    (path,) = shelf.files()
    os.truncate(path, size)
    assert torch.equal(shelf.read(samples_of(folder)).images, fresh(folder))
    assert shelf.said[0] == f"warning: {path} is unusable ({reason}); its images are decoded again"
    assert shelf.files() == [path]


def test_a_file_of_another_program_is_left_out(folder: Path, shelf: Shelf) -> None:
    shelf.read(samples_of(folder))
    (path,) = shelf.files()
    path.write_bytes(b"somebody's notes" * 100)
    assert torch.equal(shelf.read(samples_of(folder)).images, fresh(folder))
    assert "(not of this cache)" in shelf.said[0]


def test_a_folder_that_cannot_be_written_to_is_said_and_no_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    shelf = Shelf(tmp_path / "file" / "decoded" / "this")
    assert torch.equal(shelf.read(samples_of(folder)).images, fresh(folder))
    (line,) = shelf.said
    assert line.startswith("warning: decoded images are not kept for the next start: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_cache_is_still_read(folder: Path, shelf: Shelf) -> None:
    shelf.read(samples_of(folder))
    (path,) = shelf.files()
    path.chmod(0o400)
    path.parent.chmod(0o500)
    shelf.read(samples_of(folder))
    assert shelf.said == ["read 12 decoded images from the cache"]
    path.parent.chmod(0o700)


def test_a_full_disk_is_said_and_leaves_nothing(folder: Path, shelf: Shelf) -> None:
    shelf = Shelf(shelf.cache.folder or folder, Limits(min_images=2, disk_share=0.0))
    shelf.read(samples_of(folder))
    (line,) = shelf.said
    assert line.startswith("warning: decoded images are not kept for the next start: they need 0.0 GB, and ")
    assert shelf.files() == []


@pytest.mark.parametrize(
    "limits", [Limits(min_images=13), Limits(min_images=2, max_file_bytes=12 * IMAGE_BYTES - 1)]
)
def test_what_does_not_pay_is_not_kept(folder: Path, shelf: Shelf, limits: Limits) -> None:
    shelf = Shelf(shelf.cache.folder or folder, limits)
    shelf.read(samples_of(folder))
    assert (shelf.said, shelf.files()) == ([], [])


def test_what_was_not_used_for_longest_is_removed(folder: Path, tmp_path: Path) -> None:
    """Three parts of four images, of which two fit; the first was used after the second."""
    size = HEADER.size + 4 * (STAMP_BYTES + len("a/00.png ") + IMAGE_BYTES)
    samples = samples_of(folder)
    shelves = [Shelf(tmp_path / "decoded" / name, Limits(2, max_bytes=2 * size)) for name in "abc"]
    parts = [samples.take(np.arange(first, first + 4)) for first in (0, 4, 8)]
    for turn in (0, 1, 0, 2):
        shelves[turn].read(parts[turn])
        for shelf in shelves:
            for path in shelf.files():  # an hour passes: file systems may count in seconds
                stamp = path.stat()
                os.utime(path, ns=(0, stamp.st_mtime_ns - 3600 * 10**9))
    assert [len(shelf.files()) for shelf in shelves] == [1, 0, 1]


def test_two_runs_that_write_at_once_do_not_disturb_each_other(folder: Path, tmp_path: Path) -> None:
    shelves = [Shelf(tmp_path / "decoded" / "this") for _ in range(8)]
    expected = fresh(folder)
    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda shelf: shelf.read(samples_of(folder)), shelves))
        assert all(torch.equal(pixels.images, expected) for pixels in found)
        assert not any("warning" in line for shelf in shelves for line in shelf.said)
        (path,) = shelves[0].files()
        path.unlink()


def test_a_file_that_is_being_written_is_not_touched(folder: Path, shelf: Shelf) -> None:
    shelf.read(samples_of(folder))
    (path,) = shelf.files()
    unfinished = path.with_name(f".{path.name}.x7.pixels")
    unfinished.write_bytes(b"so far")
    shelf.read(samples_of(folder))
    assert shelf.said == ["read 12 decoded images from the cache"]
    assert unfinished.read_bytes() == b"so far"


def test_a_process_killed_while_it_writes_leaves_no_file(folder: Path, shelf: Shelf) -> None:
    """What it had written so far has another name, and the next reading goes its way."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from effnet.files import write_bytes\n"
        "def write(path):\n"
        "    path.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), 9)\n"
        "write_bytes(Path(sys.argv[1]), write)\n"
    )
    shelf.read(samples_of(folder))
    (path,) = shelf.files()
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert len(shelf.files()) == 2
    shelf.read(samples_of(folder))
    assert shelf.said == ["read 12 decoded images from the cache"]


def test_names_that_are_no_unicode_are_cached(folder: Path, shelf: Shelf) -> None:
    save(folder / "a" / os.fsdecode(b"\xff\xfe.png"), 99)
    shelf.read(samples_of(folder))
    shelf.read(samples_of(folder))
    assert shelf.said == ["read 13 decoded images from the cache"]


def test_a_thousand_images_are_kept_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path / "cache"))
    for index in range(1000):
        save(tmp_path / "data" / "ab"[index % 2] / f"{index}.png", index)
    said: list[str] = []

    def read() -> PixelSource:
        said.clear()
        reading = Reading(DataConfig(), torch.device("cpu"), say=said.append)
        return open_pixels(samples_of(tmp_path / "data"), FORM, reading)

    assert len(read()) == 1000
    assert said[0].startswith("kept 1,000 decoded images")
    assert len(read()) == 1000
    assert said == ["read 1,000 decoded images from the cache"]
