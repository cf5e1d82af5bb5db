"""Each image has its own operation and strength; values stay in range, and neighbours as they were."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from effnet.data.operations import GEOMETRIC, OPERATIONS, PHOTOMETRIC, SIGNED, apply_operations
from effnet.data.policies import AUTO_SPACE, trivial_space

FILL = torch.tensor([0.5, 0.4, 0.3])

every_operation = pytest.mark.parametrize("name", OPERATIONS)
every_signed_operation = pytest.mark.parametrize("name", sorted(SIGNED))


def photos(count: int, side: int = 16, channels: int = 3) -> Tensor:
    """Return noise between 0.1 and 0.9 on a 255-step scale, `(count, channels, side, side)`."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(26, 230, (count, channels, side, side), generator=generator) / 255


def apply(name: str, images: Tensor, level: float, fill: Tensor = FILL) -> Tensor:
    """Apply one operation to all images, at a signed share of AutoAugment's greatest strength."""
    choice = torch.full((len(images),), OPERATIONS.index(name))
    return apply_operations(images, choice, torch.full((len(images),), level * AUTO_SPACE[name]), fill)


def test_there_are_the_14_operations_of_rand_augment_and_invert() -> None:
    assert len(OPERATIONS) == len(set(OPERATIONS)) == 15
    assert ("identity", *PHOTOMETRIC, *GEOMETRIC) == OPERATIONS


def test_identity_changes_nothing() -> None:
    assert torch.equal(apply("identity", photos(3), 1.0), photos(3))


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "identity"])
def test_every_other_operation_changes_the_image(name: str) -> None:
    assert not torch.allclose(apply(name, photos(3), 0.7), photos(3), atol=0.01)


@pytest.mark.parametrize("name", [*sorted(SIGNED), "solarize", "posterize"])
def test_an_operation_of_no_strength_changes_nothing(name: str) -> None:
    assert torch.allclose(apply(name, photos(3), 0.0), photos(3), rtol=0, atol=1e-5)


@every_signed_operation
def test_the_sign_matters(name: str) -> None:
    assert not torch.allclose(apply(name, photos(2), 0.5), apply(name, photos(2), -0.5), atol=0.01)


@every_operation
def test_each_image_has_its_own_strength(name: str) -> None:
    levels = (0.2, 0.6, 1.0)
    choice = torch.full((3,), OPERATIONS.index(name))
    together = apply_operations(photos(3), choice, torch.tensor(levels) * AUTO_SPACE[name], FILL)
    for index, level in enumerate(levels):
        alone = apply(name, photos(3)[index : index + 1], level)
        assert torch.allclose(together[index], alone[0], rtol=0, atol=1e-5)


def test_each_image_has_its_own_operation() -> None:
    strength = torch.tensor([0.5 * AUTO_SPACE[name] for name in OPERATIONS])
    images = photos(len(OPERATIONS))
    together = apply_operations(images, torch.arange(len(OPERATIONS)), strength, FILL)
    for index, name in enumerate(OPERATIONS):
        alone = apply(name, images[index : index + 1], 0.5)
        assert torch.allclose(together[index], alone[0], rtol=0, atol=1e-5)


def test_the_images_given_are_not_changed() -> None:
    images = photos(len(OPERATIONS))
    apply_operations(images, torch.arange(len(OPERATIONS)), torch.ones(len(OPERATIONS)), FILL)
    assert torch.equal(images, photos(len(OPERATIONS)))


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
@given(level=st.floats(0, 1), sign=st.sampled_from([-1, 1]), seed=st.integers(0, 99))
def test_values_stay_in_the_unit_interval(name: str, level: float, sign: int, seed: int) -> None:
    """At the strengths of TrivialAugment, which are the greatest."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, 8, 8, generator=generator).round(decimals=seed % 3)
    greatest = trivial_space(8).get(name, 0.0) * (sign if name in SIGNED else 1)
    choice = torch.full((2,), OPERATIONS.index(name))
    changed = apply_operations(images, choice, torch.full((2,), level * greatest), FILL)
    assert changed.shape == images.shape
    assert changed.min() >= 0
    assert changed.max() <= 1


@every_operation
@pytest.mark.parametrize("sign", [-1, 1])
def test_grey_images_change_as_grey_colour_images_do(name: str, sign: int) -> None:
    grey, fill = photos(4, channels=1), torch.tensor([0.4])
    level = 0.6 * (sign if name in SIGNED else 1)
    changed = apply(name, grey, level, fill)
    assert changed.shape == grey.shape
    as_colour = apply(name, grey.expand(4, 3, 16, 16), level, fill.expand(3))
    assert torch.allclose(as_colour, changed.expand_as(as_colour), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", GEOMETRIC)
def test_what_a_movement_uncovers_takes_the_fill(name: str) -> None:
    white = torch.ones(1, 3, 32, 32)
    moved = apply(name, white, 1.0)
    filled = (moved - FILL.view(1, 3, 1, 1)).abs().amax(1) < 1e-5
    kept = (moved - 1).abs().amax(1) < 1e-5
    assert int(filled.sum()) > 20
    assert int(kept.sum()) > 300
    assert int((~filled & ~kept).sum()) < 150  # the seam between the two
