"""Augment a batch on the device: crop, flip, policy, normalise, erase. Each image follows its own draws."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from effnet.config import AugmentConfig
from effnet.data.boxes import random_erasing, resized_crop
from effnet.device import one_thread
from effnet.imaging.preprocess import Preprocess


@dataclass(frozen=True)
class Stage:
    """One change to a batch, and how many random numbers it uses for each image."""

    num_draws: int
    apply: Callable[[Tensor, Tensor], Tensor]
    """From `images (N, C, H, W)` and `draws (N, num_draws)` on the CPU."""


class Augment:
    """From stored pixels and draws to the network's input; `size` is its side, if not the resolution."""

    def __init__(self, config: AugmentConfig, preprocess: Preprocess, size: int | None = None) -> None:
        seen = preprocess if size is None else replace(preprocess, resolution=size)
        plain = config.policy == "none" and seen.resolution == preprocess.resolution
        # A filter's last bits depend on how images lie in memory, which differs between memory and stream.
        lie = torch.preserve_format if plain else torch.contiguous_format
        self.stages = (
            _cropping(config, preprocess.resolution),
            Stage(1, random_flip if config.flip else _leave),
            Stage(0, lambda pixels, _: pixels.to(torch.float32, memory_format=lie).div_(255.0)),
            _shrinking(preprocess.resolution, seen.resolution),
            _policy(config, seen),
            Stage(0, lambda images, _: preprocess.normalise_(images)),
            _erasing(config),
        )

    @property
    def num_draws(self) -> int:
        """Random numbers that each image uses."""
        return sum(stage.num_draws for stage in self.stages)

    def __call__(self, pixels: Tensor, draws: NDArray[np.float64]) -> Tensor:
        """Augment and normalise.

        Args:
            pixels: `(N, C, S, S)` uint8, S at least the resolution of the preprocessing.
            draws: `(N, num_draws)`, uniform in [0, 1).

        Returns:
            `(N, C, size, size)` float32.

        """
        images = pixels
        parts = torch.split(torch.from_numpy(draws), [stage.num_draws for stage in self.stages], dim=1)
        for stage, part in zip(self.stages, parts, strict=True):
            images = stage.apply(images, part)
        return images


def _leave(images: Tensor, draws: Tensor) -> Tensor:
    return images


def _cropping(config: AugmentConfig, size: int) -> Stage:
    if config.resized_crop:
        return Stage(4, partial(resized_crop, size=size, min_area=config.resized_crop))
    return Stage(2, partial(random_crop, size=size, padding=config.crop_padding))


def _shrinking(resolution: int, size: int) -> Stage:
    """Show the same part of the picture in fewer pixels, filtered against aliasing."""
    if size == resolution:
        return Stage(0, _leave)
    shrink = partial(interpolate, size=(size, size), mode="bilinear", antialias=True)
    return Stage(0, lambda images, _: shrink(images))


def _policy(config: AugmentConfig, preprocess: Preprocess) -> Stage:
    """Fill what is uncovered with the mean: zero after normalisation, like a convolution's padding."""
    if config.policy == "none":
        return Stage(0, _leave)
    from effnet.data.policies import POLICIES, apply_policy

    policy = POLICIES[config.policy](config, preprocess.resolution)
    return Stage(policy.num_draws, partial(apply_policy, policy=policy, fill=torch.tensor(preprocess.mean)))


def _erasing(config: AugmentConfig) -> Stage:
    if not config.erasing:
        return Stage(0, _leave)
    return Stage(6, partial(random_erasing, probability=config.erasing))


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
    rows, columns = reflect(starts[:, :1] + window, side), reflect(starts[:, 1:] + window, side)  # (N, size)
    # Whole rows first, then columns: 7 times as fast as one index of rows and columns.
    count, channels = pixels.shape[:2]
    planes = torch.arange(count * channels, device=pixels.device).view(count, channels, 1)
    picked = (planes * side + rows[:, None]).flatten()  # (N · C · size,)
    stripes = pixels.reshape(-1, side).index_select(0, picked).view(count, channels, size, side)
    return stripes.gather(3, columns[:, None, None, :].expand(-1, channels, size, -1))


def reflect(index: Tensor, side: int) -> Tensor:
    """Fold pixel indices that lie outside 0 … side - 1 back by reflection at the border pixels."""
    last = side - 1
    period = max(1, 2 * last)  # padding may be wider than the image
    return last - (last - index.abs() % period).abs()


def random_flip(pixels: Tensor, draws: Tensor) -> Tensor:
    """Mirror the images `(N, C, H, W)` whose draw `(N, 1)` is below one half."""
    mirrored = draws[:, 0] < 0.5
    if pixels.device.type == "cpu":
        return flip_one_by_one(pixels, mirrored)
    rows = torch.nonzero(mirrored)[:, 0].to(pixels.device)  # known without waiting
    return pixels.index_copy(0, rows, pixels.index_select(0, rows).flip(-1))


@one_thread()
def flip_one_by_one(pixels: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror the images `(N, C, H, W)` that are `mirrored (N,)`: on a CPU an eighth of the time if large."""
    pairs = zip(torch.split(pixels, 1), mirrored.tolist(), strict=True)
    return torch.cat([image.flip(-1) if turned else image for image, turned in pairs])
