"""RandAugment draws its operations for each image, and keeps values and neighbours as they were."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]
from torch import Tensor

from effnet.data.rand_augment import (
    GEOMETRIC,
    MAX_MAGNITUDE,
    OPERATIONS,
    PHOTOMETRIC,
    apply_operations,
    rand_augment,
)
from effnet.data.randomness import uniform

FILL = torch.tensor([0.5, 0.4, 0.3])
BLENDED = ("color", "contrast", "brightness", "sharpness")
SIGNED = (*GEOMETRIC, *BLENDED)

every_operation = pytest.mark.parametrize("name", OPERATIONS)


def photos(count: int, side: int = 16, channels: int = 3) -> Tensor:
    """Return noise between 0.1 and 0.9 on a 255-step scale, `(count, channels, side, side)`."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(26, 230, (count, channels, side, side), generator=generator) / 255


def apply(name: str, images: Tensor, amount: float, fill: Tensor = FILL) -> Tensor:
    """Apply one operation to all images with one signed amount."""
    choice = torch.full((len(images),), OPERATIONS.index(name))
    return apply_operations(images, choice, torch.full((len(images),), amount), fill)


def draw_of(name: str, sign: int = 1) -> list[float]:
    """Return the two draws that choose an operation and a sign."""
    return [(OPERATIONS.index(name) + 0.5) / len(OPERATIONS), 0.75 if sign > 0 else 0.25]


def test_there_are_the_14_operations_of_the_paper() -> None:
    assert len(OPERATIONS) == len(set(OPERATIONS)) == 14
    assert ("identity", *PHOTOMETRIC, *GEOMETRIC) == OPERATIONS


def test_identity_changes_nothing() -> None:
    assert torch.equal(apply("identity", photos(3), 1.0), photos(3))


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "identity"])
def test_every_other_operation_changes_the_image(name: str) -> None:
    assert not torch.allclose(apply(name, photos(3), 0.7), photos(3), atol=0.01)


@pytest.mark.parametrize("name", SIGNED)
def test_a_signed_operation_of_no_strength_changes_nothing(name: str) -> None:
    assert torch.allclose(apply(name, photos(3), 0.0), photos(3), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["solarize", "posterize"])
