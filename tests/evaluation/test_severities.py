"""The constants against the authors' scripts: hendrycks/robustness, ImageNet-C/create_c, line by line."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effnet.evaluation.corruptions.severities import (
    CIFAR_C,
    CORRUPTION_NAMES,
    IMAGENET_C,
    NUM_SEVERITIES,
    PUBLISHED,
    TINY_IMAGENET_C,
    Severities,
    severities_for,
)

# The lists `c` of make_cifar_c.py at commit ca360085d57889288c4143fddd8a707bbcae01bd.
MAKE_CIFAR_C: dict[str, list[Any]] = {
    "gaussian_noise": [0.04, 0.06, .08, .09, .10],
    "shot_noise": [500, 250, 100, 75, 50],
    "impulse_noise": [.01, .02, .03, .05, .07],
    "glass_blur": [(0.05,1,1), (0.25,1,1), (0.4,1,1), (0.25,1,2), (0.4,1,2)],
    "defocus_blur": [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
    "motion_blur": [(6,1), (6,1.5), (6,2), (8,2), (9,2.5)],
    "zoom_blur": [(1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)],
    "fog": [(.2,3), (.5,3), (0.75,2.5), (1,2), (1.5,1.75)],
    "frost": [(1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)],
    "snow": [(0.1,0.2,1,0.6,8,3,0.95), (0.1,0.2,1,0.5,10,4,0.9), (0.15,0.3,1.75,0.55,10,4,0.9),
             (0.25,0.3,2.25,0.6,12,6,0.85), (0.3,0.3,1.25,0.65,14,12,0.8)],
    "contrast": [.75, .5, .4, .3, 0.15],
    "brightness": [.05, .1, .15, .2, .3],
    "jpeg_compression": [80, 65, 58, 50, 40],
    "pixelate": [0.95, 0.9, 0.85, 0.75, 0.65],
    "elastic_transform": [(32*0, 32*0, 32*0.08), (32*0.05, 32*0.2, 32*0.07), (32*0.08, 32*0.06, 32*0.06),
                          (32*0.1, 32*0.04, 32*0.05), (32*0.1, 32*0.03, 32*0.03)],
}  # fmt: skip

# Of make_tinyimagenet_c.py at commit 7a64e6a188082e666f200dc1b9762cfb5cdf8fe8.
MAKE_TINYIMAGENET_C: dict[str, list[Any]] = {
    "gaussian_noise": [0.04, 0.08, .12, .15, .18],
    "shot_noise": [250, 100, 50, 30, 15],
    "impulse_noise": [.01, .02, .05, .08, .14],
    "glass_blur": [(0.1,1,1), (0.5,1,1), (0.6,1,2), (0.7,2,1), (0.9,2,2)],
    "defocus_blur": [(0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)],
    "motion_blur": [(10,1), (10,1.5), (10,2), (10,2.5), (12,3)],
    "zoom_blur": [(1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)],
    "fog": [(.4,3), (.7,3), (1,2.5), (1.5,2), (2,1.75)],
    "frost": [(1, 0.3), (0.9, 0.4), (0.8, 0.45), (0.75, 0.5), (0.7, 0.55)],
    "snow": [(0.1,0.2,1,0.6,8,3,0.8), (0.1,0.2,1,0.5,10,4,0.8), (0.15,0.3,1.75,0.55,10,4,0.7),
             (0.25,0.3,2.25,0.6,12,6,0.65), (0.3,0.3,1.25,0.65,14,12,0.6)],
    "contrast": [.4, .3, .2, .1, 0.05],
    "brightness": [.1, .2, .3, .4, .5],
    "jpeg_compression": [65, 58, 50, 40, 25],
    "pixelate": [0.9, 0.8, 0.7, 0.6, 0.5],
    "elastic_transform": [(64*0, 64*0, 64*0.08), (64*0.05, 64*0.3, 64*0.06), (64*0.1, 64*0.08, 64*0.06),
                          (64*0.1, 64*0.03, 64*0.03), (64*0.16, 64*0.03, 64*0.02)],
}  # fmt: skip

# Of make_imagenet_c.py at commit e0377d46411fa30c01a9559017bdb6a5f78d4abf.
MAKE_IMAGENET_C: dict[str, list[Any]] = {
    "gaussian_noise": [.08, .12, 0.18, 0.26, 0.38],
    "shot_noise": [60, 25, 12, 5, 3],
    "impulse_noise": [.03, .06, .09, 0.17, 0.27],
    "glass_blur": [(0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)],
    "defocus_blur": [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)],
    "motion_blur": [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)],
    "zoom_blur": [(1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)],
    "fog": [(1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)],
    "frost": [(1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)],
    "snow": [(0.1, 0.3, 3, 0.5, 10, 4, 0.8), (0.2, 0.3, 2, 0.5, 12, 4, 0.7), (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
             (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65), (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55)],
    "contrast": [0.4, .3, .2, .1, .05],
    "brightness": [.1, .2, .3, .4, .5],
    "jpeg_compression": [25, 18, 15, 10, 7],
    "pixelate": [0.6, 0.5, 0.4, 0.3, 0.25],
    "elastic_transform": [(244 * 2, 244 * 0.7, 244 * 0.1), (244 * 2, 244 * 0.08, 244 * 0.2),
                          (244 * 0.05, 244 * 0.01, 244 * 0.02), (244 * 0.07, 244 * 0.01, 244 * 0.02),
                          (244 * 0.12, 244 * 0.01, 244 * 0.02)],
}  # fmt: skip

TABLES = {
    32: (CIFAR_C, MAKE_CIFAR_C),
    64: (TINY_IMAGENET_C, MAKE_TINYIMAGENET_C),
    224: (IMAGENET_C, MAKE_IMAGENET_C),
}
FROST_SCALES = {32: 0.2, 64: 0.3, 224: 1.0}
"""`fx` of cv2.resize in the authors' scripts."""


