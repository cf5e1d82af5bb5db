"""Each operation against torchvision and Pillow, which compute in whole numbers from 0 to 255."""

from collections.abc import Callable
from math import atan, degrees
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

import peers  # noqa: F401 - lets torchvision import beside a torch it was not built for
from effnet.data.operations import OPERATIONS, apply_operations
from effnet.data.policies import AUTO_SPACE

FILL = torch.tensor([0.5, 0.4, 0.3])
MAX_BLEND = AUTO_SPACE["color"]
MAX_ROTATION = AUTO_SPACE["rotate"]
MAX_SHEAR = AUTO_SPACE["shear_x"]
MAX_TRANSLATION = AUTO_SPACE["translate_x"]
LEVELS = (0.1, 0.2, 0.3, 0.5, 0.8, 1.0)


@pytest.fixture(scope="module")
def functional() -> Any:
    from torchvision.transforms import functional

    return functional


def photos() -> Tensor:
    """Return uint8 images `(24, 3, 24, 24)`: noise, noise of little contrast, and smooth ones."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (8, 3, 24, 24), generator=generator, dtype=torch.uint8)
    pale = noise // 3 + 90
    corners = torch.rand(8, 3, 3, 3, generator=generator)
    smooth = torch.nn.functional.interpolate(corners, (24, 24), mode="bilinear", align_corners=True)
    return torch.cat([noise, pale, (smooth * 255).round().to(torch.uint8)])


def ours(name: str, pixels: Tensor, amount: float) -> Tensor:
    """Return the result on the scale from 0 to 255, at a signed share of the greatest strength."""
    choice = torch.full((len(pixels),), OPERATIONS.index(name))
    strength = torch.full((len(pixels),), amount * AUTO_SPACE[name])
    images = apply_operations(pixels / 255, choice, strength, FILL)
    return images * 255


def with_pillow(operation: Callable[[Image.Image], Image.Image], pixels: Tensor) -> Tensor:
    images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in pixels]
    results = np.stack([np.asarray(operation(image)) for image in images])
    return torch.from_numpy(results).permute(0, 3, 1, 2)


def largest_difference(one: Tensor, other: Tensor) -> float:
    return (one - other.float()).abs().max().item()


def test_equalize_is_theirs_to_the_last_bit(functional: Any) -> None:
    assert largest_difference(ours("equalize", photos(), 0.5), functional.equalize(photos())) < 1e-3
    assert (
        largest_difference(ours("equalize", photos(), 0.5), with_pillow(ImageOps.equalize, photos())) < 1e-3
    )


def test_invert_is_theirs(functional: Any) -> None:
    assert largest_difference(ours("invert", photos(), 0.0), functional.invert(photos())) < 1e-3


def test_autocontrast_is_theirs_up_to_rounding(functional: Any) -> None:
    # torchvision and Pillow cut off the fraction that ours keeps.
    assert largest_difference(ours("autocontrast", photos(), 0.5), functional.autocontrast(photos())) <= 1.01
    pillow = with_pillow(ImageOps.autocontrast, photos())
    assert largest_difference(ours("autocontrast", photos(), 0.5), pillow) <= 1.01


@pytest.mark.parametrize("level", [0.0, *LEVELS])
def test_solarize_is_pillows(level: float) -> None:
    """Pillow inverts values from the threshold on; at level 0 that is 256 and even white stays."""
    threshold = float(np.float32(256) * (1 - np.float32(level)))
    expected = torch.where(photos() >= threshold, 255 - photos(), photos())
    assert largest_difference(ours("solarize", photos(), level), expected) < 1e-3


@pytest.mark.parametrize(("level", "bits"), [(0.0, 8), (0.25, 7), (0.5, 6), (0.75, 5), (1.0, 4)])
def test_posterize_is_theirs(functional: Any, level: float, bits: int) -> None:
    theirs = functional.posterize(photos(), bits)
    assert largest_difference(ours("posterize", photos(), level), theirs) < 1e-3
    pillow = with_pillow(lambda image: ImageOps.posterize(image, bits), photos())
    assert largest_difference(ours("posterize", photos(), level), pillow) < 1e-3


# Blends round twice where ours does not: the grey or smoothed image they blend with, and the result. Each
# time that is less than 1 step (torchvision cuts off), times the factor of the blend, at most 1.9.
BLENDS = {
    "color": ("adjust_saturation", ImageEnhance.Color),
    "contrast": ("adjust_contrast", ImageEnhance.Contrast),
    "brightness": ("adjust_brightness", ImageEnhance.Brightness),
    "sharpness": ("adjust_sharpness", ImageEnhance.Sharpness),
}


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", BLENDS)
def test_blends_are_theirs_up_to_rounding(functional: Any, name: str, level: float, sign: int) -> None:
    factor = 1 + sign * level * MAX_BLEND
    torchvision_name, enhance = BLENDS[name]
    result = ours(name, photos(), sign * level)
    assert largest_difference(result, getattr(functional, torchvision_name)(photos(), factor)) <= 2.0
    pillow = with_pillow(lambda image: enhance(image).enhance(factor), photos())
    assert largest_difference(result, pillow) <= 2.0


def covered(name: str, amount: float) -> Tensor:
    """Return where only the image is seen and nothing of the fill, `(24, 24)`."""
    choice, strength = torch.tensor([OPERATIONS.index(name)]), torch.tensor([amount * AUTO_SPACE[name]])
    seen = apply_operations(torch.ones(1, 1, 24, 24), choice, strength, torch.zeros(1))
    return seen[0, 0] > 1 - 1e-4


def assert_same_where_covered(name: str, amount: float, theirs: Tensor, tolerance: float) -> None:
    inside = covered(name, amount)
    assert inside.float().mean() > 0.3
    assert largest_difference(ours(name, photos(), amount)[..., inside], theirs[..., inside]) < tolerance


def affine(functional: Any, angle: float, translate: list[int], shear: list[float]) -> Tensor:
    """Move the images as torchvision's RandAugment does: shear about the upper left corner."""
    options: dict[str, Any] = {"interpolation": functional.InterpolationMode.BILINEAR, "fill": FILL.tolist()}
    if shear != [0.0, 0.0]:
        options["center"] = [0, 0]
    moved: Tensor = functional.affine(photos() / 255, angle, translate, 1.0, shear, **options)
    return moved * 255


