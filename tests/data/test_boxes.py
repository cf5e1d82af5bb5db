"""Rectangles for each image: sizes within bounds, pixels as a slow plain computation finds them."""

from math import floor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from effnet.data.boxes import (
    CROP_ASPECTS,
    ERASED_AREAS,
    ERASED_ASPECTS,
    box_mask,
    erased_boxes,
    normal_noise,
    placed,
    random_erasing,
    random_sizes,
    resize_one_by_one,
    resize_together,
    resized_crop,
)
from effnet.data.randomness import uniform

WHOLE = [1 - 2**-53, 0.5, 0.0, 0.0]
"""Draws of the largest crop: the whole image."""


def noise(count: int, side: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, side, side), generator=generator, dtype=torch.uint8)


def draws_for(count: int, numbers: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(uniform(seed, 0, np.arange(count), numbers))


def is_uniform(values: Tensor, low: float, high: float) -> bool:
    return bool(stats.kstest(values.numpy(), stats.uniform(low, high - low).cdf).pvalue > 0.001)


@given(smallest=st.floats(0.001, 1), span=st.floats(0, 1), seed=st.integers(0, 99))
def test_rectangles_fit_and_keep_to_their_bounds(smallest: float, span: float, seed: int) -> None:
    largest = smallest + span * (1 - smallest)
    heights, widths = random_sizes(draws_for(50, 2, seed), (smallest, largest), (0.3, 3.3))
    assert max(heights.max(), widths.max()) <= 1
    areas, aspects = heights * widths, widths / heights
    assert areas.min() >= smallest - 1e-9
    assert areas.max() <= largest + 1e-9
    assert aspects.min() >= 0.3 - 1e-9
    assert aspects.max() <= 3.3 + 1e-9


def test_areas_are_uniform_even_where_long_rectangles_do_not_fit() -> None:
    heights, widths = random_sizes(draws_for(5000, 2), (0.08, 1.0), CROP_ASPECTS)
    assert is_uniform(heights * widths, 0.08, 1.0)


def test_aspects_are_uniform_in_their_logarithm_where_all_fit() -> None:
    heights, widths = random_sizes(draws_for(5000, 2), (0.08, 0.7), CROP_ASPECTS)
    assert is_uniform((widths / heights).log(), np.log(3 / 4), np.log(4 / 3))
    assert is_uniform(heights * widths, 0.08, 0.7)


def crop_slowly(
    image: NDArray[np.uint8], draws: list[float], size: int, min_area: float
) -> NDArray[np.float64]:
    """Crop `(C, S, S)` pixel by pixel: where each pixel's middle falls, weigh the four around it."""
    side = image.shape[-1]
    sizes = random_sizes(torch.tensor([draws[:2]], dtype=torch.float64), (min_area, 1.0), CROP_ASPECTS)
    height, width = (max(1, round(float(length) * side)) for length in sizes)
    top, left = floor(draws[2] * (side - height + 1)), floor(draws[3] * (side - width + 1))
    box = image[:, top : top + height, left : left + width].astype(float)
    result = np.zeros((len(image), size, size))
    for row in range(size):
        for column in range(size):
            y = min(max((row + 0.5) * height / size - 0.5, 0), height - 1)
            x = min(max((column + 0.5) * width / size - 0.5, 0), width - 1)
            y0, x0 = floor(y), floor(x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            upper = box[:, y0, x0] * (1 - x + x0) + box[:, y0, x1] * (x - x0)
            lower = box[:, y1, x0] * (1 - x + x0) + box[:, y1, x1] * (x - x0)
            result[:, row, column] = upper * (1 - y + y0) + lower * (y - y0)
    return result


@pytest.mark.parametrize("size", [7, 12])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("min_area", [0.08, 0.5])
def test_crops_are_what_bilinear_sampling_by_hand_finds(size: int, channels: int, min_area: float) -> None:
    pixels, draws = noise(8, 9, channels), draws_for(8, 4)
    cropped = resized_crop(pixels, draws, size, min_area)
    assert (cropped.shape, cropped.dtype) == ((8, channels, size, size), torch.uint8)
    for image, own, crop in zip(pixels.numpy(), draws.tolist(), cropped.numpy(), strict=True):
        difference = np.abs(crop_slowly(image, own, size, min_area) - crop)
        assert difference.max() <= 1  # on a CPU torch rounds twice, to whole numbers in between
        assert difference.mean() < 0.4  # 0.25 where a value is rounded once


@given(side=st.integers(1, 40), size=st.integers(2, 24), seed=st.integers(0, 1000))
def test_the_way_of_a_gpu_differs_from_that_of_a_cpu_by_one_at_most(side: int, size: int, seed: int) -> None:
    pixels, draws = noise(4, side), draws_for(4, 4, seed)
    boxes = placed(random_sizes(draws[:, :2], (0.08, 1.0), CROP_ASPECTS), draws[:, 2:], side)
    one_by_one, together = (way(pixels, boxes, size).int() for way in (resize_one_by_one, resize_together))
    assert (one_by_one - together).abs().max() <= 1


def test_crops_leave_the_number_of_threads_as_it_was() -> None:
    usual = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        resized_crop(noise(2, 9), draws_for(2, 4), 5, 0.1)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(usual)


@pytest.mark.parametrize("side", [5, 8, 33])
def test_the_whole_image_at_its_own_size_stays_to_the_last_bit(side: int) -> None:
    pixels, draws = noise(3, side), torch.tensor([WHOLE] * 3, dtype=torch.float64)
    assert torch.equal(resized_crop(pixels, draws, side, 0.08), pixels)
    assert torch.equal(resized_crop(pixels, draws_for(3, 4), side, 1.0), pixels)


def test_the_whole_image_at_another_size_is_the_image_resized() -> None:
    pixels, draws = noise(3, 8), torch.tensor([WHOLE] * 3, dtype=torch.float64)
    resized = torch.nn.functional.interpolate(pixels.float(), (6, 6), mode="bilinear", align_corners=False)
    assert (resized_crop(pixels, draws, 6, 0.08) - resized).abs().max() <= 1.001


def test_a_crop_may_be_one_pixel() -> None:
    pixels = torch.full((2, 3, 4, 4), 7, dtype=torch.uint8)
    assert torch.equal(resized_crop(pixels, draws_for(2, 4), 1, 0.08), pixels[:, :, :1, :1])


def test_crops_reach_all_four_borders() -> None:
    """Pixels that name their row or column show where the outermost crops lie."""
    side = 100
    rows = torch.arange(side, dtype=torch.uint8).view(1, 1, side, 1).expand(1, 1, side, side)
    for pixels in (rows, rows.mT):
        for place, ends in ((0.0, (0, 49)), (1.0 - 2**-53, (50, 99))):
            draws = torch.tensor([[0.0, 0.5, place, place]], dtype=torch.float64)
            cut = resized_crop(pixels, draws, 50, 0.25)
            assert (int(cut.min()), int(cut.max())) == ends


@given(seed=st.integers(0, 999), side=st.integers(4, 64))
def test_erased_rectangles_lie_in_the_image_and_keep_to_their_bounds(seed: int, side: int) -> None:
    top, left, bottom, right = erased_boxes(draws_for(40, 4, seed), side).unbind(1)
    assert min(top.min(), left.min()) >= 0
    assert max(bottom.max(), right.max()) <= side
    heights, widths = bottom - top, right - left
    assert min(heights.min(), widths.min()) >= 1
    # Each side is rounded by half a pixel at most, or raised to one.
    assert ((heights - 0.5) * (widths - 0.5)).max() <= ERASED_AREAS[1] * side**2
    assert ((heights + 0.5) * (widths + 0.5)).min() >= ERASED_AREAS[0] * side**2
    assert ((widths - 0.5) / (heights + 0.5)).max() <= ERASED_ASPECTS[1]
    assert ((heights - 0.5) / (widths + 0.5)).max() <= 1 / ERASED_ASPECTS[0]


def test_erased_areas_are_uniform() -> None:
    top, left, bottom, right = erased_boxes(draws_for(4000, 4), 1000).unbind(1)
    assert is_uniform((bottom - top) * (right - left) / 1000**2, *ERASED_AREAS)


def test_erased_rectangles_reach_every_border() -> None:
    top, left, bottom, right = erased_boxes(draws_for(4000, 4), 20).unbind(1)
    assert [int(top.min()), int(left.min()), int(bottom.max()), int(right.max())] == [0, 0, 20, 20]


def test_a_mask_marks_the_inside_of_its_rectangle() -> None:
    boxes = torch.tensor([[0, 2, 3, 4], [4, 0, 5, 6], [2, 2, 2, 5]])
    masks = box_mask(boxes, torch.zeros(1, 3, 5, 6))
    assert masks.shape == (3, 1, 5, 6)
    for mask, (top, left, bottom, right) in zip(masks[:, 0], boxes.tolist(), strict=True):
        expected = torch.zeros(5, 6, dtype=torch.bool)
        expected[top:bottom, left:right] = True
        assert torch.equal(mask, expected)


def test_only_the_rectangle_of_a_drawn_image_becomes_noise() -> None:
    images, draws = torch.full((40, 3, 16, 16), 9.0), draws_for(40, 6)
    erased = random_erasing(images, draws, 0.4)
    boxes = erased_boxes(draws[:, 1:5], 16).tolist()
    for image, own, (top, left, bottom, right) in zip(erased, draws, boxes, strict=True):
        changed = torch.zeros(16, 16, dtype=torch.bool)
        if own[0] < 0.4:
            changed[top:bottom, left:right] = True
        for channel in image:
            assert torch.equal(channel != 9.0, changed)
    assert torch.equal(images, torch.full((40, 3, 16, 16), 9.0))


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_as_many_images_lose_a_rectangle_as_the_probability_says(probability: float, share: float) -> None:
    erased = random_erasing(torch.full((2000, 1, 8, 8), 9.0), draws_for(2000, 6), probability)
    changed = (erased != 9.0).flatten(1).any(1)
    assert stats.binomtest(int(changed.sum()), 2000, share).pvalue > 0.001


def test_erasing_does_not_depend_on_the_other_images() -> None:
    images, draws = torch.zeros(30, 3, 8, 8), draws_for(30, 6)
    together = random_erasing(images, draws, 0.5)
    for index in range(30):
        alone = random_erasing(images[index : index + 1], draws[index : index + 1], 0.5)
        assert torch.equal(alone[0], together[index])


def test_noise_is_standard_normal() -> None:
    values = normal_noise(torch.arange(20), torch.zeros(1, 3, 32, 32)).flatten()
    assert stats.kstest(values.numpy(), "norm").pvalue > 0.001
    assert values.isfinite().all()


def test_noise_has_no_pattern_between_pixels_channels_and_images() -> None:
    values = normal_noise((draws_for(50, 1)[:, 0] * 2**32).long(), torch.zeros(1, 3, 32, 32))
    for one, other in (
        (values[..., 1:], values[..., :-1]),
        (values[..., 1:, :], values[..., :-1, :]),
        (values[:, 1:], values[:, :-1]),
        (values[1:], values[:-1]),
    ):
        correlation = np.corrcoef(one.flatten(), other.flatten())[0, 1]
        assert abs(correlation) < 4.5 / np.sqrt(one.numel())


def test_noise_is_a_function_of_the_key() -> None:
    like = torch.zeros(7, 3, 4, 4)
    many = normal_noise(torch.tensor([5, 2**32 - 1, 0, 5]), like)
    assert many.shape == (4, 3, 4, 4)
    assert torch.equal(many[0], many[3])
    assert torch.equal(many[1:2], normal_noise(torch.tensor([2**32 - 1]), like))
    assert not torch.equal(many[0], many[2])
