"""Augment a batch on the device: crop, flip, RandAugment, normalise. Each image follows its own draws."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effnet.config import AugmentConfig
from effnet.imaging.preprocess import Preprocess

_CROP_DRAWS = 2
_FLIP_DRAWS = 1
_OPERATION_DRAWS = 2


class Augment:
    """From stored pixels and draws to the network's input."""

    def __init__(self, config: AugmentConfig, preprocess: Preprocess) -> None:
        self.config = config
        self.preprocess = preprocess

    @property
    def num_draws(self) -> int:
        """Random numbers that each image uses."""
        return _CROP_DRAWS + _FLIP_DRAWS + _OPERATION_DRAWS * self.config.rand_augment_ops

    def __call__(self, pixels: Tensor, draws: NDArray[np.float64]) -> Tensor:
        """Augment and normalise.

        Args:
            pixels: `(N, C, S, S)` uint8, S at least the resolution of the preprocessing.
            draws: `(N, num_draws)`, uniform in [0, 1).

        Returns:
            `(N, C, resolution, resolution)` float32.

        """
        uniform = torch.from_numpy(draws)
        crops, flips = uniform[:, :_CROP_DRAWS], uniform[:, _CROP_DRAWS]
        pixels = random_crop(pixels, crops, self.preprocess.resolution, self.config.crop_padding)
        if self.config.flip:
            pixels = random_flip(pixels, flips)
        images = pixels.float() / 255.0
        if self.config.rand_augment_ops:
            images = self._rand_augment(images, uniform[:, _CROP_DRAWS + _FLIP_DRAWS :])
        normalised: Tensor = self.preprocess.normalise(images)
        return normalised

    def _rand_augment(self, images: Tensor, draws: Tensor) -> Tensor:
        """Fill what is uncovered with the mean: zero after normalisation, like a convolution's padding."""
        from effnet.data.rand_augment import rand_augment

        fill = images.new_tensor(self.preprocess.mean)
        return rand_augment(images, draws, self.config.rand_augment_magnitude, fill)


def random_crop(pixels: Tensor, draws: Tensor, size: int, padding: int) -> Tensor:
    """Cut a `size`² window out of each image, at a place drawn uniformly.

    Args:
        pixels: `(N, C, S, S)` uint8.
        draws: `(N, 2)`, uniform in [0, 1): row and column of the window.
        size: side of the window in pixels.
        padding: pixels added on each side by reflection before.

    Returns:
        `(N, C, size, size)` uint8.

    """
    side = pixels.shape[-1]
    room = side + 2 * padding - size + 1
    if room == 1:
        return pixels
    starts = (draws * room).long().to(pixels.device) - padding  # (N, 2)
    window = torch.arange(size, device=pixels.device)
    rows = reflect(starts[:, :1] + window, side)[:, None, :, None]  # (N, 1, size, 1)
    columns = reflect(starts[:, 1:] + window, side)[:, None, None, :]  # (N, 1, 1, size)
    image = torch.arange(len(pixels), device=pixels.device)[:, None, None, None]
    channel = torch.arange(pixels.shape[1], device=pixels.device)[None, :, None, None]
    return pixels[image, channel, rows, columns]


def reflect(index: Tensor, side: int) -> Tensor:
    """Fold pixel indices that lie outside 0 … side - 1 back by reflection at the border pixels."""
    last = side - 1
    period = max(1, 2 * last)  # padding may be wider than the image
    return last - (last - index.abs() % period).abs()


def random_flip(pixels: Tensor, draws: Tensor) -> Tensor:
    """Mirror the images `(N, C, H, W)` whose draw `(N,)` is below one half."""
    flips = (draws < 0.5).to(pixels.device)[:, None, None, None]
    return torch.where(flips, pixels.flip(-1), pixels)
