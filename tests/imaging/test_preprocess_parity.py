"""The same pixels as torchvision's usual evaluation transform.

It calls Pillow, which since version 13 resizes some images by columns first; ours keep the order
of the versions before.
"""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from PIL import Image

import peers  # noqa: F401 - lets torchvision import beside a torch it was not built for
from effnet.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD, Interpolation, Preprocess

Transform = Callable[[Image.Image], Any]


def torchvision_transform(resize: int, resolution: int, interpolation: Interpolation) -> Transform:
    from torchvision import transforms

    steps = [
        transforms.Resize(resize, transforms.InterpolationMode(interpolation)),
        transforms.CenterCrop(resolution),
        transforms.ToTensor(),
        transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
    ]
    composed: Transform = transforms.Compose(steps)
    return composed


one_call = Image.Image.resize


def rows_first(image: Image.Image, size: tuple[int, int], resample: Image.Resampling) -> Image.Image:
    """Resize as Pillow before 13."""
    return one_call(one_call(image, (size[0], image.height), resample), size, resample)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@example(width=46, height=161, resize=27)  # 94.5, but 161 · (27 / 46) is a little more
@given(width=st.integers(5, 300), height=st.integers(5, 300), resize=st.integers(24, 32))
def test_resize_crop_and_normalise_as_torchvision(
    interpolation: Interpolation, width: int, height: int, resize: int
) -> None:
    # torchvision cuts off the fraction of the resized long side, ours rounds it.
    short, long = sorted((width, height))
    assume(int(resize * long / short) == round(resize * long / short))
    assume(long <= 16 * short)
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(values)
    with patch.object(Image.Image, "resize", rows_first):
        theirs = torchvision_transform(resize, 24, interpolation)(image).numpy()
    ours = Preprocess(24, 24 / resize, interpolation)(image)
    assert np.abs(ours - theirs).max() < 1e-5  # far below one step of a pixel, which is 0.017
