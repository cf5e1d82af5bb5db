"""Our corruptions against `imagecorruptions`, the authors' code as a package, at its 224 pixels.

Its elastic transform is one of its own, and its frost are photographs; the former is compared with OpenCV and
scikit-image called as the authors call them, the latter is not comparable.
"""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from corrupted_scenes import ours, scenes
from effnet.evaluation.corruptions.draws import Draws
from effnet.evaluation.corruptions.noise import impulse_noise
from effnet.evaluation.corruptions.severities import severities_for

peer = pytest.importorskip("imagecorruptions", reason="its OpenCV needs libGL", exc_type=ImportError)

SIDE = 224
# Which draw nothing, or nothing but numbers that do not show in a mean over pixels.
EXACT = ("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression")
RANDOM = ("gaussian_noise", "shot_noise", "impulse_noise", "glass_blur", "motion_blur", "snow", "fog")


@pytest.fixture(scope="module")
def images() -> Tensor:
    return scenes(4, SIDE)


def theirs(images: Tensor, name: str, severity: int) -> Tensor:
    arrays = images.permute(0, 2, 3, 1).numpy()
    corrupted = [peer.corrupt(array, severity=severity, corruption_name=name) for array in arrays]
    return torch.from_numpy(np.stack(corrupted)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_what_draws_nothing_is_the_same_to_a_grey_level(images: Tensor, name: str, severity: int) -> None:
    two = images[:2]
    assert (ours(two, name, severity).float() - theirs(two, name, severity).float()).abs().max() <= 1


def statistics(corrupted: Tensor, images: Tensor) -> list[float]:
    """Return what a corruption does on average: change, brightness, contrast, and how rough the image is."""
    values = corrupted.double()
    change = (values - images).abs().mean()
    return [
        each.item() for each in (change, values.mean(), values.std((2, 3)).mean(), values.diff().abs().mean())
    ]


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("severity", [1, 5])
def test_what_draws_has_the_same_statistics(images: Tensor, name: str, severity: int) -> None:
    np.random.seed(severity)
    expected = statistics(theirs(images, name, severity), images)
    # Fog and lines of motion are few draws for an image; noise is many.
    tolerance = {"fog": 0.3, "motion_blur": 0.2, "snow": 0.1}.get(name, 0.03)
    assert statistics(ours(images, name, severity), images) == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("side", [32, 224])
def test_elastic_transform_is_that_of_opencv_and_scikit_image(side: int, severity: int) -> None:
    scene = scenes(1, side)
    draws = Draws(0, 12 * 5 + severity, np.arange(1))
    expected = elastic_by_opencv(scene[0].permute(1, 2, 0).numpy(), severity, draws)
    difference = (ours(scene, "elastic_transform", severity)[0].permute(1, 2, 0).double() - expected).abs()
    assert difference.mean() < 0.6  # OpenCV rounds places to 1/32 pixel
    assert (difference > 8).double().mean() < 0.01


def elastic_by_opencv(image: NDArray[np.uint8], severity: int, draws: Draws) -> Tensor:
    import cv2
    from scipy.ndimage import map_coordinates
    from skimage import filters

    smoothed: Any = filters.gaussian  # untyped

    alpha, sigma, reach = severities_for(len(image)).elastic_transform[severity - 1]
    shape = image.shape[:2]
    centre, half = np.array(shape, np.float32) // 2, shape[0] // 3
    before = np.array([centre + half, [centre[0] + half, centre[1] - half], centre - half], np.float32)
    moves = draws.uniform(3, 2, stream=0)[0].numpy() * 2 - 1
    matrix = cv2.getAffineTransform(before, (before + moves * reach).astype(np.float32))
    values: Any = cv2.warpAffine(
        (image / 255.0).astype(np.float32), matrix, shape[::-1], borderMode=cv2.BORDER_REFLECT_101
    )
    noise = draws.uniform(2, *shape, stream=1)[0].numpy() * 2 - 1
    down, right = (smoothed(each, sigma, mode="reflect", truncate=3) * alpha for each in noise)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    channels = [
        map_coordinates(values[..., k], [rows + down, columns + right], order=1, mode="reflect")
        for k in range(3)
    ]
    return torch.from_numpy(np.stack(channels, -1)).double().clamp(0, 1) * 255


def test_impulses_are_those_of_scikit_image() -> None:
    """Scikit-image draws per value whether it is hit, then whether it becomes white: the shares are ours."""
    from skimage import util

    noisy: Any = util.random_noise  # untyped

    grey = np.full((64, 64, 3), 0.5)
    theirs = noisy(grey, "s&p", np.random.default_rng(0), amount=0.2)
    image = torch.full((1, 3, 64, 64), 128, dtype=torch.uint8)
    hit = impulse_noise(image, 0.2, Draws(0, 1, np.arange(1)))
    for value in (0, 1):
        share = (hit == 255 * value).double().mean().item()
        assert share == pytest.approx(float((theirs == value).mean()), rel=0.1)
