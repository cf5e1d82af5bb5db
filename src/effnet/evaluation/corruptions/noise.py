"""Noise: of the sensor, of the light, of single values."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from effnet.evaluation.corruptions.draws import Draws
from effnet.evaluation.corruptions.pixels import levels, shares

QUANTILE_BITS = 16


def gaussian_noise(images: Tensor, std: float, draws: Draws) -> Tensor:
    """Add normal noise to each value: low light."""
    return levels(shares(images) + std * draws.normal(*images.shape[1:], stream=0))


def shot_noise(images: Tensor, photons: float, draws: Draws) -> Tensor:
    """Count photons, `photons` at full brightness."""
    place = (images.long() << QUANTILE_BITS) + draws.words(*images.shape[1:], stream=0)
    return _outcomes(photons).take(place)


@lru_cache(maxsize=2)  # 16 MB
def _outcomes(photons: float) -> Tensor:
    """Return what a value may become: `(256, 65536)` uint8, in each row equally probable outcomes, rising.

    A value is one of 256, so these are all the Poisson distributions there are. Drawing from the table is 15
    times as fast as from the distributions; what is less probable than 1 in 65,536 does not happen.
    """
    from scipy.stats import poisson

    means = np.arange(256)[:, None] / 255.0 * photons
    counts = np.arange(int(poisson.ppf(1.0 - 2.0**-QUANTILE_BITS, photons)) + 1)
    steps = np.rint(poisson.cdf(counts, means) * (1 << QUANTILE_BITS)).astype(np.int64)
    steps[:, -1] = 1 << QUANTILE_BITS
    values = levels(torch.from_numpy(counts / photons)).numpy()
    rows = [np.repeat(values, np.diff(row, prepend=0)) for row in steps]
    return torch.from_numpy(np.stack(rows))


def impulse_noise(images: Tensor, share: float, draws: Draws) -> Tensor:
    """Make a share of the values black or white, half of them each: bit errors."""
    drawn = draws.uniform(*images.shape[1:], stream=0)
    white = torch.where(drawn <= share / 2, 255, images)
    return torch.where((drawn > share / 2) & (drawn <= share), 0, white).to(torch.uint8)
