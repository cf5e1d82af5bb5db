"""Resize, crop, normalise: shapes, values, and the value that describes them."""

import json
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from effnet.errors import UsageError
from effnet.imaging.preprocess import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Interpolation,
    Preprocess,
    from_dict,
    to_dict,
)

FILTERS = get_args(Interpolation)

interpolations = st.sampled_from(FILTERS)
means = st.sampled_from([(0.3,), IMAGENET_MEAN])
preprocesses = st.builds(
    lambda resolution, crop, interpolation, mean: Preprocess(resolution, crop, interpolation, mean, mean),
    st.integers(1, 40),
    st.floats(0.2, 1.0),
    interpolations,
    means,
)


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def grey(resolution: int) -> Preprocess:
    return Preprocess(resolution, mean=(0.3,), std=(0.35,))


def channels_first(image: Image.Image) -> np.ndarray[Any, Any]:
    return np.asarray(image).transpose(2, 0, 1)


@given(preprocess=preprocesses, width=st.integers(1, 300), height=st.integers(1, 300))
def test_every_size_becomes_one_shape(preprocess: Preprocess, width: int, height: int) -> None:
    shape = (len(preprocess.mean), preprocess.resolution, preprocess.resolution)
    pixels = preprocess.pixels(noise(width, height))
    assert (pixels.shape, pixels.dtype.name) == (shape, "uint8")
    result = preprocess(noise(width, height))
    assert (result.shape, result.dtype.name) == (shape, "float32")


@pytest.mark.parametrize("size", [(1, 100_000), (100_000, 1), (3, 50_000)])
def test_a_hair_of_an_image_does_not_fill_the_memory(size: tuple[int, int]) -> None:
    assert Preprocess(224).pixels(Image.new("RGB", size, "red"))[0].min() == 255


@given(interpolation=interpolations, extra=st.integers(0, 30))
def test_of_a_very_long_image_the_middle_is_taken(interpolation: Interpolation, extra: int) -> None:
    width = 80 + extra
    image = noise(width, 4)
    whole = image.resize((2 * width, 8), Image.Resampling[interpolation.upper()])
    left = round((2 * width - 8) / 2)
    expected = channels_first(whole.crop((left, 0, left + 8, 8)))
    assert np.array_equal(Preprocess(8, interpolation=interpolation).pixels(image), expected)


@pytest.mark.parametrize("interpolation", FILTERS)
def test_an_image_of_the_right_size_is_left_alone(interpolation: Interpolation) -> None:
    image = noise(24, 24)
    assert np.array_equal(Preprocess(24, 1.0, interpolation).pixels(image), channels_first(image))


def test_the_crop_is_the_middle() -> None:
    image = noise(8, 8)
    assert np.array_equal(Preprocess(4, 0.5).pixels(image), channels_first(image)[:, 2:6, 2:6])