def test_an_unsigned_operation_of_no_strength_changes_nothing(name: str) -> None:
    assert torch.allclose(apply(name, photos(3), 0.0), photos(3), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", SIGNED)
def test_the_sign_matters(name: str) -> None:
    assert not torch.allclose(apply(name, photos(2), 0.5), apply(name, photos(2), -0.5), atol=0.01)


@pytest.mark.parametrize("name", ["autocontrast", "equalize"])
def test_a_constant_image_has_no_contrast_to_stretch(name: str) -> None:
    grey = torch.full((1, 3, 16, 16), 100 / 255)
    assert torch.allclose(apply(name, grey, 1.0), grey, rtol=0, atol=1e-6)


def test_autocontrast_reaches_black_and_white_in_every_channel() -> None:
    stretched = apply("autocontrast", photos(4), 1.0)
    assert torch.allclose(stretched.amin((2, 3)), torch.zeros(4, 3), atol=1e-6)
    assert torch.allclose(stretched.amax((2, 3)), torch.ones(4, 3), atol=1e-6)


def test_posterize_rounds_values_between_the_steps_of_a_byte() -> None:
    between = photos(3) + 0.4 / 255
    assert torch.equal(apply("posterize", between, 1.0), apply("posterize", photos(3), 1.0))
    below = photos(3) - 0.4 / 255
    assert torch.equal(apply("posterize", below, 1.0), apply("posterize", photos(3), 1.0))


@every_operation
@given(magnitude=st.floats(0, MAX_MAGNITUDE), sign=st.sampled_from([-1, 1]), seed=st.integers(0, 99))
def test_values_stay_in_the_unit_interval(name: str, magnitude: float, sign: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, 8, 8, generator=generator).round(decimals=seed % 3)
    changed = rand_augment(images, torch.tensor([draw_of(name, sign)] * 2), magnitude, FILL)
    assert changed.shape == images.shape
    assert changed.min() >= 0
    assert changed.max() <= 1


@every_operation
@pytest.mark.parametrize("sign", [-1, 1])
def test_grey_images_change_as_grey_colour_images_do(name: str, sign: int) -> None:
    grey, fill = photos(4, channels=1), torch.tensor([0.4])
    changed = apply(name, grey, sign * 0.6, fill)
    assert changed.shape == grey.shape
    as_colour = apply(name, grey.expand(4, 3, 16, 16), sign * 0.6, fill.expand(3))
    assert torch.allclose(as_colour, changed.expand_as(as_colour), rtol=0, atol=1e-4)


def test_an_image_does_not_depend_on_the_others() -> None:
    images, draws = photos(60), torch.from_numpy(uniform(3, 0, np.arange(60), 4))
    together = rand_augment(images, draws, 20.0, FILL)
    for index in range(60):
        alone = rand_augment(images[index : index + 1], draws[index : index + 1], 20.0, FILL)
        assert torch.allclose(alone[0], together[index], rtol=0, atol=1e-5)


def test_the_images_given_are_not_changed() -> None:
    images = photos(60)
    rand_augment(images, torch.from_numpy(uniform(3, 0, np.arange(60), 4)), 20.0, FILL)
    assert torch.equal(images, photos(60))


@every_operation
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_first_draw_chooses_and_the_second_gives_the_sign(name: str, sign: int) -> None:
    drawn = rand_augment(photos(2), torch.tensor([draw_of(name, sign)] * 2), 12.0, FILL)
    assert torch.equal(drawn, apply(name, photos(2), sign * 12.0 / MAX_MAGNITUDE))


def test_operations_follow_each_other() -> None:
    draws = torch.tensor([draw_of("rotate") + draw_of("solarize") + draw_of("translate_x", -1)])
    steps = apply("translate_x", apply("solarize", apply("rotate", photos(1), 0.5), 0.5), -0.5)
    assert torch.equal(rand_augment(photos(1), draws, 15.0, FILL), steps)


def test_without_draws_nothing_happens() -> None:
    assert torch.equal(rand_augment(photos(2), torch.zeros(2, 0), 15.0, FILL), photos(2))


def test_operations_and_signs_are_chosen_evenly() -> None:
    """Recognise the operation of each of many equal images by its result."""
    count, amount = 5600, 0.5
    signs = torch.tensor([-1.0, 1.0])
    results = torch.cat(
        [apply(name, photos(1), float(sign) * amount) for name in OPERATIONS for sign in signs]
    )
    draws = torch.from_numpy(uniform(0, 0, np.arange(count), 2))
    drawn = rand_augment(photos(1).expand(count, -1, -1, -1), draws, amount * MAX_MAGNITUDE, FILL)
    distances = torch.cdist(drawn.flatten(1), results.flatten(1))
    assert distances.amin(1).max() < 0.05  # rounding of the product inside cdist; others are above 0.5
    recognised = distances.argmin(1).numpy()
    counts = np.bincount(recognised // 2, minlength=len(OPERATIONS))
    assert stats.chisquare(counts).pvalue > 0.001
    for name in SIGNED:
        index = 2 * OPERATIONS.index(name)
        minus, plus = (int((recognised == index + sign).sum()) for sign in (0, 1))
        assert stats.binomtest(minus, minus + plus).pvalue > 0.001


@pytest.mark.parametrize("name", GEOMETRIC)
def test_what_a_movement_uncovers_takes_the_fill(name: str) -> None:
    white = torch.ones(1, 3, 32, 32)
    moved = apply(name, white, 1.0)
    filled = (moved - FILL.view(1, 3, 1, 1)).abs().amax(1) < 1e-5
    kept = (moved - 1).abs().amax(1) < 1e-5
    assert int(filled.sum()) > 20
    assert int(kept.sum()) > 300
    assert int((~filled & ~kept).sum()) < 150  # the seam between the two
