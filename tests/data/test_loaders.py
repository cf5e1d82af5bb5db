"""Images in memory, and batches that depend on (seed, epoch, image) alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from effnet.config import AugmentConfig
from effnet.data.augment import Augment
from effnet.data.datasets import Samples, open_dataset
from effnet.data.loaders import EvalLoader, TrainLoader
from effnet.data.mixing import Mix
from effnet.data.pixels import PixelFormat, Pixels, read_pixels
from effnet.errors import DataError
from effnet.imaging.decode import decode
from effnet.imaging.preprocess import Preprocess

PREPROCESS = Preprocess(8, 0.8)
ALL_ON = AugmentConfig(flip=True, crop_padding=2, policy="rand", rand_magnitude=15.0)
ALL_OFF = AugmentConfig(flip=False, crop_padding=0)


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


def numbered(count: int, side: int = 10) -> Pixels:
    """Return noise images whose label is their position."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)
    return Pixels(images, torch.arange(count), tuple(map(str, range(count))))


def loader(
    config: AugmentConfig = ALL_ON, *, count: int = 20, batch_size: int = 4, seed: int = 5
) -> TrainLoader:
    return TrainLoader(numbered(count), Augment(config, PREPROCESS), Mix(config, count), batch_size, seed)


def by_position(loader: TrainLoader, epoch: int) -> dict[int, Tensor]:
    """Return the augmented image of each position that an epoch gives."""
    batches = list(loader.epoch(epoch))
    return {int(label): image for images, labels in batches for image, label in zip(images, labels)}  # noqa: B905


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


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 20), (4, 5), (6, 3), (20, 1), (64, 1)])
def test_an_epoch_has_only_full_batches_without_repeats(batch_size: int, steps: int) -> None:
    train = loader(batch_size=batch_size)
    labels = [labels for _, labels in train.epoch(3)]
    assert (train.num_steps, len(labels)) == (steps, steps)
    assert {len(batch) for batch in labels} == {min(batch_size, 20)}
    seen = torch.cat(labels).tolist()
    assert len(set(seen)) == len(seen) == steps * min(batch_size, 20)


def test_what_one_epoch_leaves_out_comes_in_another() -> None:
    train = loader(batch_size=19)
    seen = {int(label) for epoch in range(4) for _, labels in train.epoch(epoch) for label in labels}
    assert seen == set(range(20))


def test_the_order_differs_between_epochs_and_seeds() -> None:
    orders = {
        tuple(torch.cat([labels for _, labels in loader(seed=seed).epoch(epoch)]).tolist())
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9


def test_an_epoch_is_the_same_whatever_was_asked_before() -> None:
    fresh, used = loader(), loader()
    list(used.epoch(0))
    next(used.epoch(7))
    torch.manual_seed(1)
    for (images, labels), (again, same) in zip(fresh.epoch(7), used.epoch(7), strict=True):
        assert torch.equal(images, again)
        assert torch.equal(labels, same)


@pytest.mark.parametrize("start", [1, 3, 5])
def test_an_epoch_started_in_the_middle_gives_the_same_batches(start: int) -> None:
    config = replace(ALL_ON, resized_crop=0.3, policy="trivial", erasing=0.5, mixup=0.4, cutmix=1.0)
    whole = list(loader(config).epoch(2))[start:]
    for (images, labels), (again, same) in zip(whole, loader(config).epoch(2, start=start), strict=True):
        assert torch.equal(images, again)
        assert torch.equal(labels, same)


def test_mixed_batches_have_probabilities_as_labels() -> None:
    config = AugmentConfig(mixup=1.0, cutmix=1.0)
    for images, labels in loader(config).epoch(0):
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert (labels.shape, labels.dtype) == ((4, 20), torch.float32)
        assert torch.allclose(labels.sum(1), torch.ones(4))


@pytest.mark.parametrize("batch_size", [1, 3, 10, 20])
def test_an_image_looks_the_same_in_a_batch_of_any_size(batch_size: int) -> None:
    one, other = by_position(loader(batch_size=4), 2), by_position(loader(batch_size=batch_size), 2)
    assert len(other) == 20 // batch_size * batch_size
    for position, image in other.items():
        assert torch.allclose(image, one[position], rtol=0, atol=1e-5)


@pytest.mark.parametrize("config", [ALL_ON, AugmentConfig(crop_padding=2), AugmentConfig(policy="rand")])
def test_an_image_looks_different_in_each_epoch(config: AugmentConfig) -> None:
    first, second = by_position(loader(config), 0), by_position(loader(config), 1)
    assert sum(not torch.equal(first[position], second[position]) for position in range(20)) > 10


def test_labels_stay_with_their_images() -> None:
    pixels = numbered(20, side=8)
    whole = TrainLoader(pixels, Augment(ALL_OFF, PREPROCESS), Mix(ALL_OFF, 20), 4, 0)
    for position, image in by_position(whole, 1).items():
        expected = PREPROCESS.normalise(pixels.images[position].float() / 255)
        assert torch.equal(image, expected)


@pytest.mark.parametrize("batch_size", [1, 7, 20, 64])
def test_evaluation_gives_every_image_once_in_order(batch_size: int) -> None:
    batches = list(EvalLoader(numbered(20, side=8), PREPROCESS, batch_size))
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(20))
    assert [len(images) for images, _ in batches] == [len(labels) for _, labels in batches]


def test_evaluation_gives_what_preprocessing_the_file_gives(folder: Path) -> None:
    samples = open_dataset(folder).parts["all"]
    pixels = read(samples)
    images = torch.cat([images for images, _ in EvalLoader(pixels, PREPROCESS, 6)])
    for image, name in zip(images, samples.names, strict=True):
        assert np.allclose(image.numpy(), PREPROCESS(decode(folder / name)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "batches",
    [lambda: loader().epoch(0), lambda: EvalLoader(numbered(4), PREPROCESS, 2)],
    ids=["train", "eval"],
)
def test_batches_are_float_and_laid_out_for_convolutions(
    batches: Callable[[], list[tuple[Tensor, Tensor]]],
) -> None:
    for images, labels in batches():
        assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
        assert images.is_contiguous(memory_format=torch.channels_last)