@pytest.mark.parametrize(("size", "rows", "columns"), [((10, 4), (0, 4), (3, 7)), ((4, 12), (4, 8), (0, 4))])
def test_the_middle_of_the_long_side_is_kept(
    size: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    image = noise(*size)
    expected = channels_first(image)[:, slice(*rows), slice(*columns)]
    assert np.array_equal(Preprocess(4).pixels(image), expected)


def test_the_short_side_decides_the_scale() -> None:
    halves = Image.new("RGB", (40, 10), "black")
    halves.paste("white", (20, 0, 40, 10))
    pixels = Preprocess(20, interpolation="nearest").pixels(halves)
    assert pixels[:, :, :10].max() == 0
    assert pixels[:, :, 10:].min() == 255


@given(interpolation=interpolations, side=st.integers(2, 90), cut=st.integers(1, 5))
def test_the_middle_of_square_is_pixels(interpolation: Interpolation, side: int, cut: int) -> None:
    resized = 20 + 2 * cut
    preprocess = Preprocess(20, 20 / resized, interpolation)
    assert preprocess.resized_short_side == resized
    image = noise(side, side)
    whole = preprocess.square(image, resized)
    assert np.array_equal(whole[:, cut:-cut, cut:-cut], preprocess.pixels(image))


@given(
    side=st.integers(20, 60),
    crop=st.floats(0.3, 1.0),
    width=st.integers(60, 2000),
    height=st.integers(60, 2000),
)
def test_the_region_is_the_part_of_the_picture_that_is_kept(
    side: int, crop: float, width: int, height: int
) -> None:
    preprocess = Preprocess(side, crop, "bilinear", (0.5,), (0.5,))
    left, top, right, bottom = preprocess.region(width, height)
    shares = (np.arange(side) + 0.5) / side  # where the centres of the kept pixels lie in it
    across, down = ramp(width, height), ramp(height, width).transpose(Image.Transpose.TRANSPOSE)
    np.testing.assert_allclose(
        preprocess.pixels(across)[0].mean(0), 255 * (left + shares * (right - left)), atol=5
    )
    np.testing.assert_allclose(
        preprocess.pixels(down)[0].mean(1), 255 * (top + shares * (bottom - top)), atol=5
    )


def ramp(width: int, height: int) -> Image.Image:
    """Return a grey image that becomes brighter from left to right."""
    values = 255 * (np.arange(width) + 0.5) / width
    return Image.fromarray(np.repeat(values.round().astype(np.uint8)[None], height, axis=0))


def test_grey_networks_see_the_luminance() -> None:
    image = noise(8, 8)
    assert np.array_equal(grey(8).pixels(image)[0], np.asarray(image.convert("L")))


def test_transparent_pixels_are_white() -> None:
    assert Preprocess(4).pixels(Image.new("RGBA", (4, 4), (9, 9, 9, 0))).min() == 255


def test_normalising_is_the_formula_in_numpy() -> None:
    image = noise(6, 6)
    expected = (channels_first(image) / 255 - np.reshape(IMAGENET_MEAN, (3, 1, 1))) / np.reshape(
        IMAGENET_STD, (3, 1, 1)
    )
    assert np.allclose(Preprocess(6)(image), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("lie", [torch.contiguous_format, torch.channels_last])
def test_normalising_in_place_gives_the_same_bits_and_leaves_the_order_of_memory(
    lie: torch.memory_format,
) -> None:
    values = torch.from_numpy(np.random.default_rng(1).random((2, 3, 5, 5), dtype=np.float32))
    result = Preprocess(5).normalise_(values.clone(memory_format=lie))
    assert torch.equal(result, Preprocess(5).normalise(values))
    assert result.is_contiguous(memory_format=lie)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_normalising_is_the_same_in_torch_and_keeps_the_type(dtype: torch.dtype) -> None:
    values = np.random.default_rng(1).random((2, 3, 5, 5), dtype=np.float32)
    result = Preprocess(5).normalise(torch.from_numpy(values).to(dtype))
    assert result.dtype == dtype
    expected = torch.from_numpy(Preprocess(5).normalise(values)).to(dtype)
    assert torch.allclose(result, expected, rtol=0, atol=1e-2 if dtype == torch.float16 else 1e-6)


@pytest.mark.parametrize(
    "bad",
    [
        {"mean": [0.5], "std": [0.5, 0.5, 0.5]},
        {"mean": [], "std": []},
        {"std": [0.2, 0.0, 0.2]},
        {"std": [0.2, -0.2, 0.2]},
        {"mean": [0.5, float("nan"), 0.5]},
        {"std": [0.5, float("inf"), 0.5]},
        {"crop": 0.0},
        {"crop": 1.01},
        {"resolution": 0},
        {"resolution": 2.5},
        {"interpolation": "cubic"},
        {"colour": "RGB"},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_an_error(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"^preprocessing: .*{next(iter(bad))}"):
        from_dict({"resolution": 32} | bad)


@given(preprocess=preprocesses)
def test_denormalised_are_the_pixels_exactly(preprocess: Preprocess) -> None:
    image = noise(30, 20)
    assert np.array_equal(preprocess.denormalise(preprocess(image)), preprocess.pixels(image))


@given(preprocess=preprocesses)
def test_json_keeps_every_value(preprocess: Preprocess) -> None:
    assert from_dict(json.loads(json.dumps(to_dict(preprocess)))) == preprocess


def test_the_mode_follows_from_the_number_of_channels() -> None:
    assert (Preprocess(8).mode, grey(8).mode) == ("RGB", "L")


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_rows_are_resized_before_columns_whatever_pillow_would_choose(interpolation: Interpolation) -> None:
    """Pillow 13 takes the columns of this one first."""
    image = noise(5, 13)
    resample = Image.Resampling[interpolation.upper()]
    rows_first = np.asarray(image.resize((4, 13), resample).resize((4, 10), resample))
    pixels = Preprocess(4, interpolation=interpolation).pixels(image)
    assert np.array_equal(pixels, rows_first[3:7].transpose(2, 0, 1))
