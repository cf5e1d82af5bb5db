"""Images in memory: read, stored in the order of the samples, unreadable ones named."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from effnet.data.datasets import Samples, open_dataset
from effnet.data.loaders import EvalLoader
from effnet.data.pixels import PixelFormat, Pixels, read_pixels
from effnet.errors import DataError
from effnet.imaging.decode import decode
from effnet.imaging.preprocess import Preprocess

PREPROCESS = Preprocess(8, 0.8)


def noise(index: int) -> Image.Image:
    values = np.random.default_rng(index).integers(0, 256, (14, 11 + index % 5, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a data set of 2 × 10 noise images of several sizes."""
    for index in range(20):
        path = tmp_path / "ab"[index % 2] / f"{index:02d}.png"
        path.parent.mkdir(exist_ok=True)
        noise(index).save(path)
    return tmp_path


def damage(folder: Path, *names: str) -> Samples:
    for name in names:
        (folder / name).write_text("not an image")
    return open_dataset(folder).parts["all"]


def read(samples: Samples, max_broken: float = 0.0, side: int = 8) -> Pixels:
    return read_pixels(samples, PixelFormat(PREPROCESS, side), max_broken=max_broken)


@pytest.mark.parametrize("side", [8, 10])
def test_pixels_keep_the_order_and_the_labels_of_the_samples(folder: Path, side: int) -> None:
    samples = open_dataset(folder).parts["all"].take(np.array([13, 2, 7, 0]))
    pixels = read(samples, side=side)
    assert (pixels.names, pixels.labels.tolist()) == (samples.names, samples.labels.tolist())
    assert (pixels.images.shape, pixels.images.dtype) == ((4, 3, side, side), torch.uint8)
    for image, name in zip(pixels.images, samples.names, strict=True):
        assert np.array_equal(image.numpy(), PREPROCESS.square(decode(folder / name), side))


def test_progress_is_told_for_every_image(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    samples = open_dataset(folder).parts["all"]
    read_pixels(samples, PixelFormat(PREPROCESS, 8), max_broken=0, on_read=lambda *count: told.append(count))
    assert told == [(done, 20) for done in range(21)]


def test_broken_images_are_skipped_by_name_up_to_the_limit(folder: Path) -> None:
    samples = damage(folder, "a/04.png", "b/11.png")
    pixels = read(samples, max_broken=0.1)
    assert [message.split(": ", 1) for message in pixels.broken] == [
        [str(folder / name), "not an image in a format that Pillow reads"]
        for name in ("a/04.png", "b/11.png")
    ]
    good = [name for name in samples.names if name not in ("a/04.png", "b/11.png")]
    assert list(pixels.names) == good
    assert pixels.labels.tolist() == [int(name.startswith("b")) for name in good]
    for image, name in zip(pixels.images, good, strict=True):
        assert np.array_equal(image.numpy(), PREPROCESS.pixels(decode(folder / name)))


def test_more_broken_images_are_an_error_that_names_them(folder: Path) -> None:
    samples = damage(folder, "a/04.png", "b/11.png")
    with pytest.raises(DataError, match=r"^2 of 20 .*more than the 9\.0% .*data\.max_broken.*a/04\.png: not"):
        read(samples, max_broken=0.09)


def test_no_broken_image_is_allowed_by_a_limit_of_zero(folder: Path) -> None:
    with pytest.raises(DataError, match=r"^1 of 20"):
        read(damage(folder, "a/04.png"), max_broken=0.0)


def test_of_many_broken_images_the_first_ones_are_named(folder: Path) -> None:
    samples = damage(folder, *(f"a/{index:02d}.png" for index in range(0, 20, 2)))
    with pytest.raises(DataError, match=r"^10 of 20 .*a/00.*a/08.*; …$") as caught:
        read(samples, max_broken=0.4)
    assert "a/10.png" not in str(caught.value)


def test_moving_pixels_keeps_everything() -> None:
    pixels = Pixels(torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.tensor([1, 0]), ("a", "b"), ("c: why",))
    moved = pixels.to(torch.device("cpu"))
    assert (len(moved), moved.names, moved.broken) == (2, ("a", "b"), ("c: why",))
    assert torch.equal(moved.images, pixels.images)
    assert torch.equal(moved.labels, pixels.labels)


def test_what_is_stored_has_the_side_asked_for() -> None:
    form = PixelFormat(Preprocess(8, mean=(0.5,), std=(0.5,)), 10)
    assert (form.shape, form.num_bytes) == ((1, 10, 10), 100)
    assert form.pixels(noise(3)).shape == (1, 10, 10)


def test_evaluation_gives_what_preprocessing_the_file_gives(folder: Path) -> None:
    samples = open_dataset(folder).parts["all"]
    pixels = read(samples)
    images = torch.cat([images for images, _ in EvalLoader(pixels, PREPROCESS, 6)])
    for image, name in zip(images, samples.names, strict=True):
        assert np.allclose(image.numpy(), PREPROCESS(decode(folder / name)), rtol=0, atol=1e-6)


def test_many_images_keep_their_order_when_some_are_left_out() -> None:
    """More than are moved at once; image n is grey n modulo 251."""
    broken = set(range(5, 2500, 7))

    def read_one(name: str) -> Image.Image:
        if int(name) in broken:
            raise DataError(f"{name}: broken")
        return Image.new("RGB", (2, 2), (int(name) % 251,) * 3)

    samples = Samples(tuple(map(str, range(2500))), np.arange(2500), read_one)
    pixels = read_pixels(samples, PixelFormat(Preprocess(2), 2), max_broken=0.5)
    good = [row for row in range(2500) if row not in broken]
    assert pixels.labels.tolist() == good
    assert pixels.images[:, 1, 1, 0].tolist() == [row % 251 for row in good]
    assert pixels.broken == tuple(f"{row}: broken" for row in sorted(broken))
