"""What holds for all corruptions: shape, determinism, severity; and what each is made of."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from corrupted_scenes import change, ours, scenes
from effnet.errors import UsageError
from effnet.evaluation.corruptions.blur import disc, move_pixels
from effnet.evaluation.corruptions.catalogue import CORRUPTIONS, corrupt
from effnet.evaluation.corruptions.digital import affine_places, pixel_grid
from effnet.evaluation.corruptions.draws import Draws
from effnet.evaluation.corruptions.frost import PANES, pane
from effnet.evaluation.corruptions.severities import CIFAR_C, CORRUPTION_NAMES
from effnet.evaluation.corruptions.weather import plasma

# Between severities of these, the authors trade one thing for another: many flakes for large ones, light
# frost over the image for heavy frost over a darker one, a map of the whole for a distortion of its parts.
NOT_MONOTONE = {"snow", "frost", "elastic_transform"}


def test_there_are_fifteen_in_the_authors_order() -> None:
    assert len(CORRUPTIONS) == 15
    assert tuple(CORRUPTIONS) == CORRUPTION_NAMES
    families = [corruption.family for corruption in CORRUPTIONS.values()]
    assert families == ["noise"] * 3 + ["blur"] * 4 + ["weather"] * 4 + ["digital"] * 4


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize(("side", "channels"), [(8, 1), (32, 3), (45, 1)])
def test_shape_and_type_stay(name: str, side: int, channels: int) -> None:
    images = scenes(2, side, channels)
    for severity in range(1, 6):
        corrupted = ours(images, name, severity)
        assert (corrupted.shape, corrupted.dtype) == (images.shape, torch.uint8)
    assert not torch.equal(corrupted, images)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_result_does_not_depend_on_the_batch(name: str) -> None:
    images = scenes(7, 32)
    whole = ours(images, name, 3)
    assert torch.equal(whole, ours(images, name, 3))
    assert torch.equal(whole[2:5], ours(images[2:5], name, 3, first=2))
    assert torch.equal(whole[6:], ours(images[6:], name, 3, first=6))


@pytest.mark.parametrize("name", [
    "gaussian_noise", "shot_noise", "impulse_noise", "glass_blur", "motion_blur", "snow", "frost", "fog",
    "elastic_transform",
])  # fmt: skip
def test_what_is_drawn_depends_on_seed_severity_and_image(name: str) -> None:
    images = scenes(1, 32)
    drawn = ours(images, name, 2)
    assert not torch.equal(drawn, ours(images, name, 2, seed=1))
    assert not torch.equal(drawn, ours(images, name, 2, first=1))


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize(("side", "channels", "count"), [(32, 3, 40), (16, 1, 40), (100, 3, 6)])
def test_higher_severity_changes_more(name: str, side: int, channels: int, count: int) -> None:
    images = scenes(count, side, channels)
    changes = [change(images, name, severity) for severity in range(1, 6)]
    assert min(changes) > 0.1
    if name not in NOT_MONOTONE:
        assert all(later > 0.97 * earlier for earlier, later in pairwise(changes))  # other images are drawn
        assert changes[4] > 1.2 * changes[0]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_grey_is_corrupted_as_the_same_grey_in_colour(name: str) -> None:
    """Statistically: a value of each channel draws for itself, and JPEG codes colours apart."""
    grey = scenes(30, 32, 1)
    single, triple = change(grey, name, 3), change(grey.expand(-1, 3, -1, -1), name, 3)
    assert single == pytest.approx(triple, rel=0.15)


def test_unknown_names_and_severities_are_refused() -> None:
    images = scenes(1, 32)
    with pytest.raises(
        UsageError, match=r"unknown corruption 'gaussian_blur'; known: defocus_blur|gaussian_noise"
    ):
        ours(images, "gaussian_blur", 1)
    with pytest.raises(UsageError, match="severity 6: must be 1 to 5"):
        ours(images, "fog", 6)


def test_images_too_small_for_corruptions_are_refused() -> None:
    with pytest.raises(UsageError, match=r"7×7 pixels: corruptions need at least 8×8"):
        ours(scenes(1, 7), "fog", 1)


def test_gaussian_noise_has_the_stated_deviation() -> None:
    images = torch.full((20, 3, 32, 32), 128, dtype=torch.uint8)
    for severity, std in enumerate(CIFAR_C.gaussian_noise, start=1):
        noisy = ours(images, "gaussian_noise", severity).double()
        assert noisy.std().item() == pytest.approx(255 * std, rel=0.02)
        assert noisy.mean().item() == pytest.approx(127.5, abs=0.5)  # fractions are cut off


def test_shot_noise_has_the_variance_of_counted_photons() -> None:
    images = torch.full((20, 3, 32, 32), 102, dtype=torch.uint8)  # 0.4 of white
    for severity, photons in enumerate(CIFAR_C.shot_noise, start=1):
        noisy = ours(images, "shot_noise", severity).double()
        assert noisy.std().item() == pytest.approx(255 * np.sqrt(0.4 / photons), rel=0.03)


def test_impulses_are_black_and_white_equally_often() -> None:
    images = torch.full((40, 3, 32, 32), 128, dtype=torch.uint8)
    for severity, share in enumerate(CIFAR_C.impulse_noise, start=1):
        noisy = ours(images, "impulse_noise", severity)
        assert (noisy == 255).double().mean().item() == pytest.approx(share / 2, rel=0.1)
        assert (noisy == 0).double().mean().item() == pytest.approx(share / 2, rel=0.1)


@pytest.mark.parametrize("name", [
    "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "elastic_transform", "contrast", "pixelate",
    "jpeg_compression", "brightness",
])  # fmt: skip
def test_a_white_image_stays_white(name: str) -> None:
    white = torch.full((2, 3, 32, 32), 255, dtype=torch.uint8)
    for severity in range(1, 6):
        assert torch.equal(ours(white, name, severity), white)


def test_brightness_keeps_hue_and_saturation() -> None:
    images = scenes(4, 16)
    brighter = ours(images, "brightness", 3).double()
    values = images.double().amax(1, keepdim=True)
    expected = images.double() * (values + 0.15 * 255).clamp(max=255) / values
    assert (brighter - expected).abs().max() <= 1


def test_black_gets_brighter_too() -> None:
    black = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    assert set(ours(black, "brightness", 5).flatten().tolist()) == {int(0.3 * 255)}


def test_contrast_keeps_the_mean_of_each_channel() -> None:
    images = scenes(4, 32)
    flat = ours(images, "contrast", 5).double()
    assert (flat.mean((2, 3)) - images.double().mean((2, 3))).abs().max() < 1
    assert flat.std((2, 3)).mean().item() == pytest.approx(
        0.15 * images.double().std((2, 3)).mean().item(), rel=0.05
    )


def one_by_one(image: Tensor, moves: Tensor, reach: int) -> Tensor:
    """Replace pixels as the authors' loop does."""
    image, side = image.clone(), image.shape[-1]
    for h in range(side - reach, reach, -1):
        for w in range(side - reach, reach, -1):
            down, right = moves[:, h, w].tolist()
            image[:, h, w] = image[:, h + down, w + right]
    return image


