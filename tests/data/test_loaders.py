"""Batches depend on (seed, epoch, image) alone."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from effnet.config import AugmentConfig
from effnet.data.augment import Augment
from effnet.data.loaders import EvalLoader, TrainLoader
from effnet.data.mixing import Mix
from effnet.data.pixels import Pixels
from effnet.imaging.preprocess import Preprocess

PREPROCESS = Preprocess(8, 0.8)
ALL_ON = AugmentConfig(flip=True, crop_padding=2, policy="rand", rand_magnitude=15.0)
ALL_OFF = AugmentConfig(flip=False, crop_padding=0)


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