@pytest.mark.parametrize("amount", [-1.0, -0.4, 0.3, 1.0])
def test_rotation_is_torchvisions_in_the_same_direction(functional: Any, amount: float) -> None:
    bilinear = functional.InterpolationMode.BILINEAR
    theirs = functional.rotate(photos() / 255, amount * MAX_ROTATION, bilinear, fill=FILL.tolist()) * 255
    assert_same_where_covered("rotate", amount, theirs, 0.01)


@pytest.mark.parametrize("amount", [-1.0, -0.4, 0.3, 1.0])
@pytest.mark.parametrize("axis", [0, 1])
def test_shear_is_torchvisions_in_the_same_direction(functional: Any, axis: int, amount: float) -> None:
    shear = [0.0, 0.0]
    shear[axis] = degrees(atan(amount * MAX_SHEAR))
    theirs = affine(functional, 0.0, [0, 0], shear)
    assert_same_where_covered(("shear_x", "shear_y")[axis], amount, theirs, 0.01)


@pytest.mark.parametrize("pixels", [-9, -1, 4, 10])
@pytest.mark.parametrize("axis", [0, 1])
def test_translation_is_torchvisions_mirrored(functional: Any, axis: int, pixels: int) -> None:
    """Ours names where a pixel comes from, as Pillow does; the sign is drawn evenly either way."""
    translate = [0, 0]
    translate[axis] = pixels
    theirs = affine(functional, 0.0, translate, [0.0, 0.0])
    amount = -pixels / (24 * MAX_TRANSLATION)
    assert_same_where_covered(("translate_x", "translate_y")[axis], amount, theirs, 0.01)


PILLOW_MATRICES: dict[str, Callable[[float], tuple[float, ...]]] = {
    "shear_x": lambda amount: (1, amount * MAX_SHEAR, 0, 0, 1, 0),
    "shear_y": lambda amount: (1, 0, 0, amount * MAX_SHEAR, 1, 0),
    "translate_x": lambda amount: (1, 0, amount * MAX_TRANSLATION * 24, 0, 1, 0),
    "translate_y": lambda amount: (1, 0, 0, 0, 1, amount * MAX_TRANSLATION * 24),
}


@pytest.mark.parametrize("amount", [-1.0, -0.4, 0.3, 1.0])
@pytest.mark.parametrize("name", PILLOW_MATRICES)
def test_shear_and_translation_are_pillows_in_the_same_direction(name: str, amount: float) -> None:
    matrix = PILLOW_MATRICES[name](amount)
    theirs = with_pillow(
        lambda image: image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR),
        photos(),
    )
    assert_same_where_covered(name, amount, theirs.float(), 1.01)  # Pillow rounds to whole numbers


@pytest.mark.parametrize("amount", [-1.0, 0.3])
def test_rotation_is_pillows_in_the_same_direction(amount: float) -> None:
    theirs = with_pillow(
        lambda image: image.rotate(amount * MAX_ROTATION, Image.Resampling.BILINEAR), photos()
    )
    # Pillow rounds to whole numbers, and the sine and cosine to 15 digits.
    assert_same_where_covered("rotate", amount, theirs.float(), 1.01)