def flat(value: Any) -> tuple[float, ...]:
    """Return the numbers of a constant, without the names that ours have."""
    return tuple(number for part in value for number in flat(part)) if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("side", TABLES)
@pytest.mark.parametrize("name", CORRUPTION_NAMES)
def test_constants_are_the_authors(side: int, name: str) -> None:
    ours, theirs = TABLES[side]
    scale = (FROST_SCALES[side],) if name == "frost" else ()
    assert [flat(value) for value in getattr(ours, name)] == [flat(value) + scale for value in theirs[name]]


@pytest.mark.parametrize("side", TABLES)
def test_published_sizes_have_the_published_constants(side: int) -> None:
    assert severities_for(side) == TABLES[side][0]


@pytest.mark.parametrize(("side", "like"), [(33, 32), (63, 32), (65, 64), (119, 64), (120, 224), (600, 224)])
def test_between_them_the_constants_are_those_of_the_stated_size(side: int, like: int) -> None:
    constants = severities_for(side)
    assert constants.gaussian_noise == TABLES[like][0].gaussian_noise
    for ours, published in zip(constants.motion_blur, TABLES[like][0].motion_blur, strict=True):
        assert ours.radius == pytest.approx(published.radius * side / like)
        assert ours.sigma == pytest.approx(published.sigma * side / like)


def test_the_nearer_size_by_ratio_is_taken_above_64() -> None:
    assert [start for start in PUBLISHED if start > 1] == [64, 120]
    assert 119 / 64 < 224 / 119
    assert 120 / 64 > 224 / 120


def test_lengths_in_pixels_do_not_shrink_below_32() -> None:
    assert severities_for(16).defocus_blur == CIFAR_C.defocus_blur
    assert severities_for(16).side == 16


@given(st.integers(8, 1000))
def test_every_size_has_five_of_each(side: int) -> None:
    constants = severities_for(side)
    assert isinstance(constants, Severities)
    assert {len(getattr(constants, name)) for name in CORRUPTION_NAMES} == {NUM_SEVERITIES}
    assert all(snow.zoom >= 1 for snow in constants.snow)
    assert all(glass.max_delta >= 1 for glass in constants.glass_blur)
