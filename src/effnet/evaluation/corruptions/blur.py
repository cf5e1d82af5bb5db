"""Blur: of a lens out of focus, of frosted glass, of a moving and of an approaching camera."""

from functools import cache, lru_cache
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from effnet.evaluation.corruptions.constants import Defocus, Glass, Motion, Zoom
from effnet.evaluation.corruptions.draws import Draws
from effnet.evaluation.corruptions.pixels import levels, motion, shares, smooth, zoom_line

SMALL_DISC = 8  # pixels; a larger one gets a wider soft border


def defocus_blur(images: Tensor, lens: Defocus, draws: Draws) -> Tensor:
    """Blur by a disc, by Fourier transform; the border is mirrored without the outermost pixel."""
    kernel = disc(lens.radius, lens.alias_blur)
    reach, side = kernel.shape[-1] // 2, images.shape[-1]
    padded = mirrored(shares(images), reach)
    size = padded.shape[-2:]
    product = torch.fft.rfft2(padded) * torch.fft.rfft2(kernel, s=size)
    blurred = torch.fft.irfft2(product, s=size)
    return levels(blurred[..., 2 * reach : 2 * reach + side, 2 * reach : 2 * reach + side])


@cache
def disc(radius: float, alias_blur: float) -> Tensor:
    """Return the kernel: a disc of full pixels, its border softened by 3×3 or 5×5 pixels of a Gaussian.

    A disc that touches the border of its array, as those of 8 and 10 pixels do, is mirrored there when it is
    softened, so that the weights sum up to a little more than 1. The published images are that much brighter.
    """
    soft, reach = (1, SMALL_DISC) if radius <= SMALL_DISC else (2, ceil(radius))
    line = torch.arange(-reach, reach + 1, dtype=torch.float64)
    inside = (line[:, None] ** 2 + line**2 <= radius**2).double()[None, None]
    weights = torch.exp(-(torch.arange(-soft, soft + 1, dtype=torch.float64) ** 2) / (2 * alias_blur**2))
    weights /= weights.sum()
    softened = F.conv2d(mirrored(inside, soft), torch.outer(weights, weights)[None, None])[0, 0]
    return softened / inside.sum()


def mirrored(values: Tensor, margin: int) -> Tensor:
    """Continue `values (N, C, S, S)` beyond their border by its mirror image, as often as needed."""
    side = values.shape[-1]
    period = max(1, 2 * (side - 1))
    place = torch.arange(-margin, side + margin) % period
    index = torch.where(place < side, place, period - place)
    return values[..., index, :][..., index]


def glass_blur(images: Tensor, glass: Glass, draws: Draws) -> Tensor:
    """Blur, take each pixel from somewhere near, blur again."""
    side = images.shape[-1]
    blurred = levels(smooth(shares(images), glass.sigma, mode="nearest", truncate=4.0))
    for iteration in range(glass.iterations):
        moves = draws.integers(-glass.max_delta, glass.max_delta, 2, side, side, stream=iteration)
        blurred = move_pixels(blurred, moves, glass.max_delta)
    return levels(smooth(shares(blurred), glass.sigma, mode="nearest", truncate=4.0))


def move_pixels(images: Tensor, moves: Tensor, reach: int) -> Tensor:
    """Replace pixel by pixel, from the bottom right to the top left, by the one `moves` points to.

    The authors mean to swap two pixels, but in numpy `x[a], x[b] = x[b], x[a]` copies the one and leaves
    the other; the published images were made so. A pixel may be taken from one that was replaced before:
    each is followed to where it comes from at last, in steps that double (Wyllie's pointer jumping).

    Args:
        images: `(N, C, S, S)` uint8.
        moves: rows down and columns right, `(N, 2, S, S)`.
        reach: no pixel nearer than this to the border is replaced, nor the next one at the top and left.

    """
    count, _, side, _ = images.shape
    line = torch.arange(side)
    inner = (line > reach) & (line <= side - reach)
    replaced = (inner[:, None] & inner).reshape(1, -1)
    here = torch.arange(side * side)
    there = here + (moves[:, 0] * side + moves[:, 1]).reshape(count, -1)
    source = torch.where(replaced, there, here)
    # A node stands for a pixel after its replacement, or, `side²` further on, before it.
    before = here + side * side
    from_new = (source > here) & replaced.expand(count, -1).gather(1, source)
    follow = torch.cat([torch.where(from_new, source, source + side * side), before.expand(count, -1)], 1)
    while not bool((follow[:, : side * side] >= side * side).all()):
        follow = follow.gather(1, follow)
    origin = (follow[:, : side * side] - side * side).unsqueeze(1).expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, origin).reshape(images.shape)


def motion_blur(images: Tensor, line: Motion, draws: Draws) -> Tensor:
    """Blur along a line that falls or rises by at most 45°."""
    degrees = draws.uniform(stream=0) * 90.0 - 45.0
    return levels(motion(shares(images), line.radius, line.sigma, degrees))


def zoom_blur(images: Tensor, zoom: Zoom, draws: Draws) -> Tensor:
    """Average the image with its enlargements: as that is linear, by one sparse matrix."""
    count, channels, side, _ = images.shape
    columns = shares(images).reshape(count * channels, side * side).T.contiguous().numpy()
    averaged = torch.from_numpy(_mean_of_zooms(side, zoom) @ columns)
    return levels(averaged.T.reshape(images.shape))


@lru_cache(maxsize=2)  # 130 MB for 600 pixels
def _mean_of_zooms(side: int, zoom: Zoom) -> Any:
    """Return the sparse matrix `(side², side²)` that makes the mean from an image's pixels."""
    from scipy.sparse import csr_array, eye_array, kron

    factors = np.arange(1, zoom.stop, zoom.step).tolist()  # rounding decides which is the last one
    lines = (csr_array(zoom_line(side, factor).numpy()) for factor in factors)
    enlarged = (kron(line, line, format="csr") for line in lines)
    return sum(enlarged, eye_array(side * side, format="csr")) / (len(factors) + 1)
