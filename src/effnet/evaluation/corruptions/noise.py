"""Noise: of the sensor, of the light, of single values."""

import torch
from torch import Tensor

from effnet.evaluation.corruptions.draws import Draws
from effnet.evaluation.corruptions.pixels import levels, shares


def gaussian_noise(images: Tensor, std: float, draws: Draws) -> Tensor:
    """Add normal noise to each value: low light."""
    return levels(shares(images) + std * draws.normal(*images.shape[1:], stream=0))


def shot_noise(images: Tensor, photons: float, draws: Draws) -> Tensor:
    """Count photons, `photons` at full brightness."""
    return levels(draws.poisson(shares(images) * photons, stream=0) / photons)


def impulse_noise(images: Tensor, share: float, draws: Draws) -> Tensor:
    """Make a share of the values black or white, half of them each: bit errors."""
    drawn = draws.uniform(*images.shape[1:], stream=0)
    white = torch.where(drawn <= share / 2, 255, images)
    return torch.where((drawn > share / 2) & (drawn <= share), 0, white).to(torch.uint8)