@given(st.integers(8, 14), st.integers(1, 3), st.integers(0, 10_000))
@settings(max_examples=25)
def test_pixels_move_as_in_a_loop_over_them(side: int, reach: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.arange(2 * side * side).reshape(2, 1, side, side)
    moves = torch.randint(-reach, reach, (2, 2, side, side), generator=generator)
    expected = torch.stack([one_by_one(*pair, reach) for pair in zip(images, moves, strict=True)])
    assert torch.equal(move_pixels(images, moves, reach), expected)


def test_a_disc_is_symmetric_and_larger_with_its_radius() -> None:
    for radius, alias_blur in CIFAR_C.defocus_blur:
        kernel = disc(radius, alias_blur)
        torch.testing.assert_close(kernel, kernel.T)
        torch.testing.assert_close(kernel, kernel.flip(0))
        assert kernel.sum().item() == pytest.approx(1)
    assert (disc(3, 0.1) > 1e-6).sum() == 29  # lattice points in a circle of radius 3


def test_the_affine_map_takes_the_moved_corners_from_the_corners() -> None:
    draws = Draws(0, 1, np.arange(5))
    places = affine_places(33, 3.0, draws)
    corners = torch.tensor([[27.0, 27.0], [27.0, 5.0], [5.0, 5.0]])
    moved = corners + (draws.uniform(3, 2, stream=0) * 2 - 1) * 3.0
    for image in range(5):
        step = places[image, :, 1, 1] - places[image, :, 0, 0]
        down, right = (
            places[image, :, 1, 0] - places[image, :, 0, 0],
            places[image, :, 0, 1] - places[image, :, 0, 0],
        )
        torch.testing.assert_close(down + right, step)
        for corner, (column, row) in zip(corners, moved[image], strict=True):
            found = places[image, :, 0, 0] + row * down + column * right
            torch.testing.assert_close(found, corner.flip(0).double())


def test_no_affine_map_leaves_the_pixels_where_they_are() -> None:
    torch.testing.assert_close(affine_places(32, 0.0, Draws(0, 1, np.arange(1)))[0], pixel_grid(32))


def test_a_plasma_fractal_fills_its_range_and_is_smooth() -> None:
    mist = plasma(Draws(0, 1, np.arange(6)).uniform(64 * 64, stream=0), 3.0)
    assert mist.amin((1, 2)).tolist() == [0.0] * 6
    assert mist.amax((1, 2)).tolist() == [1.0] * 6
    assert mist.diff(dim=2).abs().mean() < 0.1 * mist.std()


@pytest.mark.parametrize("number", range(len(PANES)))
def test_a_pane_of_frost_has_the_colours_of_its_photograph(number: int) -> None:
    drawn = pane(number, 1.0)
    assert drawn.mean((1, 2)).tolist() == pytest.approx(PANES[number].mean, abs=1)
    assert drawn.std((1, 2)).tolist() == pytest.approx([PANES[number].std] * 3, abs=1)


def test_draws_are_a_function_of_the_image() -> None:
    several = Draws(3, 7, np.array([5, 6, 2**63 + 1], np.uint64))
    alone = Draws(3, 7, np.array([2**63 + 1], np.uint64))
    assert torch.equal(several.normal(4, stream=0)[2:], alone.normal(4, stream=0))
    assert torch.equal(several.integers(-2, 2, 9, stream=1)[2:], alone.integers(-2, 2, 9, stream=1))
    assert len({several.uniform(stream=stream)[0].item() for stream in range(5)}) == 5


def test_whole_numbers_are_drawn_equally_often() -> None:
    drawn = Draws(0, 1, np.arange(4)).integers(-2, 2, 5000, stream=0)
    assert torch.bincount(drawn.flatten() + 2).tolist() == pytest.approx([5000] * 4, rel=0.05)


def test_indices_may_be_any_numbers() -> None:
    images = scenes(2, 16)
    keys = np.array([2**64 - 1, 17], np.uint64)
    assert corrupt(images, "fog", 1, seed=0, indices=keys).shape == images.shape
