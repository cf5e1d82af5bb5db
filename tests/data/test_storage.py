"""Where images are stored: in memory if they fit, else in a stream; the choice is stated."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from effnet.config import DataConfig
from effnet.data.datasets import Samples, open_dataset, open_digits
from effnet.data.pixels import PixelFormat, Pixels, Reading
from effnet.data.storage import open_cache, open_pixels
from effnet.data.stream import Stream
from effnet.errors import DataError
from effnet.imaging.preprocess import Preprocess

CPU = torch.device("cpu")
SMALL, HUGE = PixelFormat(Preprocess(8), 8), PixelFormat(Preprocess(4096), 4096)


def digits(times: int = 1) -> Samples:
    """Return the digits, each so many times."""
    return open_digits().parts["all"].take(np.tile(np.arange(1797), times))


def reading(said: list[str], storage: str = "auto", **values: int) -> Reading:
    return Reading(DataConfig(storage=storage, **values), CPU, say=said.append)  # type: ignore[arg-type]


def test_what_fits_stays_in_memory_without_a_word() -> None:
    said: list[str] = []
    assert isinstance(open_pixels(digits(), SMALL, reading(said)), Pixels)
    assert said == []


def test_what_does_not_fit_is_streamed_and_the_figures_are_stated() -> None:
    """17,970 images of 4096 × 4096 pixels, none of which is decoded here."""
    said: list[str] = []
    pixels = open_pixels(digits(10), HUGE, reading(said, workers=3))
    assert isinstance(pixels, Stream)
    (line,) = said
    assert line.startswith("17,970 decoded images need 904.5 GB of ")
    assert line.endswith(" GB free: streaming them from 3 workers")


@pytest.mark.parametrize(("workers", "crew"), [(0, "this process"), (1, "1 worker"), (2, "2 workers")])
def test_a_stream_that_was_asked_for_is_stated(workers: int, crew: str) -> None:
    said: list[str] = []
    assert isinstance(open_pixels(digits(), SMALL, reading(said, "stream", workers=workers)), Stream)
    assert said == [f"1,797 images: streaming them from {crew}"]


def test_memory_that_was_asked_for_and_is_not_there_is_an_error() -> None:
    with pytest.raises(
        DataError, match=r"need 904\.5 GB of [\d.]+ GB free; take data\.storage = 'auto' instead of 'memory'"
    ):
        open_pixels(digits(10), HUGE, reading([], "memory"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        Image.new("RGB", (9, 9), "red").save(root / name)
    return root


def test_skipped_images_are_named(folder: Path) -> None:
    (folder / "a" / "2.png").write_text("")
    said: list[str] = []
    open_pixels(open_dataset(folder).parts["all"], SMALL, reading(said))
    assert said == [f"skipped: {folder / 'a' / '2.png'}: empty file"]


def test_each_folder_and_each_way_of_storing_has_a_cache_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EFFNET_CACHE", str(folder.parent / "cache"))
    samples = open_dataset(folder).parts["all"]
    forms = [
        SMALL,
        PixelFormat(Preprocess(8), 10),
        PixelFormat(Preprocess(8, 0.5), 8),
        PixelFormat(Preprocess(8, interpolation="nearest"), 8),
        PixelFormat(Preprocess(8, mean=(0.5,), std=(0.5,)), 8),
    ]
    folders = {open_cache(samples, form, print).folder for form in forms}
    (folder.parent / "link").symlink_to(folder)  # the same folder by another name
    folders.add(open_cache(open_dataset(folder.parent / "link").parts["all"], SMALL, print).folder)
    assert len(folders) == len(forms)
    assert {place.parent for place in folders if place is not None} == {folder.parent / "cache" / "decoded"}
    assert open_cache(samples, PixelFormat(Preprocess(8, std=(0.1,) * 3), 8), print).folder in folders
    assert open_cache(digits(), SMALL, print).folder is None  # digits are no files
