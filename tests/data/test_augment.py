"""Crop, flip, normalise: every image by its own draws."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor
from torch.nn import functional as F

from effnet.config import AugmentConfig
from effnet.data.augment import Augment, random_crop, random_flip, reflect
from effnet.data.randomness import uniform
from effnet.imaging.preprocess import Preprocess


def noise(count: int, side: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, side, side), generator=generator, dtype=torch.uint8)


def draws_for(count: int, numbers: int, seed: int = 0) -> NDArray[np.float64]:
    return uniform(seed, 0, np.arange(count), numbers)


def windows(pixels: Tensor, draws: Tensor, size: int, padding: int) -> Tensor:
    """Cut the windows one by one out of images that torch pads by reflection."""
    padded = F.pad(pixels.float(), [padding] * 4, mode="reflect").to(torch.uint8)
    room = padded.shape[-1] - size + 1
    cut = []
    for image, (row, column) in zip(padded, draws.tolist(), strict=True):
        top, left = int(row * room), int(column * room)
        cut.append(image[:, top : top + size, left : left + size])
    return torch.stack(cut)


@given(side=st.integers(2, 12), data=st.data(), channels=st.sampled_from([1, 3]), seed=st.integers(0, 99))
def test_crops_are_windows_of_the_padded_image(
    side: int, data: st.DataObject, channels: int, seed: int
) -> None:
    padding = data.draw(st.integers(0, side - 1))
    size = data.draw(st.integers(1, side))
    pixels, draws = noise(6, side, channels), torch.from_numpy(draws_for(6, 2, seed))
    assert torch.equal(random_crop(pixels, draws, size, padding), windows(pixels, draws, size, padding))


@given(side=st.integers(1, 9), padding=st.integers(0, 40))
def test_padding_wider_than_the_image_reflects_again_and_again(side: int, padding: int) -> None:
    expected = np.pad(np.arange(side), padding, mode="reflect")
    assert reflect(torch.arange(-padding, side + padding), side).tolist() == expected.tolist()


def test_all_windows_are_equally_likely() -> None:
    count, side = 4800, 8
    positions = (
        torch.arange(side * side, dtype=torch.uint8).view(1, 1, side, side).expand(count, 1, side, side)
    )
    crops = random_crop(positions, torch.from_numpy(draws_for(count, 2)), 5, 0)
    corners, counts = np.unique(crops[:, 0, 0, 0].numpy(), return_counts=True)
    assert corners.tolist() == [row * side + column for row in range(4) for column in range(4)]
    assert stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize(("draw", "first"), [(0.0, 0), (1 - 2**-53, 3)])
def test_the_outermost_windows_are_reachable(draw: float, first: int) -> None:
    row = torch.arange(8, dtype=torch.uint8).view(1, 1, 1, 8).expand(1, 1, 8, 8)
    crop = random_crop(row, torch.tensor([[draw, draw]], dtype=torch.float64), 5, 0)
    assert crop[0, 0, 0].tolist() == list(range(first, first + 5))


def test_an_image_without_room_stays() -> None:
    pixels = noise(3, 8)
    assert torch.equal(random_crop(pixels, torch.rand(3, 2), 8, 0), pixels)


def test_a_draw_below_one_half_mirrors() -> None:
    pixels = noise(4, 6)
    flipped = random_flip(pixels, torch.tensor([[0.0], [0.49], [0.5], [0.99]]))
    assert torch.equal(flipped[:2], pixels[:2].flip(-1))
    assert torch.equal(flipped[2:], pixels[2:])


@pytest.mark.parametrize("size", [12, 9])
@pytest.mark.parametrize(
    "config",
    [
        AugmentConfig(resized_crop=0.2),
        AugmentConfig(crop_padding=2, erasing=0.5),
        AugmentConfig(resized_crop=0.2, policy="trivial", erasing=0.5),
        AugmentConfig(policy="auto-imagenet"),
    ],
    ids=["resized-crop", "erasing", "trivial", "auto"],
)
def test_it_does_not_matter_how_images_lie_in_memory(config: AugmentConfig, size: int) -> None:
    augment = Augment(config, Preprocess(12), size)
    pixels, draws = noise(24, 14), draws_for(24, augment.num_draws)
    lying = pixels.contiguous(memory_format=torch.channels_last)
    assert torch.equal(augment(lying, draws), augment(pixels, draws))


def test_channels_stay_last_from_the_decoder_to_the_network() -> None:
    augment = Augment(AugmentConfig(resized_crop=0.2), Preprocess(12))
    pixels = noise(4, 14).contiguous(memory_format=torch.channels_last)
    images = augment(pixels, draws_for(4, augment.num_draws))
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_half_of_the_images_are_mirrored() -> None:
    row = torch.arange(2, dtype=torch.uint8).view(1, 1, 1, 2).expand(2000, 1, 2, 2)
    augment = Augment(AugmentConfig(flip=True), Preprocess(2, mean=(0.0,), std=(1.0,)))
    mirrored = augment(row, draws_for(2000, augment.num_draws))[:, 0, 0, 0] > 0
    assert 900 < int(mirrored.sum()) < 1100  # 4.5 standard deviations of 22


def test_with_everything_off_only_normalisation_is_left() -> None:
    preprocess = Preprocess(8)
    augment = Augment(AugmentConfig(flip=False), preprocess)
    images = augment(noise(5, 8), draws_for(5, augment.num_draws))
    assert torch.equal(images, preprocess.normalise(noise(5, 8).float() / 255))


def test_the_border_kept_for_crops_is_cut_to_the_resolution() -> None:
    augment = Augment(AugmentConfig(), Preprocess(8, 0.8))
    images = augment(noise(5, 10), draws_for(5, augment.num_draws))
    assert (images.shape, images.dtype) == ((5, 3, 8, 8), torch.float32)


@pytest.mark.parametrize(
    ("config", "numbers"),
    [
        (AugmentConfig(), 3),
        (AugmentConfig(flip=False), 3),
        (AugmentConfig(resized_crop=0.5), 5),
        (AugmentConfig(policy="rand", rand_ops=1), 5),
        (AugmentConfig(policy="rand", rand_ops=3), 9),
        (AugmentConfig(policy="auto-cifar10"), 8),
        (AugmentConfig(policy="trivial"), 6),
        (AugmentConfig(erasing=0.5), 9),
    ],
)
def test_each_stage_needs_its_draws(config: AugmentConfig, numbers: int) -> None:
    assert Augment(config, Preprocess(8)).num_draws == numbers


EVERYTHING = AugmentConfig(resized_crop=0.2, policy="rand", rand_magnitude=20, erasing=0.5)


@pytest.mark.parametrize("mean", [(0.3,), (0.485, 0.456, 0.406)])
@pytest.mark.parametrize(
    "config",
    [
        AugmentConfig(crop_padding=2, policy="rand", rand_magnitude=20),
        EVERYTHING,
        replace(EVERYTHING, policy="auto-imagenet"),
        replace(EVERYTHING, policy="trivial"),
    ],
)
def test_an_image_does_not_depend_on_the_others(config: AugmentConfig, mean: tuple[float, ...]) -> None:
    augment = Augment(config, Preprocess(8, mean=mean, std=mean))
    pixels, draws = noise(40, 8, len(mean)), draws_for(40, augment.num_draws)
    together = augment(pixels, draws)
    for index in range(40):
        alone = augment(pixels[index : index + 1], draws[index : index + 1])
        assert torch.allclose(alone[0], together[index], rtol=0, atol=1e-5)


def test_what_augmentation_uncovers_is_zero_for_the_network() -> None:
    config = AugmentConfig(flip=False, policy="rand", rand_ops=1, rand_magnitude=30)
    augment = Augment(config, Preprocess(32))
    draws = np.full((1, augment.num_draws), 0.999)  # the last operation: a vertical shift
    images = augment(torch.full((1, 3, 32, 32), 255, dtype=torch.uint8), draws)
    empty_rows = (images.abs().amax((0, 1, 3)) < 1e-6).sum()
    assert int(empty_rows) == int(32 * 150 / 331)


@pytest.mark.parametrize("config", [AugmentConfig(policy="rand", rand_magnitude=30), EVERYTHING])
def test_the_stored_pixels_are_not_changed(config: AugmentConfig) -> None:
    augment = Augment(config, Preprocess(8))
    pixels = noise(20, 8)
    augment(pixels, draws_for(20, augment.num_draws))
    assert torch.equal(pixels, noise(20, 8))
